export { type Answer, Answerer, type AnswererOptions } from './answerer.js';
export type { Distribution } from './distribution.js';
