import { build as b, bytesOf, gradients, lowered, type NamedNode, sizeOf, type Value } from '@emotune/graph';
import { expect, it } from 'vitest';
import { executionOrder, liveness } from './schedule.js';

const [rows, width] = [4, 64];
const products = {
  Int4MatMul: (x: Value, name: string) =>
    b.int4MatMul(x, [
      b.input(`${name}.bytes`, 'uint8', [width / 2, width]),
      b.input(`${name}.scale`, 'float32', [width, width / 32]),
    ]),
  HalfMatMul: (x: Value, name: string) =>
    b.halfMatMul(x, b.input(`${name}.half`, 'float16', [width, width]), { transposeY: true }),
};

/** `layers` of tanh(a ⊙ x·Wᵀ) with a trained a, and the gradient of every a, bottom first. */
function stack(layers: number, product: (x: Value, name: string) => Value): Value[] {
  const trained: Value[] = [];
  let x = b.input('x', 'float32', [rows, width]);
  for (let layer = 0; layer < layers; layer++) {
    const a = b.input(`a${layer}`, 'float32', [width]);
    trained.push(a);
    x = b.tanh(b.mul(product(x, `w${layer}`), a));
  }
  const loss = b.reshape(b.reduceSum(b.mul(x, x), [0, 1]), []);
  return [loss, ...gradients(loss, trained)];
}

/** Nodes in the order in which the runtime runs them: see `schedule.ts`. */
function running(nodes: readonly NamedNode[]): NamedNode[] {
  const maker = new Map(nodes.flatMap((node, i) => node.outputs.map((name) => [name, i] as const)));
  const before = nodes.map(({ inputs }) => [
    ...new Set(inputs.flatMap((name) => (typeof name === 'string' ? (maker.get(name) ?? []) : []))),
  ]);
  const read = new Set(before.flat());
  const order = new Set<number>();
  const visit = (i: number): void => {
    if (order.has(i)) return;
    for (const earlier of before[i].sort((p, q) => q - p)) visit(earlier);
    order.add(i);
  };
  for (let i = nodes.length - 1; i >= 0; i--) if (!read.has(i)) visit(i);
  return [...order].map((i) => nodes[i]);
}

it.each(Object.entries(products))('%s widens each weight right before its own product', (_, product) => {
  const layers = 6;
  const outputs = stack(layers, product);
  const order = running(lowered(Object.fromEntries(outputs.map((value, i) => [`y${i}`, value]))).nodes);
  const widened = order.flatMap(({ op, attributes }, i) =>
    op === 'DequantizeLinear' || (op === 'Cast' && attributes?.['to'] === 1) ? [i] : [],
  );
  // Once for each product forward, and again backward but for the lowest layer, below which nothing is trained.
  expect(widened).toHaveLength(2 * layers - 1);
  for (const i of widened) {
    const readers = order.filter(({ inputs }) => inputs.includes(order[i].outputs[0]));
    expect(readers).toEqual([order[i + 1]]);
    expect(order[i + 1].op).toMatch(/MatMul$/);
  }
});

it('what 4-bit weights need in float32 does not grow with their number', () => {
  const peak = (layers: number) => {
    const outputs = stack(layers, products.Int4MatMul);
    return liveness(executionOrder(outputs), outputs).peak;
  };
  const weight = bytesOf({ dtype: 'float32', shape: [width, width] });
  const activation = bytesOf({ dtype: 'float32', shape: [rows, width] });
  // A layer keeps the product and its tanh.
  expect(peak(12) - peak(6)).toBeLessThanOrEqual(6 * (2 * activation + 4 * width));
  expect(peak(12)).toBeLessThan(2 * weight + sizeOf([12, 3]) * activation);
});
