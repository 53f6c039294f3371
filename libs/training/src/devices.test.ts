import { parse, Rng } from '@emotune/base';
import { initialTensors, parseConfig } from '@emotune/models';
import { expect, it } from 'vitest';
import { trainSpec } from './spec.js';
import { trainAlone } from './testing.js';

const ids = { vocab_size: 24, hidden_size: 16, bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
const configs = {
  llama: parseConfig({
    ...{ model_type: 'llama', ...ids, num_hidden_layers: 1, num_attention_heads: 2 },
    ...{ intermediate_size: 32, max_position_embeddings: 64, tie_word_embeddings: true },
  }),
  opt: parseConfig({
    ...{ model_type: 'opt', ...ids, num_hidden_layers: 1, num_attention_heads: 2 },
    ...{ ffn_dim: 32, max_position_embeddings: 64 },
  }),
  bloom: parseConfig({ model_type: 'bloom', ...ids, n_layer: 1, n_head: 2 }),
};

const rng = Rng.of('devices');
const rows = Array.from({ length: 200 }, (_, i) => {
  const tokens = Int32Array.from({ length: 6 + rng.int(8) }, () => 3 + rng.int(20));
  return { id: `r${i}`, task: 'a', tokens, answerStart: tokens.length - 2 };
});

it.each([
  ['llama', { name: 'full' }],
  ['opt', { name: 'lora', rank: 4, alpha: 8 }],
  ['bloom', { name: 'lora', rank: 4, alpha: 8, baseCompute: 'fp16' }],
] as const)('TensorFlow.js and ONNX Runtime lose the same in 100 steps: %s, %j', async (family, method) => {
  const losses = async (device: string) => {
    const seen: number[] = [];
    const spec = parse(trainSpec, {
      ...{ method, device, batchTokens: 64, seed: 3 },
      optimizer: { learningRate: 0.01 },
      stages: [{ tasks: ['a'], tokens: 5_600 }],
    });
    const model = { config: configs[family], tensors: initialTensors(configs[family], 7) };
    const notices: string[] = [];
    await trainAlone(model, { train: rows, validation: rows.slice(0, 20) }, spec, {
      onNotice: (text) => notices.push(text),
      onMeasurement: ({ trainLoss }) => {
        seen.push(trainLoss);
        return 'continue';
      },
    });
    return seen;
  };
  const want = await losses('cpu');
  expect(want.length).toBeGreaterThanOrEqual(100);
  expect(want.at(-1)).toBeLessThan(want[0]);
  (await losses('tfjs')).forEach((loss, i) => {
    // Roundings of float32 add up over the steps.
    expect(Math.abs(loss - want[i]) / want[i]).toBeLessThan(1e-3);
  });
});
