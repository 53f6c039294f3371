import { executorContract, opConformance } from '../testing.js';
import { TfjsExecutor } from './executor.js';
import { loadTfjs } from './load.js';

for (const backend of ['wasm', 'cpu'] as const) {
  const tfjs = await loadTfjs([backend]);
  executorContract(`TensorFlow.js, ${backend}`, () => new TfjsExecutor(tfjs));
  opConformance(`TensorFlow.js, ${backend}`, () => new TfjsExecutor(tfjs));
}
