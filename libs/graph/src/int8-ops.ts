/**
 * Rows of the op table for products with 8-bit weights, made for a base that never changes. Activations, and on the way
 * back their gradients, are quantised row by row as they come (SwitchBack: Wortsman et al. 2023, arXiv 2304.13013; 8
 * bits for the product and for the gradient of its input; a frozen weight has no gradient). Part of `ops.ts`.
 */
import { InvalidArgument } from '@emotune/base';
import { dtypeCode, type Shape, type Value } from './ir.js';
import { timesTransposed } from './matmul.js';
import { type OnnxNode, op, type Reference } from './op-row.js';

/** What stands for 0 in the unsigned bytes of a row, and how far its largest element is from it. */
const zeroPoint = 128;
const reach = 127;
/** Instead of the largest element of a row of zeros. */
const tiny = 1e-30;

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2 === 0 ? 0 : 1) : Math.round(x);
}

function rowScales({ shape: [rows, width], data }: Reference): Float64Array {
  return Float64Array.from({ length: rows }, (_, r) => {
    const row = data.subarray(r * width, (r + 1) * width);
    return Math.max(tiny, row.reduce((top, v) => Math.max(top, Math.abs(v)), 0) / reach);
  });
}

/** Signed bytes as unsigned ones: 128 + w. */
function unsigned(bytes: string, output: string): OnnxNode[] {
  return [
    // −1 becomes 255: the same bits.
    { op: 'Cast', inputs: [bytes], output: 'bits', attributes: { to: dtypeCode.uint8 } },
    { op: 'BitwiseXor', inputs: ['bits', { byte: zeroPoint }], output },
  ];
}

function expectShape(op: string, what: string, value: Value, shape: Shape): void {
  if (value.shape.length !== shape.length || value.shape.some((d, i) => d !== shape[i]))
    throw InvalidArgument.at(op, `expected ${what} [${shape}], got [${value.shape}]`);
}

export const int8Ops = {
  /** Rows of x [N, K] as bytes: 128 + x/scale with scale = max|x|/127 of the row, which is saved: [N, 1]. */
  QuantizeRows: op({
    cheap: true,
    infer: ([x]) => {
      if (x.shape.length !== 2 || x.shape[1] === 0)
        throw InvalidArgument.at('QuantizeRows', `expected rows [N, K], got [${x.shape}]`);
      return { dtype: 'uint8', shape: x.shape };
    },
    evaluate: ([x]) => {
      const scales = rowScales(x);
      return x.data.map((v, i) => zeroPoint + roundHalfEven(v / scales[Math.floor(i / x.shape[1])]));
    },
    saved: {
      scale: {
        infer: ([x]) => ({ dtype: 'float32', shape: [x.shape[0], 1] }),
        evaluate: ([x]) => rowScales(x),
      },
    },
    lower: () => [
      { op: 'Abs', inputs: ['$0'], output: 'size' },
      { op: 'ReduceMax', inputs: ['size', { ints: [1] }], output: 'top' },
      { op: 'Mul', inputs: ['top', { float: 1 / reach }], output: 'share' },
      { op: 'Max', inputs: ['share', { float: tiny }], output: 'scale' },
      { op: 'Reciprocal', inputs: ['scale'], output: 'inverse' },
      { op: 'Mul', inputs: ['$0', 'inverse'], output: 'steps' },
      { op: 'QuantizeLinear', inputs: ['steps', { float: 1 }, { byte: zeroPoint }], output: '$y' },
    ],
  }),

  /**
   * What is left of x·W with W [K, M] as int8 columns times `scale` [M]: inputs x [N, K] (for its gradient only), its
   * `QuantizeRows` and their scales, W, `scale`, then what the gradient is multiplied by: Wᵀ as int8 columns [M, K] and
   * their scales [K], or Wᵀ in float32, or nothing where there is no gradient.
   */
  Int8MatMul: op({
    infer: ([x, bytes, rowScale, w, scale]) => {
      const [N, K] = x.shape;
      const M = w.shape[1];
      expectShape('Int8MatMul', 'quantised rows', bytes, [N, K]);
      expectShape('Int8MatMul', 'scales of rows', rowScale, [N, 1]);
      expectShape('Int8MatMul', 'a weight', w, [K, M]);
      expectShape('Int8MatMul', 'scales of columns', scale, [M]);
      return { dtype: 'float32', shape: [N, M] };
    },
    evaluate: ([, bytes, rowScale, w, scale]) => {
      const [N, K] = bytes.shape;
      const M = w.shape[1];
      return Float64Array.from({ length: N * M }, (_, i) => {
        const [n, m] = [Math.floor(i / M), i % M];
        let sum = 0;
        for (let k = 0; k < K; k++) sum += (bytes.data[n * K + k] - zeroPoint) * w.data[k * M + m];
        return sum * rowScale.data[n] * scale.data[m];
      });
    },
    vjp: (b, { inputs }, dy) => {
      const back = inputs.slice(5);
      const dx = back.length === 2 ? b.int8MatMul(dy, [back[0], back[1]]) : b.matmul(dy, back[0]);
      return [dx, ...inputs.slice(1).map(() => undefined)];
    },
    lower: (_, { exactSignedBytes }) => [
      ...(exactSignedBytes ? [] : unsigned('$3', 'weight')),
      {
        op: 'MatMulIntegerToFloat',
        domain: 'com.microsoft',
        inputs: exactSignedBytes
          ? ['$1', '$3', { float: 1 }, '$4', { byte: zeroPoint }]
          : ['$1', 'weight', { float: 1 }, '$4', { byte: zeroPoint }, { byte: zeroPoint }],
        output: 'product',
      },
      { op: 'Mul', inputs: ['product', '$2'], output: '$y' },
    ],
  }),

  /** x·Wᵀ exactly, with W [M, K] in float32, whose gradient is multiplied by W as int8 columns and their scales [K]. */
  MatMulInt8Gradient: op({
    infer: ([x, w, back, scale]) => {
      const [M, K] = w.shape;
      expectShape('MatMulInt8Gradient', 'rows', x, [x.shape[0], K]);
      expectShape('MatMulInt8Gradient', 'an int8 weight', back, [M, K]);
      expectShape('MatMulInt8Gradient', 'scales of columns', scale, [K]);
      return { dtype: 'float32', shape: [x.shape[0], M] };
    },
    vjp: (b, { inputs: [, , back, scale] }, dy) => [
      b.int8MatMul(dy, [back, scale]),
      undefined,
      undefined,
      undefined,
    ],
    ...timesTransposed,
  }),
};
