export { runParity } from './parity.js';
