/**
 * Where the attention of a new model begins: the first layer passes on the average of what it reads, as trained
 * attention tends to (mimetic initialisation, Trockman and Kolter 2023). Pure.
 */
import { float32, type HostTensor } from '@emotune/engine';
import type { ModelConfig } from '@emotune/models';

/** Of the identity in each of both projections. */
const passed = 0.7;

/** The first layer's projections of values, with the row at which those of each head begin, and of outputs. */
function projections({ family, hiddenSize, heads }: ModelConfig) {
  const size = hiddenSize / heads;
  const straight = (head: number) => head * size;
  switch (family) {
    case 'llama':
      return {
        values: 'model.layers.0.self_attn.v_proj',
        begins: straight,
        outputs: 'model.layers.0.self_attn.o_proj',
      };
    case 'opt':
      return {
        values: 'model.decoder.layers.0.self_attn.v_proj',
        begins: straight,
        outputs: 'model.decoder.layers.0.self_attn.out_proj',
      };
    case 'bloom':
      // Query, key and value of a head lie together.
      return {
        values: 'transformer.h.0.self_attention.query_key_value',
        begins: (head: number) => (3 * head + 2) * size,
        outputs: 'transformer.h.0.self_attention.dense',
      };
  }
}

function withIdentity(
  { shape, data }: HostTensor,
  size: number,
  begins: (head: number) => number,
): HostTensor {
  const [, into] = shape;
  const changed = Float32Array.from(data as Float32Array);
  for (let i = 0; i < into; i++) changed[(begins(Math.floor(i / size)) + (i % size)) * into + i] += passed;
  return float32(shape, changed);
}

/** The tensors of a new model with as many heads of values as of queries, its first layer averaging. */
export function averagingAttention(
  config: ModelConfig,
  tensors: ReadonlyMap<string, HostTensor>,
): Map<string, HostTensor> {
  const { values, begins, outputs } = projections(config);
  const size = config.hiddenSize / config.heads;
  const changed = new Map(tensors);
  for (const [module, at] of [
    [values, begins],
    [outputs, (head: number) => head * size],
  ] as const) {
    const name = `${module}.weight`;
    changed.set(name, withIdentity(tensors.get(name)!, size, at));
  }
  return changed;
}
