import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Rng } from '@emotune/base';
import { bool, int64, OnnxExecutor } from '@emotune/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelInputs } from './blocks.js';
import { loadModel, type Model } from './checkpoint.js';
import { parseConfig } from './config.js';
import type { BaseCompute } from './frozen.js';
import { draw, Generator } from './generator.js';
import { GraphWeights, heldTensors, hiddenStates, initialTensors, logitsOf } from './model.js';
import { SafetensorsFile } from './safetensors.js';

const ids = { vocab_size: 20, hidden_size: 24, eos_token_id: 3 };
const models = [
  {
    model_type: 'llama',
    ...ids,
    num_hidden_layers: 2,
    num_attention_heads: 6,
    num_key_value_heads: 3,
    intermediate_size: 40,
    max_position_embeddings: 200,
  },
  {
    model_type: 'opt',
    ...ids,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    ffn_dim: 40,
    tie_word_embeddings: false,
  },
  { model_type: 'bloom', ...ids, n_layer: 2, n_head: 3 },
].map((json): Model => {
  const config = parseConfig(json);
  const tensors = initialTensors(config, 7);
  // Larger weights than a fresh model has, so that what it writes depends on all it read.
  for (const { shape, data } of tensors.values())
    if (shape.length === 2)
      (data as Float32Array).forEach((v, i, all) => {
        all[i] = 10 * v;
      });
  return { config, tensors };
});

/** The likeliest next tokens, each by a pass over the whole row. */
async function likeliest(
  { config, ...model }: Model,
  prompt: Int32Array,
  count: number,
  base: BaseCompute = 'fp32',
): Promise<number[]> {
  const executor = OnnxExecutor.create();
  const tensors = heldTensors(config, model.tensors, base, { differentiable: false });
  try {
    for (const [name, tensor] of tensors) await executor.put(name, tensor);
    const row = [...prompt];
    const T = prompt.length + count;
    const weights = new GraphWeights(config, { name: 'full' }, base);
    const program = await executor.compile({
      logits: logitsOf(weights, hiddenStates(config, weights, modelInputs(1, T))),
    });
    while (row.length < T) {
      const { logits } = await executor.run(program, {
        feeds: {
          // What comes after a token does not reach it.
          input_ids: int64([1, T], [...row, ...new Array(T - row.length).fill(0)]),
          positions: int64([1, T], Array(T).keys()),
          mask: bool(
            [1, 1, T, T],
            Uint8Array.from({ length: T * T }, (_, i) => (i % T <= Math.floor(i / T) ? 1 : 0)),
          ),
        },
        from: Object.fromEntries(
          Object.keys(program.inputs)
            .filter((name) => tensors.has(name))
            .map((name) => [name, name]),
        ),
        fetch: ['logits'],
      });
      const at = (row.length - 1) * config.vocabSize;
      const next = (logits.data as Float32Array).subarray(at, at + config.vocabSize);
      row.push(next.indexOf(Math.max(...next)));
    }
    return row.slice(prompt.length);
  } finally {
    await executor.close();
  }
}

describe.each(models.map((model) => [model.config.family, model] as const))('%s', (_, model) => {
  const rng = Rng.of('generator');
  const prompts = [5, 1, 17, 9, 2].map((length) => Int32Array.from({ length }, () => rng.int(20)));
  let generator: Generator;
  beforeAll(async () => {
    generator = await Generator.create(model, OnnxExecutor.create);
  });
  afterAll(() => generator.close());

  it('writes what whole passes over each row alone write', async () => {
    const written = await generator.generate(prompts, { maxNewTokens: 12, stopTokens: [] });
    for (const [i, { tokens, finish }] of written.entries()) {
      expect([...tokens]).toEqual(await likeliest(model, prompts[i], 12));
      expect(finish).toBe('length');
    }
    expect(new Set(written.flatMap(({ tokens }) => [...tokens])).size).toBeGreaterThan(3);
  });

  it('writes the same with weights of 8 bits as whole passes with them', async () => {
    const reduced = await Generator.create(model, OnnxExecutor.create, { baseCompute: 'int8' });
    try {
      const written = await reduced.generate(prompts, { maxNewTokens: 6, stopTokens: [] });
      for (const [i, { tokens }] of written.entries())
        expect([...tokens]).toEqual(await likeliest(model, prompts[i], 6, 'int8'));
    } finally {
      await reduced.close();
    }
  });

  it('makes room as it goes, and starts anew with the next call', async () => {
    const alone = await generator.generate([prompts[0]], { maxNewTokens: 150, stopTokens: [] });
    const again = await generator.generate(prompts.slice(0, 2), { maxNewTokens: 150, stopTokens: [] });
    expect(alone[0].tokens).toHaveLength(150);
    expect(again[0]).toEqual(alone[0]);
    expect([...alone[0].tokens.slice(140)]).toEqual(
      await likeliest(model, Int32Array.from([...prompts[0], ...alone[0].tokens.slice(0, 140)]), 10),
    );
  });

  it('ends a row at a stop token and goes on with the others', async () => {
    const free = await generator.generate(prompts, { maxNewTokens: 12, stopTokens: [] });
    const stop = free[0].tokens[4];
    const stopped = await generator.generate(prompts, { maxNewTokens: 12, stopTokens: [stop] });
    for (const [i, { tokens }] of free.entries()) {
      const end = tokens.indexOf(stop);
      expect(stopped[i]).toEqual({
        tokens: end < 0 ? tokens : tokens.slice(0, end),
        finish: end < 0 ? 'length' : 'stop',
      });
    }
  });

  it('samples the same tokens of the same seed, whatever the batch', async () => {
    const sampling = { temperature: 1.5, topP: 0.9, seed: 4 };
    const options = { maxNewTokens: 10, stopTokens: [], sampling };
    const together = await generator.generate(prompts, options);
    expect(await generator.generate(prompts, options)).toEqual(together);
    expect(await generator.generate(prompts.slice(0, 1), options)).toEqual(together.slice(0, 1));
    expect(await generator.generate(prompts, { ...options, sampling: { ...sampling, seed: 5 } })).not.toEqual(
      together,
    );
  });
});

it('refuses what it cannot continue, by name', async () => {
  const generator = await Generator.create(models[0], OnnxExecutor.create);
  const of = (prompt: number[], maxNewTokens = 1, sampling?: object) =>
    generator.generate([Int32Array.from(prompt)], {
      maxNewTokens,
      ...(sampling ? { sampling } : {}),
    } as never);
  try {
    await expect(of([])).rejects.toThrow('prompts[0]: expected tokens, got none');
    await expect(of([1, 20])).rejects.toThrow('prompts[0]: expected tokens below 20, got 20');
    await expect(of([1], 0)).rejects.toThrow('maxNewTokens: expected a whole number of at least 1, got 0');
    await expect(of([1, 2], 200)).rejects.toThrow(
      "expected room for 200 tokens in the model's 200, got a prompt of 2",
    );
    await expect(of([1], 1, { temperature: 0, seed: 1 })).rejects.toThrow('sampling.temperature');
    await expect(of([1], 1, { temperature: 1, topP: 0, seed: 1 })).rejects.toThrow('sampling.topP');
    await expect(
      generator.generate([Int32Array.of(1)], {
        maxNewTokens: 5,
        signal: AbortSignal.abort(new Error('stop')),
      }),
    ).rejects.toThrow('stop');
    expect(await generator.generate([], { maxNewTokens: 1 })).toEqual([]);
  } finally {
    await generator.close();
  }
});

describe('a draw', () => {
  const logits = Float32Array.of(0, Math.log(3), Math.log(5), Math.log(1));
  const shares = (temperature: number, topP?: number) => {
    const counts = [0, 0, 0, 0];
    const options = { temperature, ...(topP === undefined ? {} : { topP }), seed: 1 };
    for (let i = 0; i < 4000; i++) counts[draw(logits, options, Rng.of('draw', i))]++;
    return counts.map((n) => n / 4000);
  };

  it.each([
    ['p ∝ e^logit', 1, undefined, [0.1, 0.3, 0.5, 0.1]],
    // Squares of 1, 3, 5, 1 over 36.
    ['sharper when cold', 0.5, undefined, [1 / 36, 9 / 36, 25 / 36, 1 / 36]],
    // 0.5 + 0.3 reaches .75; the rest is never drawn.
    ['of the nucleus alone', 1, 0.75, [0, 3 / 8, 5 / 8, 0]],
    ['of one where it holds enough', 1, 0.5, [0, 0, 1, 0]],
  ])('is %s', (_, temperature, topP, want) => {
    // Five standard errors of a share of 4,000 draws.
    for (const [i, share] of shares(temperature, topP).entries())
      expect(Math.abs(share - want[i])).toBeLessThan(want[i] === 0 || want[i] === 1 ? 1e-9 : 0.04);
  });
});

const fixtures = process.env['EMOTUNE_FIXTURES'];
if (fixtures === undefined)
  process.stderr.write(
    'SKIPPED generation against Hugging Face: set EMOTUNE_FIXTURES to the folder of fixtures\n',
  );

it
  .skipIf(fixtures === undefined)
  .each([
    'bloom-alibi',
    'llama-gqa-tied',
    'llama-gqa-untied',
    'llama-rope-llama3',
    'opt-postnorm-proj',
    'opt-prenorm',
  ])('%s continues left-padded prompts as transformers 5.23.0 does', async (name) => {
  const folder = join(fixtures!, name);
  const file = await SafetensorsFile.open(join(folder, 'case-left.safetensors'));
  const integers = async (tensor: string) => (await file.int64(tensor)).data;
  const [inputs, attended] = [await integers('input_ids'), await integers('attention_mask')];
  const [B, T] = file.entries.get('input_ids')!.shape;
  await file.close();
  const prompts = Array.from({ length: B }, (_, row) =>
    Int32Array.from(
      [...inputs.slice(row * T, (row + 1) * T)].filter((_, t) => attended[row * T + t] === 1n),
      Number,
    ),
  );
  const { greedy8_from_left: golden } = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8'));
  const generator = await Generator.create(await loadModel(folder), OnnxExecutor.create);
  try {
    const written = await generator.generate(prompts, { maxNewTokens: 8, stopTokens: [] });
    expect(written.map(({ tokens }) => [...tokens])).toEqual(golden);
  } finally {
    await generator.close();
  }
});
