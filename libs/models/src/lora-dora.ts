/**
 * DoRA (Liu et al. 2024): each row of W + s·B·A scaled to a trained length m. Its own length n counts as a constant in
 * the gradient (§4.3 there), as in PEFT.
 */
import { float32, type HostTensor } from '@emotune/engine';
import { build as b, type Value } from '@emotune/graph';
import { branch, type LoraForm, type LoraSite } from './lora-form.js';

const magnitude = 'lora_magnitude_vector';
const squares = 'weight_squares';

/** Σ of squares of each row. */
function rowSquares(weight: Float32Array, rows: number): Float64Array {
  const width = weight.length / rows;
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = row * width; i < (row + 1) * width; i++) sum += weight[i] * weight[i];
    return sum;
  });
}

/** One tensor [out] named after the module. */
function vector(module: string, name: string, values: Float64Array): Map<string, HostTensor> {
  return new Map([[`${module}.${name}`, float32([values.length], Float32Array.from(values))]]);
}

/** n [out]: ‖W + s·B·A‖² = ‖W‖² + Σ B ⊙ (2s·W·Aᵀ + s²·B·(A·Aᵀ)) by row, without a matrix [out, in]. */
function rowLengths({ base, tensor, scaling: s, out }: LoraSite): Value {
  const A = b.detach(tensor('lora_A.weight'));
  const B = b.detach(tensor('lora_B.weight'));
  const cross = b.mul(b.transpose(base(A), [1, 0]), b.scalar(2 * s));
  const own = b.mul(b.matmul(B, b.matmul(A, A, { transposeY: true })), b.scalar(s * s));
  const added = b.reshape(b.reduceSum(b.mul(B, b.add(cross, own)), [1]), [out]);
  return b.sqrt(b.add(tensor(squares), added));
}

export const dora: LoraForm = {
  parameters: ({ module, out }) => [{ name: `${module}.${magnitude}`, shape: [out] }],
  initial: ({ module, out }, weight) => vector(module, magnitude, rowSquares(weight, out).map(Math.sqrt)),
  constants: ({ module, out }) => [{ name: `${module}.${squares}`, shape: [out] }],
  constant: ({ module, out }, weight) => vector(module, squares, rowSquares(weight, out)),
  apply: (x, site) => {
    const scale = b.div(site.tensor(magnitude), rowLengths(site));
    const adapted = branch(x, site);
    if (site.mask === undefined) return b.mul(b.add(site.base(x), adapted), scale);
    // The branch is all that differs from W: (scale − 1)·W sees the masked input too.
    const bent = b.mul(site.base(b.mul(x, site.mask)), b.sub(scale, b.scalar(1)));
    return b.add(site.base(x), b.add(bent, b.mul(adapted, scale)));
  },
  merge: ({ into, out }, updated, tensor) => {
    const lengths = rowSquares(updated, out).map(Math.sqrt);
    const m = tensor(magnitude);
    return updated.map((w, i) => (w * m[Math.floor(i / into)]) / lengths[Math.floor(i / into)]);
  },
};
