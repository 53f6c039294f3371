export { type Answer, Answerer, type AnswererOptions, lexiconsIn } from './answerer.js';
export type { Distribution } from './distribution.js';
