import { Rng } from '@emotune/base';
import { build as b, evaluate, type Value } from '@emotune/graph';
import { describe, expect, it } from 'vitest';
import { type KeyValues, type ModelInputs, modelInputs } from './blocks.js';
import { type ModelConfig, parseConfig } from './config.js';
import { GraphWeights, hiddenStates, initialTensors } from './model.js';

const ids = { vocab_size: 20, hidden_size: 24 };
const opt = { model_type: 'opt', ...ids, num_hidden_layers: 2, num_attention_heads: 3, ffn_dim: 40 };
const llama = {
  model_type: 'llama',
  ...ids,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  intermediate_size: 40,
};
const models: [string, ModelConfig][] = Object.entries({
  'llama, three queries a key': llama,
  'opt, normalised before': opt,
  'opt, normalised after, embeddings projected': {
    ...opt,
    do_layer_norm_before: false,
    word_embed_proj_dim: 8,
  },
  bloom: { model_type: 'bloom', ...ids, n_layer: 2, n_head: 3 },
}).map(([name, json]) => [name, parseConfig(json)]);

const [B, T, P] = [2, 5, 3];
const rng = Rng.of('families');
const tokens = Array.from({ length: B * T }, () => rng.int(20));

/** Weights larger than fresh ones, so that attention differs from a mean. */
function weightFeeds(config: ModelConfig): Record<string, Float64Array> {
  return Object.fromEntries(
    [...initialTensors(config, 3)].map(([name, { shape, data }]) => [
      name,
      Float64Array.from(data as Float32Array, (v) => (shape.length === 2 ? 8 * v : v)),
    ]),
  );
}

const columns = (values: readonly number[], width: number, from: number, to: number) =>
  values.filter((_, i) => i % width >= from && i % width < to);
/** Causal, for queries `from` ≤ t < T over all T keys. */
const causal = (rows: number, from: number, keys: number) =>
  Array.from({ length: rows * (keys - from) * keys }, (_, i) =>
    i % keys <= from + (Math.floor(i / keys) % (keys - from)) ? 1 : 0,
  );
const positions = Array.from({ length: B * T }, (_, i) => i % T);
const whole = { input_ids: tokens, positions, mask: causal(B, 0, T) };

/** Both are float64; only the order of sums differs. */
function expectSame(got: Float64Array, want: ArrayLike<number>) {
  expect(got.length).toBe(want.length);
  expect(Math.max(...got.map((v, i) => Math.abs(v - want[i])))).toBeLessThan(1e-9);
}

function pastOf(config: ModelConfig, batch: number): KeyValues[] {
  const heads = config.family === 'llama' ? config.kvHeads : config.heads;
  const shape = [batch, heads, P, config.family === 'llama' ? config.headDim : config.hiddenSize / heads];
  return Array.from({ length: config.layers }, (_, i) => ({
    key: b.input(`past.${i}.key`, 'float32', shape),
    value: b.input(`past.${i}.value`, 'float32', shape),
  }));
}

describe.each(models)('%s', (_, config) => {
  const feeds = { ...weightFeeds(config), ...whole };
  const states = (inputs: ModelInputs, rows?: Value) =>
    hiddenStates(config, new GraphWeights(config, { name: 'full' }), inputs, rows);
  const [{ data: all, shape }] = evaluate([states(modelInputs(B, T))], feeds);
  const width = shape[1];

  it('gives the rows that are asked, in their order', () => {
    const rows = [7, 0, 9, 7];
    const [asked] = evaluate([states(modelInputs(B, T), b.input('rows', 'int64', [4]))], { ...feeds, rows });
    expectSame(
      asked.data,
      rows.flatMap((row) => [...all.subarray(row * width, (row + 1) * width)]),
    );
  });

  it.each(['rows of their own', 'a row they share'])('goes on from the keys and values of %s', (kind) => {
    const shared = kind === 'a row they share';
    const before = shared ? 1 : B;
    const ownTokens = shared ? tokens.map((token, i) => (i % T < P ? tokens[i % T] : token)) : tokens;
    const [want] = evaluate([states(modelInputs(B, T))], { ...feeds, input_ids: ownTokens });
    const present: KeyValues[] = [];
    states({ ...modelInputs(before, P), cache: { past: [], present } });
    const kept = evaluate(
      present.flatMap(({ key, value }) => [key, value]),
      {
        ...feeds,
        input_ids: columns(ownTokens, T, 0, P).slice(0, before * P),
        positions: columns(positions, T, 0, P).slice(0, before * P),
        mask: causal(before, 0, P),
      },
    );
    const pastPositions = b.input('past_positions', 'int64', [B, P]);
    const inputs = {
      ...modelInputs(B, T - P),
      mask: b.input('mask', 'bool', [B, 1, T - P, T]),
      cache: { past: pastOf(config, before), pastPositions, present: [] },
    };
    const [rest] = evaluate([states(inputs)], {
      ...feeds,
      ...Object.fromEntries(kept.map(({ data }, i) => [`past.${i >> 1}.${i % 2 ? 'value' : 'key'}`, data])),
      input_ids: columns(ownTokens, T, P, T),
      positions: columns(positions, T, P, T),
      past_positions: columns(positions, T, 0, P),
      mask: causal(B, P, T),
    });
    expectSame(
      rest.data,
      [...want.data].filter((_, i) => Math.floor(i / width) % T >= P),
    );
  });
});

describe('dynamic rotary scaling', () => {
  const dynamic = (max: number) =>
    parseConfig({
      ...llama,
      max_position_embeddings: max,
      rope_scaling: { rope_type: 'dynamic', factor: 4 },
    });
  const run = (config: ModelConfig) =>
    evaluate([hiddenStates(config, new GraphWeights(config, { name: 'full' }), modelInputs(B, T))], {
      ...weightFeeds(config),
      ...whole,
    })[0].data;

  it.each([
    ['within the trained length changes nothing', 8, 1],
    // factor·length/longest − (factor − 1), as transformers' dynamic NTK scaling has it.
    ['beyond it raises the base', 3, (4 * T) / 3 - 3],
  ])('%s', (_, max, stretch) => {
    const plain = parseConfig({ ...llama, rope_theta: 10000 * stretch ** (4 / (4 - 2)) });
    const [got, want] = [run(dynamic(max)), run(plain)];
    // The plain model's frequencies are rounded to float32.
    expect(Math.max(...got.map((v, i) => Math.abs(v - want[i])))).toBeLessThan(1e-5);
    if (stretch !== 1) expect(got).not.toEqual(run(dynamic(8)));
  });
});
