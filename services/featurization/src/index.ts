export { buildFeatures } from './build.js';
export { augmentationSources, augmentationVariables, featurizationEnvironment } from './config.js';
export { featurizationMigrations } from './feature-sets.js';
export { featurizationModule } from './module.js';
export { planOf } from './spec.js';
