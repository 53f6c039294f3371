/**
 * Arithmetic on perturbations δ of token embeddings, [N, width] row-major. A sample is a row of the batch, `Span` its tokens;
 * what lies in no span is padding and stays 0. Pure.
 */
import type { Stream } from './stream.js';

/** Tokens `start` ≤ t < `start + length` of a batch, flat. */
interface Span {
  readonly start: number;
  readonly length: number;
}

export interface Extent {
  /** N: tokens of the batch, padding included. */
  readonly tokens: number;
  /** Elements of an embedding. */
  readonly width: number;
  readonly spans: readonly Span[];
}

function slice(delta: Float32Array, { start, length }: Span, width: number): Float32Array {
  return delta.subarray(start * width, (start + length) * width);
}

function euclidean(x: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

/** Draws for the real tokens, those of each sample scaled by what its length says. */
export function noise(
  { tokens, width, spans }: Extent,
  draw: () => number,
  scale: (length: number) => number,
): Float32Array {
  const delta = new Float32Array(tokens * width);
  for (const span of spans) {
    const part = slice(delta, span, width);
    const factor = scale(span.length);
    for (let i = 0; i < part.length; i++) part[i] = factor * draw();
  }
  return delta;
}

/** U(−1, 1). */
export function symmetricUniform(stream: Stream): () => number {
  return () => 2 * stream.uniform() - 1;
}

/** δ + α·g/‖g‖₂, the norm over each sample's tokens; a sample whose gradient is 0 or not finite stays where it is. */
export function ascendBySample(
  delta: Float32Array,
  gradient: Float32Array,
  { width, spans }: Extent,
  stepSize: number,
): Float32Array {
  const next = delta.slice();
  for (const span of spans) {
    const g = slice(gradient, span, width);
    const out = slice(next, span, width);
    const norm = euclidean(g);
    if (!(norm > 0 && norm < Number.POSITIVE_INFINITY)) continue;
    for (let i = 0; i < out.length; i++) out[i] += (stepSize * g[i]) / norm;
  }
  return next;
}

/** Each sample's part scaled down to ‖·‖₂ ≤ maxNorm. */
export function projectBySample(
  delta: Float32Array,
  { width, spans }: Extent,
  maxNorm: number,
): Float32Array {
  const next = delta.slice();
  for (const span of spans) {
    const out = slice(next, span, width);
    const norm = euclidean(out);
    if (norm <= maxNorm) continue;
    for (let i = 0; i < out.length; i++) out[i] *= maxNorm / norm;
  }
  return next;
}

/**
 * δ + η·g/(max|g| + 10⁻⁶), the largest over each token's embedding, then every element clipped to ±maxNorm; a token whose
 * gradient is not finite stays where it is.
 */
export function ascendByToken(
  delta: Float32Array,
  gradient: Float32Array,
  { width, spans }: Extent,
  { stepSize, maxNorm }: { readonly stepSize: number; readonly maxNorm: number },
): Float32Array {
  const next = delta.slice();
  for (const { start, length } of spans) {
    for (let t = start; t < start + length; t++) {
      const token = { start: t, length: 1 };
      const g = slice(gradient, token, width);
      const out = slice(next, token, width);
      const largest = g.reduce((top, x) => Math.max(top, Math.abs(x)), 0);
      if (!Number.isFinite(largest)) continue;
      for (let i = 0; i < width; i++) {
        const moved = out[i] + (stepSize * g[i]) / (largest + 1e-6);
        out[i] = Math.min(maxNorm, Math.max(-maxNorm, moved));
      }
    }
  }
  return next;
}
