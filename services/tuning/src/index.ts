export { tuningEnvironment } from './config.js';
export type { TuningContext } from './context.js';
export { fittedStudy, importedStudy } from './imported.js';
export { tuningMigrations } from './migrations.js';
export { tuningModule } from './module.js';
export { planOf } from './spec.js';
