export { inferenceEnvironment } from './config.js';
export type { InferenceContext } from './loaded-models.js';
export { inferenceMigrations, inferenceModule } from './module.js';
