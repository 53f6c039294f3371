export { type Answer, Answerer, type AnswererOptions, lexiconsIn } from './answerer.js';
