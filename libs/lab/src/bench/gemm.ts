/** ONNX Runtime's own rate of matrix products: what a training step could do at most if nothing else took time. */
import { Rng } from '@emotune/base';
import { type Executor, float32, type HostTensor, OnnxExecutor } from '@emotune/engine';
import { build as b, type Value } from '@emotune/graph';
import { type Product, productFlops } from './step-flops.js';
import { medianSeconds } from './timing.js';

/** So many operations a run that the call itself does not count. */
const flopsPerRun = 2e9;
const mostRounds = 32;

/** Uniform on ±√(3/into): what is multiplied by it keeps its size. */
function weights(into: number, out: number): HostTensor {
  const rng = Rng.of(1, 'gemm', into, out);
  const bound = Math.sqrt(3 / into);
  const values = Float32Array.from({ length: into * out }, () => bound * (rng.uint32() / 2 ** 31 - 1));
  return float32([into, out], values);
}

/** Seconds of x [rows, into] · W [into, out] and of a product back, as of a gradient; their mean. */
async function secondsOfProduct(
  executor: Executor,
  { rows, into, out }: Product,
  signal: AbortSignal,
): Promise<number> {
  const rounds = Math.min(mostRounds, Math.ceil(flopsPerRun / (4 * rows * into * out)));
  const there = b.input('there', 'float32', [into, out]);
  const back = b.input('back', 'float32', [out, into]);
  let x: Value = b.input('x', 'float32', [rows, into]);
  // Each product needs the one before, so intermediate results take the memory of two.
  for (let i = 0; i < rounds; i++) x = b.matmul(b.matmul(x, there), back);
  const program = await executor.compile({ y: x });
  await executor.put('there', weights(into, out));
  await executor.put('back', weights(out, into));
  await executor.put('x', weights(rows, into));
  const from = { x: 'x', there: 'there', back: 'back' };
  const run = () => executor.run(program, { feeds: {}, from, to: { y: 'y' }, fetch: [] });
  const seconds = await medianSeconds(run, signal);
  await executor.release(program);
  return seconds / (2 * rounds);
}

/** 10⁹ operations per second over the products together, each as often as it is counted. Weights are not packed. */
export async function gemmGflops(
  products: readonly Product[],
  threads: number,
  signal: AbortSignal,
): Promise<number> {
  const executor = OnnxExecutor.create({ threads });
  try {
    let [flops, seconds] = [0, 0];
    for (const product of products) {
      flops += productFlops(product);
      seconds += product.count * (await secondsOfProduct(executor, product, signal));
    }
    return flops / seconds / 1e9;
  } finally {
    await executor.close();
  }
}
