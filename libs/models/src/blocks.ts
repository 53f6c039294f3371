/**
 * What the three families are made of. B batch, T sequence, N = B·T tokens, H width, A heads, D width of a head.
 * Hidden states are kept as [N, H], so that every linear layer is one matrix product.
 */
import { build as b, type Value } from '@emotune/graph';

/** What every model graph is fed: see docs/decisions/0004. */
export interface ModelInputs {
  /** [B, T] int64. */
  readonly ids: Value;
  /** [B, T] int64, ≥ 0. */
  readonly positions: Value;
  /** [B, 1, T, T] bool: may query (third axis) attend to key (fourth)? */
  readonly mask: Value;
  /** What training does to the token embeddings [N, E] as they are looked up, before anything else. */
  readonly atEmbeddings?: (tokens: Value) => Value;
}

/** Where a family's builder gets its weights: plain ones by name, linear layers with what is adapted in them. */
export interface Weights {
  get(name: string): Value;
  /** x [N, in] through the layer `module`: [N, out]. */
  linear(x: Value, module: string, options: { bias: boolean }): Value;
}

export function modelInputs(batch: number, sequence: number): ModelInputs {
  return {
    ids: b.input('input_ids', 'int64', [batch, sequence]),
    positions: b.input('positions', 'int64', [batch, sequence]),
    mask: b.input('mask', 'bool', [batch, 1, sequence, sequence]),
  };
}

/** y = (x − μ)/√(σ² + ε) ⊙ γ + β over the last axis. */
export function layerNorm(weights: Weights, x: Value, name: string, epsilon: number): Value {
  const centred = b.sub(x, b.mean(x, [-1]));
  const variance = b.mean(b.mul(centred, centred), [-1]);
  const normal = b.div(centred, b.sqrt(b.add(variance, b.scalar(epsilon))));
  return b.add(b.mul(normal, weights.get(`${name}.weight`)), weights.get(`${name}.bias`));
}

/** y = x/√(mean(x²) + ε) ⊙ γ over the last axis. */
export function rmsNorm(weights: Weights, x: Value, name: string, epsilon: number): Value {
  const normal = b.div(x, b.sqrt(b.add(b.mean(b.mul(x, x), [-1]), b.scalar(epsilon))));
  return b.mul(normal, weights.get(`${name}.weight`));
}

/** GELU by tanh, as BLOOM has it: ½x(1 + tanh(√(2/π)·x(1 + 0.044715x²))). */
export function geluTanh(x: Value): Value {
  const inner = b.mul(
    b.mul(x, b.scalar(0.79788456)),
    b.add(b.scalar(1), b.mul(b.scalar(0.044715), b.mul(x, x))),
  );
  return b.mul(b.mul(x, b.scalar(0.5)), b.add(b.scalar(1), b.tanh(inner)));
}

/** [N, A·D] → [B, A, T, D]. */
export function splitHeads(x: Value, batch: number, sequence: number, heads: number): Value {
  return b.transpose(b.reshape(x, [batch, sequence, heads, x.shape[1] / heads]), [0, 2, 1, 3]);
}

/** Softmax(q·kᵀ/√D + bias, where mask) · v: three [B, A, T, D] → [N, A·D]. `bias` broadcasts to [B, A, T, T]. */
export function attention(q: Value, k: Value, v: Value, mask: Value, bias?: Value): Value {
  const [batch, heads, sequence, width] = q.shape;
  // Scaling q costs T·D products, scaling the scores T·T.
  const scores = b.matmul(b.mul(q, b.scalar(1 / Math.sqrt(width))), k, { transposeY: true });
  const biased = bias ? b.add(scores, bias) : scores;
  // Low enough that float32's exp gives exactly 0, high enough that a row without any key stays finite.
  const probabilities = b.softmax(b.where(mask, biased, b.scalar(-1e9)));
  const mixed = b.transpose(b.matmul(probabilities, v), [0, 2, 1, 3]);
  return b.reshape(mixed, [batch * sequence, heads * width]);
}

/** Rows [n, …] of x [N, …], or x itself where none are asked for. */
export function rowsOf(x: Value, rows: Value | undefined): Value {
  return rows ? b.gather(x, rows) : x;
}

/** Rows of a table at [B, T] indices: [N, width]. */
export function embed(table: Value, indices: Value, then: (rows: Value) => Value = (rows) => rows): Value {
  return then(b.gather(table, b.reshape(indices, [indices.shape[0] * indices.shape[1]])));
}
