export { assemble } from './assemble.js';
export { dataEnvironment } from './config.js';
export { type Corpus, corpora } from './corpora.js';
export { type DataContext, dataMigrations } from './datasets.js';
export { Rows } from './division.js';
export { lexiconSources } from './lexicons/catalogue.js';
export { type LocateOptions, locate, locationOf } from './locate.js';
export { dataModule } from './module.js';
export { planOf } from './spec.js';
