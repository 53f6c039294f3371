/**
 * Rows of the op table that ONNX Runtime has one kernel for and that would otherwise be many passes over memory:
 * norms, activations, rotary positions. Same notation as `ops.ts`, of which this is a part.
 */
import { InvalidArgument } from '@emotune/base';
import type { Shape } from './ir.js';
import { op, type Reference } from './op-row.js';

const microsoft = 'com.microsoft';

function rowsOf(shape: Shape): { rows: number; width: number } {
  const width = shape[shape.length - 1];
  return { rows: width === 0 ? 0 : shape.reduce((n, d) => n * d, 1) / width, width };
}

function narrow(shape: Shape): Shape {
  return [...shape.slice(0, -1), 1];
}

function expectVectors(op: string, x: Shape, ...vectors: readonly Shape[]): void {
  const width = x[x.length - 1];
  if (x.length === 0 || width === 0)
    throw InvalidArgument.at(op, `expected a last axis of at least 1, got [${x}]`);
  for (const shape of vectors)
    if (shape.length !== 1 || shape[0] !== width)
      throw InvalidArgument.at(op, `expected vectors of ${width}, got [${shape}]`);
}

function mapRows(x: Reference, f: (row: Float64Array) => number): Float64Array {
  const { rows, width } = rowsOf(x.shape);
  return Float64Array.from({ length: rows }, (_, r) => f(x.data.subarray(r * width, (r + 1) * width)));
}

const meanOf = (row: Float64Array) => row.reduce((a, v) => a + v, 0) / row.length;
const inverseRms = (row: Float64Array, epsilon: number) =>
  1 / Math.sqrt(row.reduce((a, v) => a + v * v, 0) / row.length + epsilon);
const inverseDeviation = (row: Float64Array, epsilon: number) => {
  const mean = meanOf(row);
  return 1 / Math.sqrt(row.reduce((a, v) => a + (v - mean) ** 2, 0) / row.length + epsilon);
};

/** All axes but the last. */
const leading = (shape: Shape) => shape.slice(0, -1).map((_, axis) => axis);

/** √(2/π) and the cubic term of GELU's tanh form (Hendrycks and Gimpel 2016). */
const geluScale = 0.7978845608028654;
const geluCubic = 0.044715;

export const fusedOps = {
  /** x·σ(x) (Hendrycks and Gimpel 2016). dx = dy ⊙ (y + σ(x)(1 − y)). */
  Silu: op({
    cheap: true,
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => x.data.map((v) => v / (1 + Math.exp(-v))),
    vjp: (b, y, dy) => {
      const s = b.sigmoid(y.inputs[0]);
      return [b.mul(dy, b.add(y, b.mul(s, b.sub(b.scalar(1), y))))];
    },
    lower: () => [
      {
        op: 'QuickGelu',
        domain: microsoft,
        inputs: ['$0'],
        output: '$y',
        attributes: { alpha: { float: 1 } },
      },
    ],
  }),

  /** GELU by tanh: ½x(1 + tanh(√(2/π)(x + 0.044715x³))). */
  GeluTanh: op({
    cheap: true,
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => x.data.map((v) => 0.5 * v * (1 + Math.tanh(geluScale * (v + geluCubic * v ** 3)))),
    // With t the tanh and u its argument: ½(1 + t) + ½x(1 − t²)u′.
    vjp: (b, { inputs: [x] }, dy) => {
      const square = b.mul(x, x);
      const t = b.tanh(b.mul(x, b.add(b.mul(square, b.scalar(geluScale * geluCubic)), b.scalar(geluScale))));
      const slope = b.add(b.mul(square, b.scalar(1.5 * geluScale * geluCubic)), b.scalar(0.5 * geluScale));
      const bend = b.mul(b.mul(x, slope), b.sub(b.scalar(1), b.mul(t, t)));
      return [b.mul(dy, b.add(b.add(b.mul(t, b.scalar(0.5)), b.scalar(0.5)), bend))];
    },
    // Its kernel takes no scalars.
    lower: ({ shape }) =>
      shape.length > 0
        ? [{ op: 'FastGelu', domain: microsoft, inputs: ['$0'], output: '$y' }]
        : [
            { op: 'Reshape', inputs: ['$0', { ints: [1] }], output: 'one' },
            { op: 'FastGelu', domain: microsoft, inputs: ['one'], output: 'made' },
            { op: 'Reshape', inputs: ['made', { ints: [] }], output: '$y' },
          ],
  }),

  /** x·r ⊙ γ with r = 1/√(mean(x²) + ε) over the last axis (Zhang and Sennrich 2019). */
  RmsNorm: op<{ epsilon: number }>({
    cheap: true,
    infer: ([x, gamma]) => {
      expectVectors('RmsNorm', x.shape, gamma.shape);
      return { dtype: x.dtype, shape: x.shape };
    },
    evaluate: ([x, gamma], value) => {
      const r = mapRows(x, (row) => inverseRms(row, value.attributes.epsilon));
      const { width } = rowsOf(x.shape);
      return x.data.map((v, i) => v * r[Math.floor(i / width)] * gamma.data[i % width]);
    },
    saved: {
      inverse: {
        infer: ([x]) => ({ dtype: x.dtype, shape: narrow(x.shape) }),
        evaluate: ([x], value) => mapRows(x, (row) => inverseRms(row, value.attributes.epsilon)),
      },
    },
    // g = dy ⊙ γ: dx = g·r − x·r³·mean(g ⊙ x).
    vjp: (b, y, dy) => {
      const [x, gamma] = y.inputs;
      const r = b.saved(y, 'inverse');
      const g = b.mul(dy, gamma);
      const along = b.mul(b.mean(b.mul(g, x), [-1]), b.mul(r, b.mul(r, r)));
      return [b.sub(b.mul(g, r), b.mul(x, along)), b.reduceSum(b.mul(dy, b.mul(x, r)), leading(x.shape))];
    },
    lower: ({ attributes }) => [
      {
        op: 'SimplifiedLayerNormalization',
        inputs: ['$0', '$1'],
        output: '$y',
        moreOutputs: ['inverse'],
        attributes: { axis: -1, epsilon: { float: attributes.epsilon } },
      },
    ],
  }),

  /** x̂ ⊙ γ + β with x̂ = (x − μ)·r, r = 1/√(σ² + ε) over the last axis (Ba et al. 2016). */
  LayerNorm: op<{ epsilon: number }>({
    cheap: true,
    infer: ([x, gamma, beta]) => {
      expectVectors('LayerNorm', x.shape, gamma.shape, beta.shape);
      return { dtype: x.dtype, shape: x.shape };
    },
    evaluate: ([x, gamma, beta], value) => {
      const mean = mapRows(x, meanOf);
      const r = mapRows(x, (row) => inverseDeviation(row, value.attributes.epsilon));
      const { width } = rowsOf(x.shape);
      return x.data.map((v, i) => {
        const row = Math.floor(i / width);
        return (v - mean[row]) * r[row] * gamma.data[i % width] + beta.data[i % width];
      });
    },
    saved: {
      mean: {
        infer: ([x]) => ({ dtype: x.dtype, shape: narrow(x.shape) }),
        evaluate: ([x]) => mapRows(x, meanOf),
      },
      inverse: {
        infer: ([x]) => ({ dtype: x.dtype, shape: narrow(x.shape) }),
        evaluate: ([x], value) => mapRows(x, (row) => inverseDeviation(row, value.attributes.epsilon)),
      },
    },
    // g = dy ⊙ γ: dx = r·(g − mean(g) − x̂·mean(g ⊙ x̂)).
    vjp: (b, y, dy) => {
      const [x, gamma] = y.inputs;
      const r = b.saved(y, 'inverse');
      const normal = b.mul(b.sub(x, b.saved(y, 'mean')), r);
      const g = b.mul(dy, gamma);
      const along = b.add(b.mul(normal, b.mean(b.mul(g, normal), [-1])), b.mean(g, [-1]));
      return [b.mul(b.sub(g, along), r), b.reduceSum(b.mul(dy, normal), leading(x.shape)), dy];
    },
    lower: ({ attributes }) => [
      {
        op: 'LayerNormalization',
        inputs: ['$0', '$1', '$2'],
        output: '$y',
        moreOutputs: ['mean', 'inverse'],
        attributes: { axis: -1, epsilon: { float: attributes.epsilon } },
      },
    ],
  }),

  /**
   * Rotary positions (Su et al. 2021), halves split as Hugging Face has them: x [B, A, T, D] with cos, sin [B·T, D/2] →
   * (x₁cos − x₂sin, x₂cos + x₁sin); `inverse` turns back. cos and sin are tables without gradient.
   */
  Rotary: op<{ inverse: boolean }>({
    cheap: true,
    infer: ([x, cos, sin]) => {
      const [B, , T, D] = x.shape;
      for (const table of [cos, sin])
        if (
          x.shape.length !== 4 ||
          table.shape.length !== 2 ||
          table.shape[0] !== B * T ||
          2 * table.shape[1] !== D
        )
          throw InvalidArgument.at(
            'Rotary',
            `expected [B, A, T, D] with tables [B·T, D/2], got [${x.shape}] with [${table.shape}]`,
          );
      return { dtype: x.dtype, shape: x.shape };
    },
    evaluate: ([x, cos, sin], value) => {
      const [B, A, T, D] = x.shape;
      const sign = value.attributes.inverse ? -1 : 1;
      const out = new Float64Array(x.data.length);
      for (let r = 0; r < B * A * T; r++) {
        const at = (Math.floor(r / (A * T)) * T + (r % T)) * (D / 2);
        for (let i = 0; i < D / 2; i++) {
          const [c, s] = [cos.data[at + i], sign * sin.data[at + i]];
          const [p, q] = [x.data[r * D + i], x.data[r * D + D / 2 + i]];
          out[r * D + i] = p * c - q * s;
          out[r * D + D / 2 + i] = q * c + p * s;
        }
      }
      return out;
    },
    vjp: (b, { inputs: [, cos, sin], attributes }, dy) => [
      b.rotary(dy, cos, sin, { inverse: !attributes.inverse }),
      undefined,
      undefined,
    ],
    lower: ({ inputs: [x], attributes }) => {
      const [B, , T] = x.shape;
      return [
        ...(attributes.inverse ? [{ op: 'Neg', inputs: ['$2'], output: 'sin' }] : []),
        {
          op: 'Reshape',
          inputs: [{ ints: Array.from({ length: B * T }, (_, i) => i) }, { ints: [B, T] }],
          output: 'rows',
        },
        {
          op: 'RotaryEmbedding',
          domain: microsoft,
          inputs: ['$0', 'rows', '$1', attributes.inverse ? 'sin' : '$2'],
          output: '$y',
        },
      ];
    },
  }),
};
