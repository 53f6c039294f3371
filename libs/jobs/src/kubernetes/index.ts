export { ApiError } from './api.js';
export { keepAgents } from './kept-agents.js';
export { Mirror } from './mirror.js';
export { type ClusterPlace, clusterPlace } from './place.js';
export { KubernetesRunner, type KubernetesRunnerOptions } from './runner.js';
export { type JobTemplate, readJobTemplate } from './template.js';
