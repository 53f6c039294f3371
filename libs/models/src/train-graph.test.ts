import { Rng } from '@emotune/base';
import { onnxMemory } from '@emotune/engine';
import { evaluate, type Value } from '@emotune/graph';
import { describe, expect, it } from 'vitest';
import { parseConfig } from './config.js';
import { loraModules } from './lora.js';
import { type Method, trainableParameters } from './model.js';
import { modelParameters } from './parameters.js';
import { mixedParameters } from './perturbed-weights.js';
import { ascentGraph, referenceGraph, type StepOptions, trainGraph } from './train-graph.js';

type Feeds = Record<string, ArrayLike<number>>;

const ids = { vocab_size: 11, hidden_size: 8, bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
const configs = {
  llama: parseConfig({
    model_type: 'llama',
    ...ids,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 12,
  }),
  // With projections of its embeddings, as opt-350m.
  opt: parseConfig({
    model_type: 'opt',
    ...ids,
    word_embed_proj_dim: 6,
    do_layer_norm_before: false,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    ffn_dim: 12,
    max_position_embeddings: 16,
  }),
  bloom: parseConfig({ model_type: 'bloom', ...ids, n_layer: 1, n_head: 2 }),
};
const { llama } = configs;
const full: Method = { name: 'full' };
const lora: Method = { name: 'lora', rank: 2, alpha: 3, targets: ['q_proj', 'down_proj'] };

const [B, T, n] = [2, 4, 3];
const shape = { batch: B, sequence: T, answers: n };

function numbers(count: number, name: string, scale = 0.5): number[] {
  const rng = Rng.of('train-graph', name);
  return Array.from({ length: count }, () => scale * rng.normal());
}

/** Weights and a batch of two rows, of 4 and 3 tokens. */
function feedsOf(config: (typeof configs)['llama'], method: Method): Feeds {
  const mask = new Float64Array(B * T * T);
  for (let row = 0; row < B; row++)
    for (let q = 0; q < T; q++) for (let k = 0; k <= q; k++) mask[(row * T + q) * T + k] = 1;
  return {
    ...Object.fromEntries(
      [...modelParameters(config), ...trainableParameters(config, method)].map(({ name, shape: dims }) => [
        name,
        numbers(
          dims.reduce((a, d) => a * d, 1),
          name,
        ),
      ]),
    ),
    input_ids: [3, 4, 5, 6, 7, 8, 9, 0],
    positions: [0, 1, 2, 3, 0, 1, 2, 3],
    mask,
    answer_index: [1, 2, 5],
    answer_target: [5, 6, 9],
    answer_weight: [0.25, 0.25, 0.5],
  };
}

function run<K extends string>(outputs: Record<K, Value>, feeds: Feeds, names: readonly K[]): Float64Array[] {
  return evaluate(
    names.map((name) => outputs[name]),
    feeds,
  ).map(({ data }) => data);
}

/** The loss by central differences of one input. */
function differences(f: (feeds: Feeds) => number, feeds: Feeds, name: string): number[] {
  const h = 1e-5;
  return Array.from(feeds[name], (_, i) => {
    const at = (by: number) => {
      const moved = Float64Array.from(feeds[name]);
      moved[i] += by;
      return f({ ...feeds, [name]: moved });
    };
    return (at(h) - at(-h)) / (2 * h);
  });
}

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance = 1e-8): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) expect(Math.abs(got[i] - want[i])).toBeLessThan(tolerance);
}

const lossOf = (config: (typeof configs)['llama'], method: Method, options: StepOptions = {}) => {
  const graph = trainGraph(config, method, shape, options);
  return (feeds: Feeds) => run(graph, feeds, ['loss'])[0][0];
};

describe('trainGraph', () => {
  it.each(['llama', 'opt', 'bloom'] as const)('%s: grad.delta is the loss’s by the embeddings', (family) => {
    const config = configs[family];
    const width = family === 'opt' ? 6 : 8;
    const feeds = { ...feedsOf(config, full), delta: numbers(B * T * width, 'delta', 0.1) };
    const [got] = run(trainGraph(config, full, shape, { delta: true }), feeds, ['grad.delta']);
    expectClose(got, differences(lossOf(config, full, { delta: true }), feeds, 'delta'));
    const [ascent] = run(ascentGraph(config, full, shape, {}), feeds, ['grad.delta']);
    expect(ascent).toEqual(got);
    // What no answer attends to has no gradient.
    expect([...got.slice(7 * width)].every((g) => g === 0)).toBe(true);
  });

  it('adds delta to the embedding table’s rows', () => {
    const feeds = feedsOf(llama, full);
    const table = Float64Array.from(feeds['model.embed_tokens.weight']);
    const delta = numbers(B * T * 8, 'delta', 0.1);
    // Every token occurs once, so its row can be moved instead.
    const moved = table.slice();
    Array.from(feeds['input_ids']).forEach((id, t) => {
      for (let i = 0; i < 8; i++) moved[id * 8 + i] += delta[t * 8 + i];
    });
    expect(lossOf(llama, full, { delta: true })({ ...feeds, delta })).toBeCloseTo(
      lossOf(llama, full)({ ...feeds, 'model.embed_tokens.weight': moved }),
      12,
    );
  });

  it('has one side of the consistency’s gradient, and the two sides are the whole', () => {
    const options = { delta: true, consistency: true };
    const feeds = feedsOf(llama, lora);
    const name = 'model.layers.0.mlp.down_proj.lora_A.weight';
    const weights = { consistency_weight: [0.3, 0, 0.7] };
    const still = { delta: new Float64Array(B * T * 8) };
    const noisy = { delta: numbers(B * T * 8, 'noise', 0.2) };
    const reference = referenceGraph(llama, lora, shape, { delta: true });
    const logs = (given: Feeds, delta: Feeds) =>
      run(reference, { ...given, ...delta }, ['log_probabilities'])[0];
    const whole = (given: Feeds) => {
      const [p, q] = [logs(given, still), logs(given, noisy)];
      let sum = 0;
      p.forEach((l, i) => {
        sum += weights.consistency_weight[Math.floor(i / 11)] * (Math.exp(l) - Math.exp(q[i])) * (l - q[i]);
      });
      return sum;
    };
    const graph = trainGraph(llama, lora, shape, options);
    const side = (delta: Feeds, other: Feeds) =>
      run(
        graph,
        { ...feeds, ...delta, ...weights, answer_weight: [0, 0, 0], reference: logs(feeds, other) },
        [`grad.${name}`, 'log_probabilities'],
      );
    const [first, logProbabilities] = side(still, noisy);
    expect(logProbabilities).toEqual(logs(feeds, still));
    const [second] = side(noisy, still);
    expectClose(
      first.map((g, i) => g + second[i]),
      differences(whole, feeds, name),
    );
  });

  it('mixes embeddings and losses', () => {
    const feeds = feedsOf(llama, full);
    const table = feeds['model.embed_tokens.weight'];
    const row = (id: number) => Array.from({ length: 8 }, (_, i) => table[id * 8 + i]);
    // Token 6 of the first row is mixed with 9 of the second, at the first row's place; 5 with 8 likewise.
    const mix = {
      mix_index: [0, 1, 5, 6, 4, 5, 6, 7],
      mix_share: [1, 1, 0.7, 0.7, 1, 1, 1, 1],
      answer_weight: [0.25, 0.25 * 0.7, 0.5],
      mix_weight: [0, 0.25 * 0.3, 0],
      mix_target: [5, 9, 9],
    };
    const delta = new Float64Array(B * T * 8);
    const mixed = (t: number, own: number, other: number) =>
      row(own).forEach((x, i) => {
        delta[t * 8 + i] = 0.3 * (row(other)[i] - x);
      });
    mixed(2, 5, 8);
    mixed(3, 6, 9);
    const plain = lossOf(llama, full, { delta: true });
    const want =
      plain({ ...feeds, delta, answer_weight: mix.answer_weight }) +
      plain({ ...feeds, delta, answer_weight: mix.mix_weight, answer_target: mix.mix_target });
    expect(lossOf(llama, full, { mixup: true })({ ...feeds, ...mix })).toBeCloseTo(want, 7);
  });
});

describe('masks', () => {
  const rate = 0.25;
  const bits = (count: number, name: string) => numbers(count, name).map((x) => (x > -0.3 ? 1 : 0));
  /** Feeds for the masks of a graph, by the name and size of each. */
  const masksOf = (options: StepOptions, method: Method): Feeds => {
    const masks: Feeds = {};
    const visit = (value: Value, seen: Set<Value>) => {
      if (seen.has(value)) return;
      seen.add(value);
      if (value.name?.startsWith('mask.'))
        masks[value.name] = bits(
          value.shape.reduce((a, d) => a * d, 1),
          value.name,
        );
      for (const input of value.inputs) visit(input, seen);
    };
    visit(trainGraph(llama, method, shape, options)['loss'], new Set());
    return masks;
  };

  it('mix full weights with the pretrained ones, with the exact gradient', () => {
    for (const over of ['element', 'inputFeature'] as const) {
      const options = { mixout: { rate, over } };
      const feeds: Feeds = { ...feedsOf(llama, full), ...masksOf(options, full) };
      const mixed = mixedParameters(llama, full);
      expect(mixed).toHaveLength(7);
      const merged: Feeds = { ...feeds };
      const factors: Feeds = {};
      for (const name of mixed) {
        const w = feeds[name];
        const pretrained = numbers(w.length, `pretrained ${name}`);
        feeds[`pretrained.${name}`] = pretrained;
        const mask = feeds[`mask.mixout.${name.replace('.weight', '')}`];
        const factor = Array.from(w, (_, i) => mask[i % mask.length] / (1 - rate));
        factors[name] = factor;
        merged[name] = pretrained.map((w0, i) => w0 + factor[i] * (w[i] - w0));
      }
      expect(lossOf(llama, full, options)(feeds)).toBeCloseTo(lossOf(llama, full)(merged), 6);
      const name = 'model.layers.0.mlp.up_proj.weight';
      const [got] = run(trainGraph(llama, full, shape, options), feeds, [`grad.${name}`]);
      const [plain] = run(trainGraph(llama, full, shape), merged, [`grad.${name}`]);
      // 1/(1 − p) is stored as float32.
      expectClose(
        got,
        plain.map((g, i) => factors[name][i] * g),
        1e-6,
      );
    }
  });

  it('mask LoRA updates as mixout masks the merged weights', () => {
    for (const over of ['element', 'inputFeature'] as const) {
      const options = { mixout: { rate, over } };
      const feeds: Feeds = { ...feedsOf(llama, lora), ...masksOf(options, lora) };
      const merged: Feeds = { ...feeds };
      for (const { module, into, out, rank, scaling } of loraModules(llama, lora)) {
        const mask = feeds[`mask.mixout.${module}`];
        const [a, up] = ['lora_A', 'lora_B'].map((part) => feeds[`${module}.${part}.weight`]);
        merged[`${module}.weight`] = Float64Array.from(feeds[`${module}.weight`], (w, at) => {
          const [o, i] = [Math.floor(at / into), at % into];
          let product = 0;
          for (let r = 0; r < rank; r++) product += up[o * rank + r] * a[r * into + i];
          expect(o).toBeLessThan(out);
          return w + (scaling * product * mask[at % mask.length]) / (1 - rate);
        });
      }
      expect(lossOf(llama, lora, options)(feeds)).toBeCloseTo(lossOf(llama, full)(merged), 6);
      const name = 'model.layers.0.self_attn.q_proj.lora_B.weight';
      const [got] = run(trainGraph(llama, lora, shape, options), feeds, [`grad.${name}`]);
      expectClose(got, differences(lossOf(llama, lora, options), feeds, name));
    }
  });

  it('drop what LoRA branches see, for each token anew', () => {
    const options = { loraDropout: rate };
    const feeds: Feeds = { ...feedsOf(llama, lora), ...masksOf(options, lora) };
    const shared: Feeds = { ...feeds };
    for (const { module, into } of loraModules(llama, lora)) {
      const own = bits(into, module);
      feeds[`mask.lora.${module}`] = Array.from(feeds[`mask.lora.${module}`], (_, i) => own[i % into]);
      shared[`mask.mixout.${module}`] = own;
    }
    expect(lossOf(llama, lora, options)(feeds)).toBe(
      lossOf(llama, lora, { mixout: { rate, over: 'inputFeature' } })(shared),
    );
  });

  it('drop elements of the embeddings and of what sublayers add', () => {
    const feeds = feedsOf(llama, full);
    const table = feeds['model.embed_tokens.weight'];
    const kept = bits(B * T * 8, 'embeddings');
    const delta = kept.map((bit, i) => {
      const x = table[feeds['input_ids'][Math.floor(i / 8)] * 8 + (i % 8)];
      return (x * bit) / (1 - rate) - x;
    });
    expect(
      lossOf(llama, full, { embeddingDropout: rate })({ ...feeds, 'mask.embeddings': kept }),
    ).toBeCloseTo(lossOf(llama, full, { delta: true })({ ...feeds, delta }), 6);

    const options = { hiddenDropout: rate };
    const masks = masksOf(options, full);
    expect(Object.keys(masks).map((name) => name.split('.').at(-1))).toEqual(['o_proj', 'down_proj']);
    // Kept whole, an output is that of a layer with larger weights.
    const whole = Object.fromEntries(
      Object.entries(masks).map(([name, bit]) => [name, Array.from(bit, () => 1)]),
    );
    const larger = { ...feeds };
    for (const module of ['self_attn.o_proj', 'mlp.down_proj']) {
      const name = `model.layers.0.${module}.weight`;
      larger[name] = Array.from(feeds[name], (w) => w / (1 - rate));
    }
    expect(lossOf(llama, full, options)({ ...feeds, ...whole })).toBeCloseTo(lossOf(llama, full)(larger), 6);
    const name = 'model.layers.0.self_attn.o_proj.weight';
    const [got] = run(trainGraph(llama, full, shape, options), { ...feeds, ...masks }, [`grad.${name}`]);
    expectClose(got, differences(lossOf(llama, full, options), { ...feeds, ...masks }, name));
  });
});

describe('a loss that is made piece by piece', () => {
  it.each([
    ['llama', full],
    ['opt', { name: 'lora', rank: 2, alpha: 3, targets: ['q_proj', 'fc2'] }],
    ['bloom', full],
  ] as const)('has the loss and the gradients of the whole: %s', (family, method) => {
    const given = feedsOf(configs[family], method);
    const of = (options: StepOptions) => {
      const graph = trainGraph(configs[family], method, shape, { labelSmoothing: 0.1, ...options });
      const results = evaluate(Object.values(graph), given);
      return new Map(Object.keys(graph).map((name, i) => [name, results[i]]));
    };
    const [whole, pieces] = [of({}), of({ pieceElements: 11 })];
    for (const [name, { shape: dims, data }] of pieces) {
      expect(dims, name).toEqual(whole.get(name)!.shape);
      for (const [i, value] of data.entries()) expect(value, name).toBeCloseTo(whole.get(name)!.data[i], 12);
    }
  });

  it('takes less memory where every token is labelled and the head is frozen', () => {
    const method: Method = { name: 'lora', rank: 8, alpha: 16 };
    // Of a wide vocabulary, as models of 100 million weights have it.
    const wide = { ...llama, vocabSize: 49_152, hiddenSize: 64, layers: 2 };
    const labelled = { batch: 4, sequence: 128, answers: 508 };
    const running = (options: StepOptions) =>
      onnxMemory(1).of(trainGraph(wide, method, labelled, options)).running;
    expect(running({})).toBeLessThan(0.6 * running({ pieceElements: Number.POSITIVE_INFINITY }));
  });
});
