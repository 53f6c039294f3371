export { type BpeOptions, trainBpe } from './bpe.js';
export { normalizeText } from './normalize.js';
export { Tokenizer } from './tokenizer.js';
