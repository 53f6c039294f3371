/**
 * Rows of the op table for products with weights that are held in half precision and never change: each use widens them
 * anew, so that in float32 they are there for one product only. Part of `ops.ts`.
 */
import { InvalidArgument } from '@emotune/base';
import { sizeOf } from './ir.js';
import { matmul } from './matmul.js';
import { op } from './op-row.js';

export const halfOps = {
  /**
   * x·W with W [K, M] in float16, or x·Wᵀ with W [M, K] where `transposeY`; sums in float32. Inputs x, W once x is there, and W
   * itself, of which the gradient is made. W has no gradient.
   */
  HalfMatMul: op<{ transposeY: boolean }>({
    infer: ([x, w], { transposeY }) => {
      const [K, M] = transposeY ? [w.shape[1], w.shape[0]] : w.shape;
      if (x.shape.length !== 2 || w.shape.length !== 2 || x.shape[1] !== K || w.dtype !== 'float16')
        throw InvalidArgument.at(
          'HalfMatMul',
          `expected rows [N, ${K}] and a float16 weight, got [${x.shape}] and ${w.dtype} [${w.shape}]`,
        );
      return { dtype: 'float32', shape: [x.shape[0], M] };
    },
    evaluate: ([x, w], { attributes: { transposeY }, ...value }) =>
      matmul.evaluate([x, w], {
        ...value,
        attributes: { transposeX: false, transposeY, scale: 1 },
      }),
    vjp: (b, { inputs: [, , w], attributes }, dy) => [
      b.halfMatMul(dy, w, { transposeY: !attributes.transposeY }),
      undefined,
      undefined,
    ],
    // The weight in float32.
    scratch: ({ inputs: [, w] }) => 4 * sizeOf(w.shape),
    lower: ({ attributes: { transposeY } }) => [
      { op: 'Cast', inputs: ['$1'], output: 'wide', attributes: { to: 1 } },
      {
        op: 'FusedMatMul',
        domain: 'com.microsoft',
        inputs: ['$0', 'wide'],
        output: '$y',
        attributes: { transB: transposeY ? 1 : 0 },
      },
    ],
  }),
};
