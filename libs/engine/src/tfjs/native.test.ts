import { describe, it } from 'vitest';
import { executorContract, opConformance } from '../testing.js';
import { TfjsExecutor } from './executor.js';
import { loadTfjs } from './load.js';

const loaded = await loadTfjs(['gpu', 'node']).catch((error: Error) => error);
if (loaded instanceof Error) {
  process.stderr.write(`skipped: ${loaded.message}\n`);
  describe.skip('TensorFlow.js, native', () => it('computes'));
} else {
  executorContract(`TensorFlow.js, ${loaded.backend}`, () => new TfjsExecutor(loaded));
  opConformance(`TensorFlow.js, ${loaded.backend}`, () => new TfjsExecutor(loaded));
}
