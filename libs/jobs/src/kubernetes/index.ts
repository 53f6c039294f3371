export { KubernetesRunner, type KubernetesRunnerOptions } from './runner.js';
export { type JobTemplate, readJobTemplate } from './template.js';
