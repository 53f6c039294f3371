/** The row of the op table for matrix products, and what rows share that multiply like it with a gradient of their own. */
import { InvalidArgument } from '@emotune/base';
import { type Shape, sizeOf } from './ir.js';
import { type NoAttributes, type OpRow, op } from './op-row.js';
import { broadcastShapes, broadcastStrides, forEachIndex } from './shape.js';

function swapLast(shape: Shape): Shape {
  return [...shape.slice(0, -2), shape[shape.length - 1], shape[shape.length - 2]];
}

/** scale · x · y over the last two axes, each read transposed where `transposeX`, `transposeY` say so; leading axes broadcast. */
export const matmul = op<{ transposeX: boolean; transposeY: boolean; scale: number }>({
  infer: ([x, y], attributes) => {
    if (x.shape.length < 2 || y.shape.length < 2) {
      throw InvalidArgument.at('MatMul', `expected rank ≥ 2, got [${x.shape}] and [${y.shape}]`);
    }
    const sx = attributes.transposeX ? swapLast(x.shape) : x.shape;
    const sy = attributes.transposeY ? swapLast(y.shape) : y.shape;
    if (sx[sx.length - 1] !== sy[sy.length - 2]) {
      throw InvalidArgument.at('MatMul', `expected equal inner dimensions, got [${sx}] and [${sy}]`);
    }
    const batch = broadcastShapes('MatMul', sx.slice(0, -2), sy.slice(0, -2));
    return { dtype: x.dtype, shape: [...batch, sx[sx.length - 2], sy[sy.length - 1]] };
  },
  evaluate: ([x, y], value) => {
    const tx = value.attributes.transposeX;
    const ty = value.attributes.transposeY;
    const scale = value.attributes.scale;
    const [m, n] = value.shape.slice(-2);
    const k = tx ? x.shape[x.shape.length - 2] : x.shape[x.shape.length - 1];
    const batch = value.shape.slice(0, -2);
    const [xr, xc] = tx ? [1, m] : [k, 1];
    const [yr, yc] = ty ? [1, k] : [n, 1];
    const out = new Float64Array(sizeOf(value.shape));
    const yAt = new Array<number>(sizeOf(batch));
    forEachIndex(batch, broadcastStrides(y.shape.slice(0, -2), batch), (flat, at) => {
      yAt[flat] = at * k * n;
    });
    forEachIndex(batch, broadcastStrides(x.shape.slice(0, -2), batch), (flat, at) => {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < k; p++)
            sum += x.data[at * m * k + i * xr + p * xc] * y.data[yAt[flat] + p * yr + j * yc];
          out[flat * m * n + i * n + j] = scale * sum;
        }
      }
    });
    return out;
  },
  // With X, Y the matrices as multiplied: dX = dy·Yᵀ, dY = Xᵀ·dy; a transposed input gets the transposed gradient.
  vjp: (b, { inputs: [x, y], attributes }, dy) => {
    const tx = attributes.transposeX;
    const ty = attributes.transposeY;
    const scale = attributes.scale;
    return [
      tx
        ? b.matmul(y, dy, { transposeX: ty, transposeY: true, scale })
        : b.matmul(dy, y, { transposeY: !ty, scale }),
      ty
        ? b.matmul(dy, x, { transposeX: true, transposeY: tx, scale })
        : b.matmul(x, dy, { transposeX: !tx, scale }),
    ];
  },
  lower: ({ attributes }) =>
    attributes.transposeX || attributes.transposeY || attributes.scale !== 1
      ? [
          {
            op: 'FusedMatMul',
            domain: 'com.microsoft',
            inputs: ['$0', '$1'],
            output: '$y',
            attributes: {
              transA: attributes.transposeX ? 1 : 0,
              transB: attributes.transposeY ? 1 : 0,
              alpha: { float: attributes.scale },
            },
          },
        ]
      : [{ op: 'MatMul', inputs: ['$0', '$1'], output: '$y' }],
});

const transposed = { transposeX: false, transposeY: true, scale: 1 };

/** x·Wᵀ of the first two inputs, as `matmul` with `transposeY` computes it. */
export const timesTransposed: Pick<OpRow<NoAttributes>, 'evaluate' | 'lower'> = {
  evaluate: ([x, w], value) => matmul.evaluate([x, w], { ...value, attributes: transposed }),
  lower: (value, target) => matmul.lower({ ...value, attributes: transposed }, target),
};
