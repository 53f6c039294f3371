export { type Assembled, assemble, limitRows } from './assemble.js';
export { type Corpus, corpora } from './corpora.js';
export { type LocateOptions, locate, locationOf } from './locate.js';
export { readUserFile, type UserFile } from './user-file.js';
