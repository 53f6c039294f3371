export { ApiError } from './api.js';
export { keepAgents } from './kept-agents.js';
export { LeaseElection } from './lease.js';
export { Mirror } from './mirror.js';
export { type ClusterPlace, clusterPlace, ownPod } from './place.js';
export { KubernetesRunner, type KubernetesRunnerOptions } from './runner.js';
export { type JobTemplate, readJobTemplate } from './template.js';
