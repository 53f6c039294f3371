/**
 * What the three families are made of. B batch, T sequence, N = B·T tokens, H width, A heads, D width of a head.
 * Hidden states are kept as [N, H], so that every linear layer is one matrix product.
 */
import { build as b, type Value } from '@emotune/graph';

/** Keys (after rotation) and values of one layer: each [B, K, T, D], K heads of keys and values. */
export interface KeyValues {
  readonly key: Value;
  readonly value: Value;
}

/** What attention goes on from, and what it leaves for the tokens after these. */
export interface Cache {
  /** Keys and values of each layer for P tokens before: [B, K, P, D], or [1, K, P, D] where all rows share them; empty where P = 0. */
  readonly past: readonly KeyValues[];
  /** [B, P] int64, which ALiBi needs. */
  readonly pastPositions?: Value;
  /** The keys and values of these T tokens, and of those before where `joined`; the builder adds each layer's. */
  readonly present: KeyValues[];
  /** Attend to, and leave, past and own keys as one tensor: they are copied, and P may be 0 at a run. */
  readonly joined?: boolean;
}

/** What every model graph is fed: see docs/decisions/0004. */
export interface ModelInputs {
  /** [B, T] int64. */
  readonly ids: Value;
  /** [B, T] int64, ≥ 0. */
  readonly positions: Value;
  /** [B, 1, T, P + T] bool: may query (third axis) attend to key (fourth)? P is 0 without a cache. */
  readonly mask: Value;
  readonly cache?: Cache;
  /** What training does to the token embeddings [N, E] as they are looked up, before anything else. */
  readonly atEmbeddings?: (tokens: Value) => Value;
}

/** Where a family's builder gets its weights: plain ones by name, linear layers with what is adapted in them. */
export interface Weights {
  get(name: string): Value;
  /** x [N, in] through the layer `module`: [N, out]. */
  linear(x: Value, module: string, options: { bias: boolean }): Value;
  /** The same through several layers, which may share what they have in common. */
  linears(x: Value, modules: readonly string[], options: { bias: boolean }): Value[];
}

export function modelInputs(batch: number, sequence: number): ModelInputs {
  return {
    ids: b.input('input_ids', 'int64', [batch, sequence]),
    positions: b.input('positions', 'int64', [batch, sequence]),
    mask: b.input('mask', 'bool', [batch, 1, sequence, sequence]),
  };
}

export function layerNorm(weights: Weights, x: Value, name: string, epsilon: number): Value {
  return b.layerNorm(x, weights.get(`${name}.weight`), weights.get(`${name}.bias`), epsilon);
}

/** [N, A·D] → [B, A, T, D]. */
export function splitHeads(x: Value, batch: number, sequence: number, heads: number): Value {
  return b.transpose(b.reshape(x, [batch, sequence, heads, x.shape[1] / heads]), [0, 2, 1, 3]);
}

/**
 * What attention adds to its scores: 0 where the query may attend to the key, else so little that float32's exp gives
 * exactly 0, and enough that a row without any key stays finite. Softmax then has no gradient there either.
 */
export function maskBias(mask: Value): Value {
  return b.where(mask, b.scalar(0), b.scalar(-1e9));
}

/**
 * Softmax(q·kᵀ/√D + bias) · v of a layer, over its past and own keys: q [B, A, T, D]; own ones [B, K, T, D], each head of
 * which serves A/K queries in a row → [N, A·D]. `bias` broadcasts to [B, A, T, P + T].
 */
export function attention(
  cache: Cache | undefined,
  layer: number,
  q: Value,
  ownKeys: Value,
  ownValues: Value,
  bias: Value,
): Value {
  const [batch, heads, sequence, width] = q.shape;
  const before = cache?.past[layer];
  const join = cache?.joined && before;
  const k = join ? b.concat([before.key, ownKeys], 2) : ownKeys;
  const v = join ? b.concat([before.value, ownValues], 2) : ownValues;
  const kv = k.shape[1];
  // The queries of a group lie one below the other, so no key is repeated.
  const grouped = b.reshape(q, [batch, kv, (heads / kv) * sequence, width]);
  const scoresOf = (keys: Value) =>
    b.matmul(grouped, keys, { transposeY: true, scale: 1 / Math.sqrt(width) });
  cache?.present.push({ key: k, value: v });
  const past = join ? undefined : before;
  // What is put together are scores: cached keys and values are never copied.
  const scores = past ? b.concat([scoresOf(past.key), scoresOf(k)], 3) : scoresOf(k);
  const keys = scores.shape[3];
  const byHead = b.softmax(b.add(b.reshape(scores, [batch, heads, sequence, keys]), bias));
  const probabilities = b.reshape(byHead, [batch, kv, (heads / kv) * sequence, keys]);
  const cached = keys - sequence;
  const mixed = past
    ? b.add(
        b.matmul(b.slice(probabilities, 3, 0, cached), past.value),
        b.matmul(b.slice(probabilities, 3, cached, keys), v),
      )
    : b.matmul(probabilities, v);
  const merged = b.transpose(b.reshape(mixed, [batch, heads, sequence, width]), [0, 2, 1, 3]);
  return b.reshape(merged, [batch * sequence, heads * width]);
}

/** Rows [n, …] of x [N, …], or x itself where none are asked for. */
export function rowsOf(x: Value, rows: Value | undefined): Value {
  return rows ? b.gather(x, rows) : x;
}

/** Rows of a table at [B, T] indices: [N, width]. */
export function embed(table: Value, indices: Value, then: (rows: Value) => Value = (rows) => rows): Value {
  return then(b.gather(table, b.reshape(indices, [indices.shape[0] * indices.shape[1]])));
}
