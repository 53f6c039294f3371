export { tuningEnvironment } from './config.js';
export type { TuningContext } from './context.js';
export { tuningMigrations } from './migrations.js';
export { tuningModule } from './module.js';
export { planOf } from './spec.js';
export { valueMessages } from './values.js';
