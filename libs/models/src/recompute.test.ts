import { Rng } from '@emotune/base';
import { bool, type Executor, float32, type HostTensor, int64, OnnxExecutor } from '@emotune/engine';
import { type Recompute, recomputes } from '@emotune/graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from './config.js';
import { initialLora } from './lora.js';
import { frozenTensors, initialTensors, type Method, trainableParameters } from './model.js';
import { trainGraph } from './train-graph.js';

let executor: Executor;
beforeAll(() => {
  executor = OnnxExecutor.create({ threads: 1 });
});
afterAll(() => executor.close());

const common = { vocab_size: 50, hidden_size: 16 };
const layers = { num_hidden_layers: 5, num_attention_heads: 4, max_position_embeddings: 32 };
const configs = {
  llama: parseConfig({
    model_type: 'llama',
    ...common,
    ...layers,
    num_key_value_heads: 2,
    intermediate_size: 24,
  }),
  opt: parseConfig({ model_type: 'opt', ...common, ...layers, ffn_dim: 24 }),
  bloom: parseConfig({ model_type: 'bloom', ...common, n_layer: 5, n_head: 4 }),
};
const lora = { name: 'lora', rank: 2, alpha: 4 } as const;
const methods: readonly Method[] = [{ name: 'full' }, lora, { ...lora, baseCompute: 'int8' }];
const shape = { batch: 2, sequence: 8, answers: 4 };

describe('recomputation of a model', () => {
  it.each(Object.keys(configs) as (keyof typeof configs)[])(
    'gives the gradients of %s bit for bit',
    async (family) => {
      const config = configs[family];
      const rng = Rng.of('recompute', family);
      const draw = (count: number, below: number) => Array.from({ length: count }, () => rng.int(below));
      const lower = Uint8Array.from({ length: 2 * 8 * 8 }, (_, i) => (i % 8 <= (i >> 3) % 8 ? 1 : 0));
      const inputs = {
        input_ids: int64([2, 8], draw(16, 50)),
        positions: int64(
          [2, 8],
          Array.from({ length: 16 }, (_, i) => i % 8),
        ),
        mask: bool([2, 1, 8, 8], lower),
        answer_index: int64([4], [3, 6, 9, 14]),
        answer_target: int64([4], draw(4, 50)),
        answer_weight: float32([4], new Float32Array(4).fill(0.25)),
      };
      for (const method of methods) {
        const names = trainableParameters(config, method).map(({ name }) => `grad.${name}`);
        const tensors = initialTensors(config, 1);
        const weights = new Map([...tensors, ...frozenTensors({ config, tensors }, method)]);
        if (method.name === 'lora') {
          // B starts as zeros, with which A has no gradient.
          for (const [name, { shape: size, data }] of initialLora(config, method, 1))
            weights.set(
              name,
              float32(
                size,
                Float32Array.from(data as Float32Array, () => rng.normal()),
              ),
            );
        }
        const run = async (recompute: Recompute): Promise<Record<string, HostTensor>> => {
          const program = await executor.compile(trainGraph(config, method, shape, { recompute }));
          const all: Record<string, HostTensor> = { ...Object.fromEntries(weights), ...inputs };
          const feeds = Object.fromEntries(Object.keys(program.inputs).map((name) => [name, all[name]]));
          const result = await executor.run(program, { feeds, fetch: ['loss', ...names] });
          await executor.release(program);
          return result;
        };
        const [kept, ...others] = await Promise.all(recomputes.map(run));
        expect(Object.values(kept).some(({ data }) => data.some((v) => v !== 0))).toBe(true);
        for (const again of others) expect(again).toEqual(kept);
      }
    },
  );
});
