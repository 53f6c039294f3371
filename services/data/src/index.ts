export { assemble } from './assemble.js';
export { dataEnvironment } from './config.js';
export { corpora } from './corpora.js';
export { type DataContext, dataMigrations } from './datasets.js';
export { type LocateOptions, locate } from './locate.js';
export { dataModule } from './module.js';
export { planOf } from './spec.js';
