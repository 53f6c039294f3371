/**
 * Rows of the op table for products with 4-bit weights, made for a base that never changes (QLoRA: Dettmers et al. 2023,
 * arXiv 2305.14314). The same bytes serve the product and the gradient of its input: each widens them anew, so that in
 * float32 a weight is there for one product only. Part of `ops.ts`.
 *
 * A weight [M, K] is held as bytes [⌈M/2⌉, K], whose low halves are the rows before ⌈M/2⌉ and high halves those from there
 * on, and `scale` [M, ⌈K/32⌉]: an element is (its 4 bits − 8) times the scale of its block of 32 along K, the last of
 * which may be shorter. The runtime takes no tensors of 4-bit elements from Node.js, and splits bytes faster than it gathers
 * from their usual order.
 */
import { InvalidArgument } from '@emotune/base';
import { sizeOf } from './ir.js';
import { timesTransposed } from './matmul.js';
import { op } from './op-row.js';

/** Elements of a row that share a scale. */
export const int4Block = 32;
/** What stands for 0 in 4 unsigned bits. */
export const int4Zero = 8;

export const int4Ops = {
  /** The weight [M, K] in float32 of its bytes and scales. */
  Dequantize4: op({
    infer: ([bytes, scale]) => {
      const [M, blocks] = scale.shape;
      const K = bytes.shape[1];
      if (
        bytes.dtype !== 'uint8' ||
        bytes.shape.length !== 2 ||
        scale.shape.length !== 2 ||
        bytes.shape[0] !== Math.ceil(M / 2) ||
        blocks !== Math.ceil(K / int4Block)
      )
        throw InvalidArgument.at(
          'Dequantize4',
          `expected bytes [⌈M/2⌉, K] and scales [M, ⌈K/${int4Block}⌉], got ${bytes.dtype} [${bytes.shape}] and [${scale.shape}]`,
        );
      return { dtype: 'float32', shape: [M, K] };
    },
    evaluate: ([bytes, scale], { shape: [M, K] }) => {
      const half = bytes.shape[0];
      return Float64Array.from({ length: M * K }, (_, i) => {
        const [m, k] = [Math.floor(i / K), i % K];
        const pair = bytes.data[(m % half) * K + k];
        const bits = m < half ? pair % 16 : Math.floor(pair / 16);
        return (bits - int4Zero) * scale.data[m * scale.shape[1] + Math.floor(k / int4Block)];
      });
    },
    // Halves of bytes, and the bytes that they become.
    scratch: ({ shape }) => 2 * sizeOf(shape),
    lower: ({ shape: [M], inputs: [, scale] }) => {
      const even = M % 2 === 0;
      return [
        { op: 'BitwiseAnd', inputs: ['$0', { byte: 15 }], output: 'low' },
        { op: 'BitShift', inputs: ['$0', { byte: 4 }], output: 'high', attributes: { direction: 'RIGHT' } },
        { op: 'Concat', inputs: ['low', 'high'], output: even ? 'bits' : 'pairs', attributes: { axis: 0 } },
        ...(even
          ? []
          : [
              { op: 'Slice', inputs: ['pairs', { ints: [0] }, { ints: [M] }, { ints: [0] }], output: 'bits' },
            ]),
        { op: 'Expand', inputs: [{ byte: int4Zero }, { ints: scale.shape }], output: 'zero' },
        {
          op: 'DequantizeLinear',
          since: 21,
          inputs: ['bits', '$1', 'zero'],
          output: '$y',
          attributes: { axis: 1, block_size: int4Block },
        },
      ];
    },
  }),

  /**
   * x·Wᵀ of a 4-bit weight W [M, K]: inputs x [N, K], W in float32, and its bytes and scales, of which the gradient makes
   * W again. W has no gradient.
   */
  Int4MatMul: op({
    infer: ([x, w]) => {
      if (x.shape.length !== 2 || x.shape[1] !== w.shape[1])
        throw InvalidArgument.at('Int4MatMul', `expected rows [N, ${w.shape[1]}], got [${x.shape}]`);
      return { dtype: 'float32', shape: [x.shape[0], w.shape[0]] };
    },
    vjp: (b, { inputs: [, , bytes, scale] }, dy) => [
      b.matmul(dy, b.dequantize4([bytes, scale], dy)),
      undefined,
      undefined,
      undefined,
    ],
    ...timesTransposed,
  }),
};
