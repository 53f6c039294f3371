import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, Rng, type Violation } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { build as b, evaluate, gradients, sizeOf, type Value } from '@emotune/graph';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modelInputs } from './blocks.js';
import { loadModel, type Model, saveModel } from './checkpoint.js';
import { parseConfig } from './config.js';
import { type Lora, loraModules } from './lora.js';
import {
  frozenTensors,
  GraphWeights,
  hiddenStates,
  initialTensors,
  initialTrainable,
  logitsOf,
  type Method,
  rateScaleOf,
  trainableParameters,
} from './model.js';
import { modelParameters } from './parameters.js';
import { type Adapter, adaptedTensors, loadAdapter, mergeAdapter, saveAdapter } from './peft.js';
import { SafetensorsFile, writeSafetensors } from './safetensors.js';
import { lossGraph, trainGraph } from './train-graph.js';

const ids = { vocab_size: 11, hidden_size: 12, bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
const llamaJson = (more: object = {}) => ({
  model_type: 'llama',
  ...ids,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 10,
  attention_bias: true,
  mlp_bias: true,
  ...more,
});
const llama = parseConfig(llamaJson());
const tied = parseConfig(llamaJson({ tie_word_embeddings: true }));
const opt = parseConfig({
  model_type: 'opt',
  ...ids,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  ffn_dim: 10,
  word_embed_proj_dim: 5,
  do_layer_norm_before: false,
  max_position_embeddings: 16,
});
const bloom = parseConfig({ model_type: 'bloom', ...ids, n_layer: 2, n_head: 3 });

const plain: Lora = { rank: 2, alpha: 3 };

function violationsOf(run: () => unknown): readonly Violation[] {
  try {
    run();
  } catch (error) {
    return (error as { violations: readonly Violation[] }).violations;
  }
  return [];
}

describe('the layers that are adapted', () => {
  const names = (lora: Partial<Lora>, config = llama) =>
    loraModules(config, { ...plain, ...lora }).map(({ module }) => module);

  it('are those whose path ends as told, or matches whole, but for what is excluded', () => {
    expect(names({})).toHaveLength(21);
    expect(names({ targets: ['mlp.down_proj', 'model.layers.1.self_attn.q_proj'] })).toEqual([
      'model.layers.0.mlp.down_proj',
      'model.layers.1.self_attn.q_proj',
      'model.layers.1.mlp.down_proj',
      'model.layers.2.mlp.down_proj',
    ]);
    expect(names({ targets: '.*\\.(0|2)\\.self_attn\\.(q|v)_proj' })).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.0.self_attn.v_proj',
      'model.layers.2.self_attn.q_proj',
      'model.layers.2.self_attn.v_proj',
    ]);
    // The pattern is for the whole path.
    expect(violationsOf(() => names({ targets: 'q_proj' }))).toHaveLength(1);
    expect(names({ targets: ['q_proj'], layersToTransform: [2] })).toEqual([
      'model.layers.2.self_attn.q_proj',
    ]);
    expect(names({ targets: ['q_proj'], exclude: ['1.self_attn.q_proj'] })).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.2.self_attn.q_proj',
    ]);
    // Inside of what is trained whole nothing is adapted.
    expect(names({ targets: ['up_proj'], modulesToSave: ['layers.1.mlp'] })).toHaveLength(2);
    expect(names({ targets: 'all-linear' }, opt)).toContain('model.decoder.project_in');
    expect(names({ targets: 'all-linear' }, tied)).not.toContain('lm_head');
    expect(names({ targets: ['lm_head'] }, tied)).toEqual(['lm_head']);
  });

  it('have the rank and alpha of the first pattern that matches the end of their path', () => {
    // Shapes and scalings that peft 0.21.2 gives for these settings.
    const lora: Lora = {
      rank: 4,
      alpha: 8,
      targets: ['q_proj', 'v_proj', 'down_proj'],
      rankPattern: { q_proj: 2, 'layers.1.self_attn.v_proj': 7, '^model.layers.2.mlp.down_proj': 1 },
      alphaPattern: { v_proj: 3, '.*\\.2\\..*down_proj': 5.5, 'down_proj|o_proj': 6 },
    };
    const [q0, v0, d0, , v1, , , , d2] = loraModules(llama, lora);
    expect([q0, v0, d0, v1, d2].map(({ rank, scaling }) => [rank, scaling])).toEqual([
      [2, 4],
      [4, 3 / 4],
      [4, 6 / 4],
      [7, 3 / 7],
      [1, 5.5],
    ]);
    expect(loraModules(llama, { ...lora, rankStabilised: true })[0].scaling).toBe(8 / Math.SQRT2);
  });

  it.each<[Partial<Lora>, string]>([
    [{ targets: ['q_prj'] }, 'targets: expected modules of llama (q_proj, k_proj'],
    [{ targets: ['embed_tokens'] }, 'targets: expected linear layers, got the table model.embed_tokens'],
    [{ targets: '(' }, 'targets: expected a regular expression, got "("'],
    [
      { rankPattern: { o_proj: 2 }, targets: ['q_proj'] },
      'rankPattern["o_proj"]: expected a regular expression',
    ],
    [{ modulesToSave: ['lm_heat'] }, 'modulesToSave: expected modules of llama'],
    [
      { modulesToSave: ['proj'] },
      'modulesToSave: expected modules without adapted layers, got model.layers.0.self',
    ],
    [{ layersToTransform: [3] }, 'layersToTransform: expected blocks from 0 to 2, got 3'],
    [
      { targets: '.*q_proj', layersToTransform: [1] },
      'layersToTransform: expected none beside a regular expression',
    ],
    [{ targets: ['q_proj'], exclude: ['q_proj'] }, 'targets: expected a linear layer to adapt, got none'],
    [{ ensureWeightTying: true }, 'ensureWeightTying: expected false: the head of this model is not tied'],
  ])('%j is refused by name', (lora, message) => {
    expect(() => trainableParameters(llama, { name: 'lora', ...plain, ...lora })).toThrow(message);
  });
});

const [B, T] = [2, 5];

/** Positions of two rows and a causal mask, beside the weights. */
function feedsOf(tensors: ReadonlyMap<string, HostTensor>): Record<string, ArrayLike<number>> {
  const mask = new Float64Array(B * T * T);
  for (let row = 0; row < B; row++)
    for (let q = 0; q < T; q++) for (let k = 0; k <= q; k++) mask[(row * T + q) * T + k] = 1;
  return {
    ...Object.fromEntries([...tensors].map(([name, { data }]) => [name, data as Float32Array])),
    input_ids: [3, 9, 4, 10, 5, 8, 8, 6, 7, 3],
    positions: [0, 1, 2, 3, 4, 0, 1, 2, 3, 4],
    mask,
  };
}

/** Computed in float64 from float32 weights. */
function logits(
  config: Model['config'],
  method: Method,
  tensors: ReadonlyMap<string, HostTensor>,
): Float64Array {
  const weights = new GraphWeights(config, method);
  const value = logitsOf(weights, hiddenStates(config, weights, modelInputs(B, T)));
  return evaluate([value], feedsOf(tensors))[0].data;
}

function largestDifference(x: ArrayLike<number>, y: ArrayLike<number>): number {
  expect(x.length).toBe(y.length);
  return Array.from(x).reduce((worst, v, i) => Math.max(worst, Math.abs(v - y[i])), 0);
}

/** Like the initial weights but larger, and norms and biases away from 1 and 0. */
function baseOf(config: Model['config']): Model {
  const tensors = new Map(
    [...initialTensors(config, 1)].map(([name, { shape, data }]) => {
      const rng = Rng.of('base', name);
      const larger = (v: number) => (shape.length > 1 ? 8 * v : v + 0.1 * rng.normal());
      return [name, float32(shape, Float32Array.from(data as Float32Array, larger))];
    }),
  );
  return { config, tensors };
}

/** As after some training: every trained tensor away from where it began. */
function adapterOf(model: Model, lora: Lora): Adapter {
  const fresh = initialTrainable(model, { name: 'lora', ...lora }, 1);
  const tensors = new Map(
    [...fresh].map(([name, { shape, data }]) => {
      const rng = Rng.of('adapter', name);
      const moved = (v: number) => v + 0.2 * rng.normal();
      return [name, float32(shape, Float32Array.from(data as Float32Array, moved))];
    }),
  );
  return { lora, tensors };
}

const oneOf = <X>(...values: X[]) => fc.constantFrom(...values);
const settings = fc.record({
  config: oneOf(llama, tied, opt, bloom),
  lora: fc.record({
    rank: fc.integer({ min: 1, max: 4 }),
    alpha: oneOf(1, 5),
    targets: oneOf<Lora['targets']>(undefined, 'all-linear', ['lm_head'], '.*(q_proj|dense|fc2|down_proj)'),
    dora: fc.boolean(),
    rankStabilised: fc.boolean(),
    bias: oneOf('none', 'all', 'lora_only') as fc.Arbitrary<'none' | 'all' | 'lora_only'>,
    table: fc.boolean(),
    head: fc.boolean(),
    tying: fc.boolean(),
  }),
});

/** Without what would be refused. */
function sensible(
  config: Model['config'],
  given: typeof settings extends fc.Arbitrary<infer S> ? S : never,
): Lora {
  const { table, head, tying, ...lora } = given.lora;
  const adapted = Array.isArray(lora.targets);
  const modulesToSave = [
    ...(table ? [config.family === 'bloom' ? 'word_embeddings' : 'embed_tokens'] : []),
    ...(head && !adapted ? ['lm_head'] : []),
  ];
  return { ...lora, modulesToSave, ensureWeightTying: tying && config.tieEmbeddings && !adapted };
}

it('an adapted model starts as its base and answers as it does merged', () => {
  fc.assert(
    fc.property(settings, (given) => {
      const { config } = given;
      const lora = sensible(config, given);
      const method: Method = { name: 'lora', ...lora };
      const base = baseOf(config);
      const fresh = new Map([...frozenTensors(base, method), ...initialTrainable(base, method, 1)]);
      const before = logits(config, { name: 'full' }, base.tensors);
      // DoRA's lengths are kept in float32.
      expect(largestDifference(logits(config, method, fresh), before)).toBeLessThan(1e-5);

      const adapter = adapterOf(base, lora);
      const adapted = logits(config, method, adaptedTensors(base, adapter));
      const merged = mergeAdapter(base, adapter);
      // Merged weights are rounded to float32; the logits are of size 10.
      expect(
        largestDifference(logits(merged.config, { name: 'full' }, merged.tensors), adapted),
      ).toBeLessThan(1e-4);
      expect(largestDifference(adapted, before)).toBeGreaterThan(1e-2);
      expect([...merged.tensors.keys()].sort()).toEqual(
        modelParameters(merged.config)
          .map(({ name }) => name)
          .sort(),
      );
    }),
    { numRuns: 60 },
  );
});

it('DoRA on an 8-bit base starts as that base, and stays as near to the exact one', () => {
  const base = baseOf(llama);
  const [eight, exact] = (['int8', 'fp32'] as const).map((baseCompute) => (lora: Lora) => {
    const method: Method = { name: 'lora', ...lora, baseCompute };
    const frozen = frozenTensors(base, method);
    const at = (trained: ReadonlyMap<string, HostTensor>) =>
      logits(llama, method, new Map([...frozen, ...trained]));
    return { fresh: at(initialTrainable(base, method, 1)), moved: at(adapterOf(base, lora).tensors) };
  });
  const dora: Lora = { ...plain, dora: true };
  expect(largestDifference(eight(dora).fresh, eight(plain).fresh)).toBeLessThan(1e-5);
  const rounding = largestDifference(eight(plain).fresh, exact(plain).fresh);
  expect(rounding).toBeGreaterThan(1e-4);
  // A few times what 8 bits move the base itself: the products of A with W, of which the lengths are made, are rounded too.
  expect(largestDifference(eight(dora).moved, exact(dora).moved)).toBeLessThan(4 * rounding);
});

describe('a mask over what the branch sees', () => {
  const [rows, keep] = [3, 0.6];
  const module = 'model.layers.1.mlp.down_proj';

  class Masked extends GraphWeights {
    protected override branchMask(x: Value): Value {
      return b.input('mask', 'float32', [1, x.shape[1]]);
    }
  }

  // Mixout (Lee et al. 2020, section 3) on W = W₀ + s·B·A, and likewise on what DoRA makes of it: W₀ + M⊙(W − W₀)/(1 − p).
  it.each([false, true])('masks how the weight differs from the pretrained one (DoRA: %s)', (dora) => {
    const base = baseOf(llama);
    const lora: Lora = { ...plain, dora };
    const adapter = adapterOf(base, lora);
    const rng = Rng.of('mask');
    const mask = Float64Array.from({ length: 10 }, () => (rng.uniform() < keep ? 1 / keep : 0));
    const x = Float64Array.from({ length: rows * 10 }, () => rng.normal());
    const masked = new Masked(llama, { name: 'lora', ...lora });
    const y = masked.linear(b.input('x', 'float32', [rows, 10]), module, { bias: false });
    const feeds = { ...feedsOf(adaptedTensors(base, adapter)), x, mask };
    const got = evaluate([y], { ...feeds, mask })[0].data;
    const [before, after] = [base, mergeAdapter(base, adapter)].map(
      ({ tensors }) => tensors.get(`${module}.weight`)!.data as Float32Array,
    );
    const mixed = before.map((w, i) => w + mask[i % 10] * (after[i] - w));
    const want = Array.from({ length: rows * 12 }, (_, n) =>
      Array.from({ length: 10 }, (_, i) => x[Math.floor(n / 12) * 10 + i] * mixed[(n % 12) * 10 + i]),
    ).map((terms) => terms.reduce((sum, term) => sum + term, 0));
    expect(largestDifference(got, want)).toBeLessThan(1e-5);
  });
});

describe('full fine-tuning of some blocks', () => {
  const shape = { batch: B, sequence: T, answers: 3 };
  const names = (method: Method, config = llama) =>
    trainableParameters(config, method).map(({ name }) => name);

  it('trains the top blocks and the modules beside them, no more', () => {
    const all = modelParameters(llama).map(({ name }) => name);
    expect(names({ name: 'full' })).toEqual(all);
    expect(names({ name: 'full', trainableLayers: 1 })).toEqual(
      all.filter((name) => name.includes('.layers.2.')),
    );
    expect(names({ name: 'full', extraModules: ['model.norm', 'lm_head'] })).toEqual([
      'model.norm.weight',
      'lm_head.weight',
    ]);
    const model = baseOf(llama);
    const method: Method = { name: 'full', trainableLayers: 2, extraModules: ['embed_tokens'] };
    const parts = [...frozenTensors(model, method).keys(), ...initialTrainable(model, method, 1).keys()];
    expect(parts.sort()).toEqual([...all].sort());
  });

  it.each<[Method, string]>([
    [{ name: 'full', trainableLayers: 4 }, 'trainableLayers: expected at most 3, got 4'],
    [{ name: 'full', trainableLayers: 0 }, 'trainableLayers: expected at least 1, or extraModules'],
    [{ name: 'full', extraModules: ['embed'] }, 'extraModules: expected modules of llama, got "embed"'],
  ])('%j is refused by name', (method, message) => {
    expect(() => names(method)).toThrow(message);
  });

  it('has no gradient below, however deep the model is, and the same above', () => {
    const products = (graph: Record<string, Value>) => {
      const seen = new Set(Object.values(graph));
      for (const value of seen) for (const input of value.inputs) seen.add(input);
      return [...seen].filter(({ op }) => op === 'MatMul').length;
    };
    const method: Method = { name: 'full', trainableLayers: 1 };
    const backward = [2, 6].map((layers) => {
      const config = parseConfig(llamaJson({ num_hidden_layers: layers }));
      return products(trainGraph(config, method, shape)) - products(lossGraph(config, method, shape));
    });
    expect(backward[0]).toBe(backward[1]);
    const feeds = {
      ...feedsOf(baseOf(llama).tensors),
      answer_index: [1, 3, 7],
      answer_target: [4, 5, 7],
      answer_weight: [0.5, 0.25, 0.25],
    };
    const some = trainGraph(llama, method, shape);
    const all = trainGraph(llama, { name: 'full' }, shape);
    const trained = Object.keys(some).filter((name) => name.startsWith('grad.'));
    expect(trained).toEqual(names(method).map((name) => `grad.${name}`));
    for (const name of trained) {
      const [x, y] = evaluate([some[name], all[name]], feeds);
      expect(largestDifference(x.data, y.data)).toBe(0);
    }
  });
});

it('DoRA’s own row lengths get no gradient: d/dB is that of (W + s·B·A)·m/n with n constant', () => {
  const base = baseOf(llama);
  const lora: Lora = { ...plain, dora: true };
  const module = 'model.layers.0.self_attn.k_proj';
  const weights = new GraphWeights(llama, { name: 'lora', ...lora });
  const x = b.input('x', 'float32', [4, 12]);
  const y = weights.linear(x, module, { bias: false });
  const loss = b.reshape(b.reduceSum(b.mul(y, y), [0, 1]), []);
  const B = weights.get(`${module}.lora_B.weight`);
  const adapter = adapterOf(base, lora);
  const rng = Rng.of('dora');
  const input = Float64Array.from({ length: 48 }, () => rng.normal());
  const feeds = { ...feedsOf(adaptedTensors(base, adapter)), x: input };
  const [got, out] = evaluate([...gradients(loss, [B]), y], feeds);
  const tensor = (name: string) => adapter.tensors.get(`${module}.${name}`)!.data as Float32Array;
  const [A, m] = [tensor('lora_A.weight'), tensor('lora_magnitude_vector')];
  const after = mergeAdapter(base, adapter).tensors.get(`${module}.weight`)!.data as Float32Array;
  const before = base.tensors.get(`${module}.weight`)!.data as Float32Array;
  const [width, rank, s] = [12, 2, 1.5];
  const want = Float64Array.from({ length: sizeOf(B.shape) }, (_, at) => {
    const [o, r] = [Math.floor(at / rank), at % rank];
    // n from a row's first weight: after = (W + s·B·A)·m/n.
    const updated =
      before[o * width] +
      s * (tensor('lora_B.weight')[o * 2] * A[0] + tensor('lora_B.weight')[o * 2 + 1] * A[width]);
    const n = (updated * m[o]) / after[o * width];
    let sum = 0;
    for (let t = 0; t < 4; t++) {
      let down = 0;
      for (let i = 0; i < width; i++) down += A[r * width + i] * input[t * width + i];
      sum += 2 * out.data[t * B.shape[0] + o] * ((s * m[o]) / n) * down;
    }
    return sum;
  });
  // n is found from float32 weights.
  got.data.forEach((v, i) => {
    expect(Math.abs(v - want[i])).toBeLessThan(1e-4 * Math.max(1, Math.abs(want[i])));
  });
});

it('LoRA+ makes B learn faster, and nothing else', () => {
  const method: Method = { name: 'lora', ...plain, dora: true, loraPlusRatio: 16 };
  const scales = trainableParameters(llama, method).map(({ name }) => [
    name.replace(/.*\.(?=lora_)/, ''),
    rateScaleOf(method, name),
  ]);
  expect(Object.fromEntries(scales)).toEqual({
    'lora_A.weight': 1,
    'lora_B.weight': 16,
    lora_magnitude_vector: 1,
  });
  expect(rateScaleOf({ name: 'full' }, 'model.layers.0.mlp.up_proj.weight')).toBe(1);
  expect(rateScaleOf({ name: 'lora', ...plain }, 'x.lora_B.weight')).toBe(1);
});

describe('adapters in PEFT’s files', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'emotune-adapters-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const config = tied;
  const base = baseOf(config);
  const rich: Lora = {
    rank: 2,
    alpha: 4,
    targets: ['down_proj', 'q_proj'],
    rankStabilised: true,
    dora: true,
    rankPattern: { q_proj: 3 },
    alphaPattern: { '1.mlp.down_proj': 9 },
    layersToTransform: [0, 1],
    exclude: ['0.mlp.down_proj'],
    bias: 'lora_only' as const,
    modulesToSave: ['lm_head', 'norm'],
  };
  const write = (json: object) => writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(json));
  const read = () => JSON.parse(readFileSync(join(dir, 'adapter_config.json'), 'utf8'));
  const stored = async () => {
    const file = await SafetensorsFile.open(join(dir, 'adapter_model.safetensors'));
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const name of file.entries.keys()) tensors.set(name, await file.float32(name));
    await file.close();
    return tensors;
  };
  const replace = (tensors: Awaited<ReturnType<typeof stored>>) =>
    writeSafetensors(join(dir, 'adapter_model.safetensors'), tensors);

  it('come back as they went, under the names that PEFT gives them', async () => {
    const adapter = adapterOf(base, rich);
    await saveAdapter(dir, adapter, config, 'base');
    expect(await loadAdapter(dir, config)).toEqual(adapter);
    const names = [...(await stored()).keys()];
    expect(names.filter((name) => !name.includes('norm'))).toEqual(
      ['0.self_attn.q_proj', '1.self_attn.q_proj', '1.mlp.down_proj']
        .flatMap((module) =>
          ['lora_A.weight', 'lora_B.weight', 'lora_magnitude_vector', 'base_layer.bias'].map(
            (name) => `base_model.model.model.layers.${module}.${name}`,
          ),
        )
        .concat('base_model.model.lm_head.weight'),
    );
    // Every norm's path ends so, as PEFT matches modules to save.
    expect(names.filter((name) => name.includes('norm'))).toHaveLength(7);
  });

  it('come without the prefix, and with the weights that PEFT stores beside an adapted head', async () => {
    const adapter = adapterOf(base, { ...plain, targets: ['lm_head'] });
    await saveAdapter(dir, adapter, config, 'base');
    const table = base.tensors.get('model.embed_tokens.weight')!;
    const plainTable = { shape: table.shape, data: table.data as Float32Array };
    await replace(
      new Map([
        ...[...(await stored())].map(([name, t]) => [name.replace('base_model.model.', ''), t] as const),
        ['lm_head.base_layer.weight', plainTable],
        ['model.embed_tokens.weight', plainTable],
      ]),
    );
    const loaded = await loadAdapter(dir, config);
    for (const [name, tensor] of adapter.tensors) expect(loaded.tensors.get(name)).toEqual(tensor);
    expect(mergeAdapter(base, loaded)).toEqual(mergeAdapter(base, adapter));
  });

  it('untie a head that is trained alone, and say so in the merged config', async () => {
    const merged = join(dir, 'merged');
    const adapter = adapterOf(base, { ...plain, modulesToSave: ['lm_head'] });
    await saveModel(merged, mergeAdapter(base, adapter));
    expect(JSON.parse(readFileSync(join(merged, 'config.json'), 'utf8')).tie_word_embeddings).toBe(false);
    expect((await loadModel(merged)).tensors.get('lm_head.weight')).toEqual(
      adapter.tensors.get('lm_head.weight'),
    );
    const following = adapterOf(base, { ...plain, modulesToSave: ['embed_tokens'], ensureWeightTying: true });
    expect(mergeAdapter(base, following).config).toEqual(config);
    await saveAdapter(dir, following, config, 'base');
    const tensors = await stored();
    expect(tensors.get('base_model.model.lm_head.weight')).toEqual(
      tensors.get('base_model.model.model.embed_tokens.weight'),
    );
    expect(await loadAdapter(dir, config)).toEqual({ ...following, lora: expect.anything() });
  });

  it('pass over names that the model does not have, as PEFT does', async () => {
    await saveAdapter(dir, adapterOf(base, { ...plain, targets: ['q_proj'] }), config, 'base');
    write({
      ...read(),
      target_modules: ['q_proj', 'query_key_value'],
      rank_pattern: { dense: 64 },
      modules_to_save: ['classifier'],
      ensure_weight_tying: false,
      lora_dropout: 0.1,
      velora_config: null,
      layers_pattern: 'layers',
    });
    expect((await loadAdapter(dir, config)).lora).toEqual({
      ...plain,
      targets: ['q_proj'],
      rankStabilised: false,
    });
  });

  it('are refused with the name of every setting that is not supported', async () => {
    await saveAdapter(dir, adapterOf(base, plain), config, 'base');
    write({
      ...read(),
      peft_type: 'IA3',
      r: 0,
      use_qalora: true,
      lora_bias: true,
      init_lora_weights: 'pissa',
      trainable_token_indices: [1],
      fan_in_fan_out: true,
      brand_new_trick: 2,
      task_type: 'SEQ_CLS',
    });
    const refused = await loadAdapter(dir, config).catch((error) => error);
    expect(refused.violations.map(({ field }: Violation) => field).sort()).toEqual([
      'brand_new_trick',
      'fan_in_fan_out',
      'init_lora_weights',
      'lora_bias',
      'peft_type',
      'r',
      'task_type',
      'trainable_token_indices',
      'use_qalora',
    ]);
  });

  it.each([
    ['{', 'adapter_config.json: expected JSON'],
    ['[]', 'adapter_config.json: expected an object, got []'],
    ['{"peft_type":"LORA","r":1,"target_modules":["embed_tokens"]}', 'got the table model.embed_tokens'],
    ['{"peft_type":"LORA","r":1,"target_modules":"("}', 'target_modules: expected a regular expression'],
    // Backtracks for longer than the universe is old.
    [
      '{"peft_type":"LORA","r":1,"target_modules":"([a-z_.0-9]+)+!"}',
      'target_modules: expected a regular expression',
    ],
    [
      '{"peft_type":"LORA","r":1,"target_modules":[],"layers_pattern":"h"}',
      'layers_pattern: expected layers, got "h"',
    ],
  ])('refuse %s', async (text, message) => {
    writeFileSync(join(dir, 'adapter_config.json'), text);
    await expect(loadAdapter(dir, config)).rejects.toThrow(message);
  });

  it('whose settings are anything at all are read or refused, never worse', async () => {
    await saveAdapter(dir, adapterOf(base, plain), config, 'base');
    const good = read();
    const fields = [
      ...Object.keys(good),
      'layers_to_transform',
      'layers_pattern',
      'exclude_modules',
      '__proto__',
    ];
    const text = oneOf('', 'q_proj', '.*', '(', 'lm_head', '\\', 'all-linear', 'model');
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      text,
      fc.array(text, { maxLength: 3 }),
      fc.dictionary(text, fc.oneof(fc.integer(), fc.double())),
    );
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(fc.dictionary(oneOf(...fields), value, { maxKeys: 4 }), async (changes) => {
        write({ ...good, ...changes });
        await loadAdapter(dir, config).then(
          () => accepted++,
          (error) => expect(error).toBeInstanceOf(InvalidArgument),
        );
      }),
      { numRuns: 300 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it('name every tensor that is missing, extra, of another shape or not finite', async () => {
    await saveAdapter(dir, adapterOf(base, { ...plain, targets: ['q_proj'], dora: true }), config, 'base');
    const tensors = await stored();
    const at = (rest: string) => `base_model.model.model.layers.${rest}`;
    tensors.delete(at('0.self_attn.q_proj.lora_A.weight'));
    tensors.set(at('0.self_attn.q_proj.lora_B.weight'), { shape: [2, 12], data: new Float32Array(24) });
    tensors.set(at('1.self_attn.q_proj.lora_magnitude_vector'), {
      shape: [12],
      data: new Float32Array(12).fill(Number.NaN),
    });
    tensors.set(at('2.self_attn.v_proj.lora_A.weight'), { shape: [2, 12], data: new Float32Array(24) });
    await replace(tensors);
    const refused = await loadAdapter(dir, config).catch((error) => error);
    const got = Object.fromEntries(
      refused.violations.map(({ field, description }: Violation) => [field, description]),
    );
    expect(got).toEqual({
      [at('0.self_attn.q_proj.lora_A.weight')]: 'expected a tensor of [2,12], got nothing',
      [at('0.self_attn.q_proj.lora_B.weight')]: 'expected [12,2], got [2,12]',
      [at('1.self_attn.q_proj.lora_magnitude_vector')]: 'expected finite numbers, got NaN at element 0',
      [at('2.self_attn.v_proj.lora_A.weight')]: 'expected no such tensor for this base model',
    });
  });
});
