/** Keys and values as graph inputs and outputs: `past.<layer>.key`, `present.<layer>.value`, and so on. */
import { build as b, type Shape, type Value } from '@emotune/graph';
import type { KeyValues } from './blocks.js';
import type { ModelConfig } from './config.js';

/** [B, K, P, D] of the keys and of the values of each layer. */
export function cacheShape(config: ModelConfig, batch: number, length: number): Shape {
  const llama = config.family === 'llama';
  return [
    batch,
    llama ? config.kvHeads : config.heads,
    length,
    llama ? config.headDim : config.hiddenSize / config.heads,
  ];
}

/** The names of every key and value tensor: the input, and the output that becomes part of it. */
export function cacheNames({ layers }: ModelConfig): { past: string; present: string }[] {
  return Array.from({ length: layers }, (_, i) =>
    ['key', 'value'].map((part) => ({ past: `past.${i}.${part}`, present: `present.${i}.${part}` })),
  ).flat();
}

/** Keys and values of `length` tokens before, of every layer. */
export function pastInputs(config: ModelConfig, batch: number, length: number): KeyValues[] {
  const shape = cacheShape(config, batch, length);
  const inputs = cacheNames(config).map(({ past }) => b.state(past, 'float32', shape));
  return Array.from({ length: config.layers }, (_, i) => ({ key: inputs[2 * i], value: inputs[2 * i + 1] }));
}

/** The keys and values of every layer, as outputs. */
export function presentOutputs(config: ModelConfig, present: readonly KeyValues[]): Record<string, Value> {
  const values = present.flatMap(({ key, value }) => [key, value]);
  return Object.fromEntries(cacheNames(config).map((names, i) => [names.present, values[i]]));
}
