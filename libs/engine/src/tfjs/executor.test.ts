import { build as b, gradients } from '@emotune/graph';
import { expect, it } from 'vitest';
import { float32, int64 } from '../tensor.js';
import { executorContract, opConformance } from '../testing.js';
import { TfjsExecutor } from './executor.js';
import { loadTfjs } from './load.js';

for (const backend of ['wasm', 'cpu'] as const) {
  const tfjs = await loadTfjs([backend]);
  executorContract(`TensorFlow.js, ${backend}`, () => new TfjsExecutor(tfjs));
  opConformance(`TensorFlow.js, ${backend}`, () => new TfjsExecutor(tfjs));
}

it('keeps no more tensors after 1,000 steps than after the first, and none once it is closed', async () => {
  const { tf } = await loadTfjs(['cpu']);
  const before = tf.memory().numTensors;
  const executor = new TfjsExecutor({ tf, backend: 'cpu', passedOver: [] });
  const [x, w] = [b.input('x', 'float32', [3, 2]), b.weight('w', 'float32', [2, 2])];
  const y = b.softmax(b.matmul(x, w));
  const loss = b.reshape(b.reduceSum(b.mul(y, y), [0, 1]), []);
  const step = await executor.compile({
    loss,
    next: b.sub(w, b.mul(gradients(loss, [w])[0], b.scalar(0.1))),
  });
  const decay = await executor.compileSweep(
    (n) => ({ w: b.mul(b.state('v', 'float32', [n]), b.scalar(0.99)) }),
    4,
  );
  await executor.put('w', float32([2, 2], [1, 2, 3, 4]));
  const once = async () => {
    const feeds = { x: float32([3, 2], [1, 2, 3, 4, 5, 6]) };
    await executor.run(step, { feeds, from: { w: 'w' }, to: { next: 'w' }, fetch: ['loss'] });
    await executor.sweep(decay, { feeds: {}, from: { v: ['w'] }, to: { w: ['w'] }, fetch: [] });
    return tf.memory().numTensors;
  };
  const first = await once();
  for (let i = 1; i < 999; i++) await once();
  expect(await once()).toBe(first);
  await executor.close();
  expect(tf.memory().numTensors).toBe(before);
});

it('refuses integers that its 32 bits do not hold, by name', async () => {
  const executor = new TfjsExecutor(await loadTfjs(['cpu']));
  const program = await executor.compile({ y: b.toFloat(b.input('ids', 'int64', [2])) });
  const feeds = { ids: int64([2], [1, 2 ** 40]) };
  await expect(executor.run(program, { feeds, fetch: ['y'] })).rejects.toThrow(
    'ids: expected integers of 32 bits, got 1099511627776',
  );
  await executor.close();
});
