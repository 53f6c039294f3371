import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { gradients } from './autodiff.js';
import * as b from './build.js';
import { evaluate } from './evaluate.js';
import { sizeOf, type Value } from './ir.js';
import { make } from './make.js';
import { opCases } from './op-cases.js';
import { type OpName, ops } from './ops.js';

/** Ops whose gradient is another's up to quantisation: see below. */
const bounded: readonly OpName[] = ['Int8MatMul', 'MatMulInt8Gradient'];

describe('every op has the gradient that central differences give', () => {
  for (const [op, list] of Object.entries(opCases)) {
    if (bounded.includes(op as OpName)) continue;
    if (!('vjp' in ops[op as OpName])) {
      it(`${op} has no gradient and says so`, () => {
        expect('vjp' in ops[op as OpName]).toBe(false);
      });
      continue;
    }
    it.each(list.map((c, i) => [JSON.stringify(c.shapes), c, i] as const))(`${op} on %s`, (_, c, i) => {
      const rng = Rng.of('ops', op, i);
      const inputs = c.shapes.map((shape, n) => b.input(`x${n}`, 'float32', shape));
      const fixed = (c.fixed ?? []).map(({ dtype, shape }, n) => b.input(`f${n}`, dtype, shape));
      const value = c.build([...inputs, ...fixed]);
      expect(value.op).toBe(op);
      const weights = b.input('w', 'float32', value.shape);
      const total = b.reshape(
        b.reduceSum(
          b.mul(value, weights),
          value.shape.map((_, axis) => axis),
        ),
        [],
      );
      const random = (n: number, map: (u: number) => number) =>
        Float64Array.from({ length: n }, () => map(rng.uniform()));
      const feeds: Record<string, Float64Array> = { w: random(sizeOf(value.shape), (u) => 4 * u - 2) };
      c.shapes.forEach((shape, n) => {
        feeds[`x${n}`] = random(sizeOf(shape), c.domain ?? ((u) => 4 * u - 2));
      });
      for (const [n, { values }] of (c.fixed ?? []).entries()) feeds[`f${n}`] = Float64Array.from(values);
      const got = evaluate(gradients(total, inputs), feeds);
      // Central differences in float64: truncation h² ≈ 1e-10 against rounding 1e-16/h ≈ 1e-11.
      const h = 1e-5;
      inputs.forEach((input, n) => {
        expect(got[n].shape).toEqual(input.shape);
        const x = feeds[input.name!];
        x.forEach((at, k) => {
          const f = (v: number) => {
            x[k] = v;
            return evaluate([total], feeds)[0].data[0];
          };
          const want = (f(at + h) - f(at - h)) / (2 * h);
          x[k] = at;
          expect(Math.abs(got[n].data[k] - want)).toBeLessThan(1e-7 * Math.max(1, Math.abs(want)));
        });
      });
    });
  }
});

it('what is detached counts as a constant: d(x·[x²])/dx = [x²]', () => {
  const x = b.input('x', 'float32', [3]);
  const square = b.detach(b.mul(x, x));
  const loss = b.reshape(b.reduceSum(b.mul(x, square), [0]), []);
  const [dx] = evaluate(gradients(loss, [x]), { x: Float64Array.of(-2, 0, 3) });
  expect([...dx.data]).toEqual([4, 0, 9]);
});

describe('a mistake is named where it is made', () => {
  const x = b.input('x', 'float32', [2, 3]);
  it.each([
    ['MatMul', () => b.matmul(x, x)],
    ['Add', () => b.add(x, b.input('y', 'float32', [4]))],
    ['Reshape', () => b.reshape(x, [5])],
    ['Slice', () => b.slice(x, 0, 1, 9)],
    ['Transpose', () => b.transpose(x, [0, 0])],
    ['Concat', () => b.concat([x, b.input('y', 'float32', [3, 3])], 1)],
    ['gradients', () => gradients(x, [x])],
  ])('%s', (name, make) => {
    expect(make).toThrow(new RegExp(`^${name}: expected`));
  });
});

describe('products with 8-bit weights', () => {
  const [N, K, M] = [3, 5, 4];
  const rng = Rng.of('int8');
  const random = (n: number) => Float64Array.from({ length: n }, () => 4 * rng.uniform() - 2);
  const bytes = (n: number) => Float64Array.from({ length: n }, () => rng.int(255) - 127);
  const x = b.input('x', 'float32', [N, K]);
  const int8 = (name: string, rows: number, columns: number) =>
    [b.input(name, 'int8', [rows, columns]), b.input(`${name}_scale`, 'float32', [columns])] as const;
  const feeds: Record<string, Float64Array> = {
    x: random(N * K),
    dy: random(N * M),
    w: bytes(K * M),
    w_scale: random(M).map(Math.abs),
    back: bytes(M * K),
    back_scale: random(K).map(Math.abs),
    exact: random(M * K),
  };
  /** max |x|/254 of a row, times the sum of |w| of a column: no rounding of the row is further off. */
  const bound = (rows: Float64Array, w: Float64Array, width: number, columns: number) =>
    Float64Array.from({ length: (rows.length / width) * columns }, (_, i) => {
      const row = rows.subarray(Math.floor(i / columns) * width, (Math.floor(i / columns) + 1) * width);
      let sum = 0;
      for (let k = 0; k < width; k++) sum += Math.abs(w[k * columns + (i % columns)]);
      return (row.reduce((top, v) => Math.max(top, Math.abs(v)), 0) / 254) * sum * (1 + 1e-9);
    });
  const product = (rows: Float64Array, w: Float64Array, width: number, columns: number) =>
    Float64Array.from({ length: (rows.length / width) * columns }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < width; k++)
        sum += rows[Math.floor(i / columns) * width + k] * w[k * columns + (i % columns)];
      return sum;
    });
  const within = (got: Float64Array, want: Float64Array, by: Float64Array) => {
    expect(got.length).toBe(want.length);
    got.forEach((v, i) => {
      expect(Math.abs(v - want[i])).toBeLessThanOrEqual(by[i]);
    });
  };
  const scaled = (w: string) =>
    feeds[w].map((v, i) => v * feeds[`${w}_scale`][i % feeds[`${w}_scale`].length]);
  const loss = (y: Value) => b.reshape(b.reduceSum(b.mul(y, b.input('dy', 'float32', [N, M])), [0, 1]), []);

  it('are the products with the weights they stand for, up to the rounding of a row', () => {
    const [y] = evaluate([b.int8MatMul(x, int8('w', K, M))], feeds);
    within(y.data, product(feeds['x'], scaled('w'), K, M), bound(feeds['x'], scaled('w'), K, M));
  });

  it('have the gradient of the weights they are given for it, up to the rounding of a row', () => {
    const want = product(feeds['dy'], scaled('back'), M, K);
    const by = bound(feeds['dy'], scaled('back'), M, K);
    const exact = b.input('exact', 'float32', [M, K]);
    for (const y of [
      b.int8MatMul(x, int8('w', K, M), int8('back', M, K)),
      b.matmulInt8Gradient(x, exact, int8('back', M, K)),
    ])
      within(evaluate(gradients(loss(y), [x]), feeds)[0].data, want, by);
    const [dx] = evaluate(gradients(loss(b.int8MatMul(x, int8('w', K, M), [exact])), [x]), feeds);
    within(dx.data, product(feeds['dy'], feeds['exact'], M, K), new Float64Array(N * K).fill(1e-12));
  });

  it('keep rows of zeros', () => {
    const [y] = evaluate([b.int8MatMul(x, int8('w', K, M))], { ...feeds, x: new Float64Array(N * K) });
    expect([...y.data]).toEqual(new Array(N * M).fill(0));
  });
});

it.each([
  ['bytes of other rows', [3, 4], [4, 1]],
  ['scales of other blocks', [2, 33], [4, 1]],
])('4-bit weights with %s are refused', (_, bytes, scale) => {
  const weight = [b.input('bytes', 'uint8', bytes), b.input('scale', 'float32', scale)] as const;
  expect(() => b.int4MatMul(b.input('x', 'float32', [2, bytes[1]]), weight)).toThrow(
    /^Dequantize4: expected bytes \[⌈M\/2⌉, K\] and scales \[M, ⌈K\/32⌉\], got uint8/,
  );
});

it('an op takes no attributes but its own', () => {
  const x = b.input('x', 'float32', [2, 3]);
  expect(make('ReduceSum', [x], { axes: [1] }).shape).toEqual([2, 1]);
  const wrong = [
    // @ts-expect-error
    () => make('ReduceSum', [x], { axis: 1 }),
    // @ts-expect-error
    () => make('ReduceSum', [x]),
    // @ts-expect-error
    () => make('Slice', [x], { axis: 0, start: 0, end: '1' }),
    // @ts-expect-error
    () => make('Neg', [x], { axes: [1] }),
    // @ts-expect-error
    () => make('ReduceSums', [x], { axes: [1] }),
  ];
  // What the compiler refuses is all: none of these is meant to run.
  expect(wrong).toHaveLength(5);
});
