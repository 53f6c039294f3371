/** Values of every op of the table, for whoever has to compute them as its reference does. */
import * as b from './build.js';
import { type DType, type Shape, sizeOf, type Value } from './ir.js';
import type { OpName } from './ops.js';

/** An input that has no gradient. */
export interface Fixed {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly values: readonly number[];
}

export interface OpCase {
  /** Shapes of the float inputs. */
  readonly shapes: readonly Shape[];
  /** Inputs after those. */
  readonly fixed?: readonly Fixed[];
  readonly build: (inputs: Value[]) => Value;
  /** Maps a uniform on (0, 1) to the input's domain; default is (−2, 2). */
  readonly domain?: (u: number) => number;
  /** The gradient of these inputs is checked; default all. */
  readonly differentiate?: readonly number[];
}

const broadcast: readonly (readonly [Shape, Shape])[] = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], [3]],
  [[1], [2, 1, 3]],
  [
    [4, 1, 2],
    [3, 1],
  ],
  [[], [2, 2]],
  [
    [0, 2],
    [1, 2],
  ],
];
const binary = (f: (x: Value, y: Value) => Value, domain?: OpCase['domain']): OpCase[] =>
  broadcast.map(([x, y]) => ({ shapes: [x, y], build: ([p, q]) => f(p, q), ...(domain ? { domain } : {}) }));
const unary = (f: (x: Value) => Value, domain?: OpCase['domain']): OpCase[] =>
  ([[2, 3], [1], [], [0, 3]] as Shape[]).map((shape) => ({
    shapes: [shape],
    build: ([x]) => f(x),
    ...(domain ? { domain } : {}),
  }));
const positive = (u: number) => 0.5 + 2 * u;
// Away from the kink, where a central difference means nothing.
const awayFromZero = (u: number) => (u < 0.5 ? -2 + 3 * u : 0.5 + 3 * (u - 0.5));

/** A weight whose numbers float16 has. */
const half = (shape: Shape): Fixed => ({
  dtype: 'float16',
  shape,
  values: Array.from({ length: sizeOf(shape) }, (_, i) => i - 2.5),
});
/** A 4-bit weight [M, K], with some scales below 0. */
const fourBits = (M: number, K: number): readonly [Fixed, Fixed] => [
  {
    dtype: 'uint8',
    shape: [Math.ceil(M / 2), K],
    values: Array.from({ length: Math.ceil(M / 2) * K }, (_, i) => (37 * i + 11) % 256),
  },
  {
    dtype: 'float32',
    shape: [M, Math.ceil(K / 32)],
    values: Array.from({ length: M * Math.ceil(K / 32) }, (_, i) => Math.fround(Math.cos(i) / 4)),
  },
];
/** An 8-bit weight by columns [K, M] and the scales of its columns. */
const eightBits = (K: number, M: number): readonly [Fixed, Fixed] => [
  { dtype: 'int8', shape: [K, M], values: Array.from({ length: K * M }, (_, i) => ((37 * i) % 255) - 127) },
  { dtype: 'float32', shape: [M], values: Array.from({ length: M }, (_, i) => 2 ** -(i % 5)) },
];
const angles = (f: (angle: number) => number) =>
  b.constant(
    Float32Array.from({ length: 8 }, (_, i) => f(0.7 * i)),
    [4, 2],
  );

/** Every op of the table, on shapes that include 0, 1 and broadcasting. */
export const opCases: Record<OpName, readonly OpCase[]> = {
  HalfMatMul: [true, false].flatMap((transposeY): OpCase[] =>
    [
      [3, 2, 4],
      [1, 1, 1],
      [0, 2, 3],
    ].map(([N, K, M]) => ({
      shapes: [[N, K]],
      fixed: [half(transposeY ? [M, K] : [K, M])],
      build: ([x, w]) => b.halfMatMul(x, w, { transposeY }),
    })),
  ),
  Dequantize4: [
    [2, 3],
    [3, 33],
    [1, 1],
  ].map(([M, K]) => ({
    shapes: [[1]],
    fixed: fourBits(M, K),
    build: ([earlier, bytes, scale]) => b.dequantize4([bytes, scale], earlier),
  })),
  Int4MatMul: [
    [3, 4, 2],
    [2, 33, 3],
    [1, 1, 1],
    [0, 2, 3],
  ].map(([N, K, M]) => ({
    shapes: [[N, K]],
    fixed: fourBits(M, K),
    build: ([x, bytes, scale]) => b.int4MatMul(x, [bytes, scale]),
  })),
  QuantizeRows: [
    [3, 5],
    [1, 1],
    [0, 2],
  ].map((shape) => ({ shapes: [shape], build: ([x]) => b.quantizeRows(x) })),
  Int8MatMul: [
    [3, 5, 4],
    [1, 1, 1],
    [0, 2, 3],
  ].map(([N, K, M]) => ({
    shapes: [[N, K]],
    fixed: [...eightBits(K, M), ...eightBits(M, K)],
    build: ([x, w, scale, back, backScale]) => b.int8MatMul(x, [w, scale], [back, backScale]),
  })),
  MatMulInt8Gradient: [
    [3, 5, 4],
    [1, 1, 1],
    [0, 2, 3],
  ].map(([N, K, M]) => ({
    shapes: [[N, K]],
    fixed: [{ ...half([M, K]), dtype: 'float32' }, ...eightBits(M, K)],
    build: ([x, w, back, scale]) => b.matmulInt8Gradient(x, w, [back, scale]),
  })),
  Add: binary(b.add),
  Sub: binary(b.sub),
  Mul: binary(b.mul),
  Div: binary(b.div, positive),
  Less: binary(b.less),
  ReduceMax: [
    { shapes: [[2, 3, 4]], build: ([x]) => b.reduceMax(x, [-1]) },
    { shapes: [[2, 1]], build: ([x]) => b.reduceMax(x, [0, 1]) },
  ],
  ToFloat: [[3], [0]].map(([n]) => ({
    shapes: [],
    fixed: [{ dtype: 'int64', shape: [n], values: Array.from({ length: n }, (_, i) => i - 1) }],
    build: ([x]) => b.toFloat(x),
  })),
  Detach: unary(b.detach),
  After: (
    [
      [[2, 3], [4]],
      [[1], []],
      [
        [0, 2],
        [3, 1],
      ],
    ] as [Shape, Shape][]
  ).map((shapes) => ({ shapes, build: ([x, earlier]) => b.after(x, earlier), differentiate: [0] })),
  Neg: unary(b.neg),
  Exp: unary(b.exp),
  Log: unary(b.log, positive),
  Sqrt: unary(b.sqrt, positive),
  Cos: unary(b.cos),
  Sin: unary(b.sin),
  Tanh: unary(b.tanh),
  Sigmoid: unary(b.sigmoid),
  Relu: unary(b.relu, awayFromZero),
  Where: broadcast.map(([x, y]) => ({
    shapes: [x, y],
    build: ([p, q]) =>
      b.where(b.less(b.constant(Float32Array.of(0.1, -0.1, 0.2), [3, 1, 1, 1]), b.scalar(0)), p, q),
  })),
  ReduceSum: [
    { shapes: [[2, 3, 4]], build: ([x]) => b.reduceSum(x, [-1]) },
    { shapes: [[2, 3, 4]], build: ([x]) => b.reduceSum(x, [0, 2]) },
    { shapes: [[0, 3]], build: ([x]) => b.reduceSum(x, [0]) },
  ],
  MatMul: [false, true].flatMap((transposeX) =>
    [false, true].flatMap((transposeY): OpCase[] => {
      const x = (...s: number[]): Shape => [...s, ...(transposeX ? [4, 3] : [3, 4])];
      const y = (...s: number[]): Shape => [...s, ...(transposeY ? [2, 4] : [4, 2])];
      return [
        [x(), y()],
        [x(2), y()],
        [x(2, 1), y(1, 3)],
        [x(1), y(2)],
      ].map((shapes) => ({
        shapes,
        build: ([p, q]) => b.matmul(p, q, { transposeX, transposeY, scale: 0.5 }),
      }));
    }),
  ),
  Reshape: [{ shapes: [[2, 6]], build: ([x]) => b.reshape(x, [3, 1, 4]) }],
  Transpose: [{ shapes: [[2, 3, 4]], build: ([x]) => b.transpose(x, [2, 0, 1]) }],
  Expand: [
    { shapes: [[2, 1]], build: ([x]) => b.expand(x, [3, 2, 4]) },
    { shapes: [[]], build: ([x]) => b.expand(x, [2]) },
  ],
  Slice: [
    { shapes: [[4, 3]], build: ([x]) => b.slice(x, 0, 1, 3) },
    { shapes: [[4, 3]], build: ([x]) => b.slice(x, -1, 0, 2) },
    { shapes: [[4, 3]], build: ([x]) => b.slice(x, 1, 3, 3) },
  ],
  Concat: [
    {
      shapes: [
        [2, 1],
        [2, 3],
        [2, 0],
      ],
      build: (parts) => b.concat(parts, 1),
    },
  ],
  Gather: [{ shapes: [[4, 3]], build: ([x]) => b.gather(x, b.integers([2, 0, 2])) }],
  ScatterRows: [{ shapes: [[3, 2]], build: ([x]) => b.scatterRows(x, b.integers([1, 1, 3]), 4) }],
  Pick: [{ shapes: [[3, 4]], build: ([x]) => b.pick(x, b.integers([3, 0, 3])) }],
  Unpick: [{ shapes: [[3, 1]], build: ([x]) => b.unpick(x, b.integers([3, 0, 3]), 4) }],
  Softmax: unary(b.softmax).filter((c) => c.shapes[0].length > 0),
  Silu: unary(b.silu),
  GeluTanh: unary(b.geluTanh),
  RmsNorm: [
    { shapes: [[2, 3, 4], [4]], build: ([x, g]) => b.rmsNorm(x, g, 1e-5) },
    { shapes: [[3, 1], [1]], build: ([x, g]) => b.rmsNorm(x, g, 0.1) },
    { shapes: [[0, 4], [4]], build: ([x, g]) => b.rmsNorm(x, g, 1e-5) },
  ],
  LayerNorm: [
    { shapes: [[2, 3, 4], [4], [4]], build: ([x, g, h]) => b.layerNorm(x, g, h, 1e-5) },
    { shapes: [[2, 1], [1], [1]], build: ([x, g, h]) => b.layerNorm(x, g, h, 0.1) },
    { shapes: [[0, 4], [4], [4]], build: ([x, g, h]) => b.layerNorm(x, g, h, 1e-5) },
  ],
  Rotary: [false, true].map((inverse) => ({
    shapes: [[2, 3, 2, 4]],
    build: ([x]) => b.rotary(x, angles(Math.cos), angles(Math.sin), { inverse }),
  })),
  LogSoftmax: unary(b.logSoftmax).filter((c) => c.shapes[0].length > 0),
};
