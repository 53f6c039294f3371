import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endingExitCodes, parse, Rng } from '@emotune/base';
import { initialTensors, type Model, type ModelConfig, parseConfig } from '@emotune/models';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Row } from './batches.js';
import { Diverged, endingOf, Interrupted } from './failures.js';
import { trainSpec } from './spec.js';
import { trainAlone } from './testing.js';

const ids = { vocab_size: 24, hidden_size: 16, bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
const configs = {
  llama: parseConfig({
    model_type: 'llama',
    ...ids,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 64,
    tie_word_embeddings: true,
  }),
  opt: parseConfig({
    model_type: 'opt',
    ...ids,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    ffn_dim: 32,
    max_position_embeddings: 64,
  }),
  bloom: parseConfig({ model_type: 'bloom', ...ids, n_layer: 1, n_head: 2 }),
};

/** The answer is a function of the prompt's last token. (That attention is right is what parity shows.) */
function rows(count: number, name: string, answer?: number): Row[] {
  const rng = Rng.of('rows', name);
  return Array.from({ length: count }, (_, i) => {
    const key = 4 + rng.int(6);
    const filler = Array.from({ length: 2 + rng.int(8) }, () => 12 + rng.int(10));
    return {
      id: `${name}${i}`,
      task: i % 2 ? 'a' : 'b',
      tokens: Int32Array.from([...filler, key, answer ?? 13 - key, 2]),
      answerStart: filler.length + 1,
    };
  });
}
const data = { train: rows(300, 'train'), validation: rows(40, 'validation') };
const fresh = (config: ModelConfig): Model => ({ config, tensors: initialTensors(config, 7) });
const spec = (more: object = {}) =>
  parse(trainSpec, {
    method: { name: 'full' },
    optimizer: { learningRate: 0.01 },
    stages: [
      { tasks: ['a'], tokens: 6000 },
      { tasks: ['b'], tokens: 6000, replay: 0.3 },
    ],
    batchTokens: 256,
    validation: { everyTokens: 3000 },
    seed: 3,
    ...more,
  });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-training-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('train', () => {
  it.each(['llama', 'opt', 'bloom'] as const)(
    '%s learns the task, fully tuned and with LoRA',
    async (family) => {
      const first: number[] = [];
      const long = spec({
        stages: [{ tasks: ['a', 'b'], tokens: 90_000 }],
        optimizer: { learningRate: 0.008 },
      });
      const result = await trainAlone(fresh(configs[family]), data, long, {
        onMeasurement: ({ trainLoss }) => {
          first.push(trainLoss);
          return 'continue';
        },
      });
      // A uniform guess costs ln 24 for the key and again for the end: 6.4 nats a row.
      expect(first[0]).toBeGreaterThan(2.5);
      // Knowing the six keys but not which one was asked costs ln 6 = 1.79 nats.
      expect(result.best!.objective).toBeLessThan(1.6);
      // The tuned model is sure of the key; an adapter teaches it another answer.
      const other = { train: rows(300, 'train', 5), validation: rows(40, 'validation', 5) };
      const base = { config: configs[family], tensors: result.tensors };
      const before = await trainAlone(
        base,
        other,
        spec({ optimizer: { learningRate: 1e-9 }, stages: [{ tasks: ['a', 'b'], tokens: 1 }] }),
      );
      expect(before.best!.objective).toBeGreaterThan(2);
      const lora = await trainAlone(base, other, spec({ method: { name: 'lora', rank: 8, alpha: 32 } }));
      expect([...lora.tensors.keys()].every((name) => name.includes('.lora_'))).toBe(true);
      expect(lora.best!.objective).toBeLessThan(before.best!.objective / 3);
    },
  );

  it.each(['fp16', 'int4'])(
    'trains an adapter of a base in %s as of the same weights in float32',
    async (held) => {
      const model = () => {
        const { tensors } = fresh(configs.opt);
        // Multiples k·2⁻⁷, −8 ≤ k ≤ 7, and −8 somewhere in each block of 4-bit weights; float16 has them all too.
        for (const { data: weights, shape } of tensors.values())
          if (shape.length === 2)
            (weights as Float32Array).forEach((x, i) => {
              weights[i] = i % 16 === 3 ? -8 / 128 : Math.max(-8, Math.min(7, Math.round(x * 128))) / 128;
            });
        return { config: configs.opt, tensors };
      };
      const losses = async (baseCompute: string) => {
        const seen: number[] = [];
        const method = { name: 'lora', rank: 4, alpha: 8, baseCompute };
        await trainAlone(model(), data, spec({ method, stages: [{ tasks: ['a', 'b'], tokens: 3000 }] }), {
          onMeasurement: ({ trainLoss, gradientNorm }) => {
            seen.push(trainLoss, gradientNorm);
            return 'continue';
          },
        });
        return seen;
      };
      const exact = await losses('fp32');
      expect(exact.length).toBeGreaterThan(20);
      // The scale of the loss with float16 is a power of two: only what underflows in float32 could differ.
      (await losses(held)).forEach((value, i) => {
        expect(value).toBeCloseTo(exact[i], 5);
      });
    },
  );

  it.each([
    ['in full', { name: 'full' }],
    ['as a base', { name: 'lora', rank: 4, alpha: 8 }],
    ['as a base in 8 bits', { name: 'lora', rank: 4, alpha: 8, baseCompute: 'int8' }],
  ])('takes the weights of a model that it trains %s, to the same result', async (_, method) => {
    const short = spec({ method, stages: [{ tasks: ['a', 'b'], tokens: 1000 }] });
    const kept = fresh(configs.llama);
    const given = fresh(configs.llama);
    const { tensors } = await trainAlone(kept, data, short);
    expect((await trainAlone(given, data, short, { takeWeights: true })).tensors).toEqual(tensors);
    for (const { data: left } of kept.tensors.values()) expect(left.length).toBeGreaterThan(0);
    for (const { data: left } of given.tensors.values()) expect(left.length).toBe(0);
  });

  it('refuses a run that does not fit its memory, before it begins', async () => {
    const run = trainAlone(fresh(configs.opt), data, spec({ memoryLimitMiB: 1 }));
    await expect(run).rejects.toThrow(
      /^out of memory: the run would need .*, has 1 MiB; no batchTokens fits/,
    );
    await run.catch((error) => expect(endingExitCodes[endingOf(error)]).toBe(42));
  });

  it('resumed after any interruption, has the same weights to the bit', async () => {
    const straight = await trainAlone(fresh(configs.llama), data, spec());
    let resumes = 0;
    for (;;) {
      const abort = new AbortController();
      let steps = 0;
      try {
        const result = await trainAlone(fresh(configs.llama), data, spec(), {
          checkpoints: folder,
          signal: abort.signal,
          onMeasurement: () => {
            if (++steps === 17) abort.abort();
            return 'continue';
          },
        });
        expect(resumes).toBeGreaterThan(2);
        expect(result.step).toBe(straight.step);
        expect(result.best).toEqual(straight.best);
        for (const [name, tensor] of straight.tensors)
          expect(result.tensors.get(name)!.data).toEqual(tensor.data);
        break;
      } catch (error) {
        expect(error).toBeInstanceOf(Interrupted);
        expect(endingExitCodes[endingOf(error)]).toBe(75);
        resumes++;
      }
    }
    const other = await trainAlone(fresh(configs.llama), data, spec({ seed: 4 }));
    expect(other.best).not.toEqual(straight.best);
  });

  it('passes over a damaged checkpoint for the one before it, by name', async () => {
    const written: string[] = [];
    const run = (steps: number, notices: string[] = []) => {
      const abort = new AbortController();
      let done = 0;
      let first = 0;
      return trainAlone(fresh(configs.opt), data, spec(), {
        checkpoints: folder,
        signal: abort.signal,
        onNotice: (text) => notices.push(text),
        onCheckpoint: async (checkpoint) => {
          written.push(checkpoint);
        },
        onMeasurement: ({ step }) => {
          first ||= step;
          if (++done === steps) abort.abort();
          return 'checkpoint';
        },
      }).then(
        () => first,
        () => first,
      );
    };
    await run(6);
    const newest = readdirSync(folder).sort().at(-1)!;
    expect(newest).toBe('step-000000006');
    expect(written.at(-1)).toBe(join(folder, newest));
    truncateSync(join(folder, newest, 'tensors.safetensors'), 100);
    const notices: string[] = [];
    expect(await run(2, notices)).toBe(6);
    expect(notices).toEqual([`${join(folder, newest)} is not used: tensors.safetensors is damaged`]);
  });

  it('names the step and the tensor when it diverges', async () => {
    const model = fresh(configs.llama);
    (model.tensors.get('model.norm.weight')!.data as Float32Array)[3] = Number.NaN;
    const failed = await trainAlone(model, data, spec()).catch((error) => error);
    expect(failed).toBeInstanceOf(Diverged);
    expect(failed).toMatchObject({ step: 1, tensor: 'model.norm.weight' });
    expect(endingExitCodes[endingOf(failed)]).toBe(44);
  });

  it('gives up when the loss is beyond all hope', async () => {
    const hopeless = spec({ optimizer: { learningRate: 1000, clipNorm: 1e9 } });
    await expect(trainAlone(fresh(configs.llama), data, hopeless)).rejects.toThrow(/diverged at step \d+/);
  });

  it('tells the objective of each task, whose mean over rows it is', async () => {
    const seen: { objective?: number; objectives?: Readonly<Record<string, number>> }[] = [];
    await trainAlone(fresh(configs.llama), data, spec(), {
      onMeasurement: (measurement) => {
        seen.push(measurement);
        return 'continue';
      },
    });
    const validated = seen.filter(({ objective }) => objective !== undefined);
    expect(validated.length).toBeGreaterThan(3);
    for (const { objective, objectives } of validated)
      expect((objectives!['a'] + objectives!['b']) / 2).toBeCloseTo(objective!, 9);
  });

  it('stops when validation has not improved for long enough', async () => {
    const result = await trainAlone(
      fresh(configs.llama),
      data,
      spec({ optimizer: { learningRate: 0.3 }, validation: { everyTokens: 300, patience: 2 } }),
    );
    expect(result.stopped).toBe('patience');
    expect(result.tokens).toBeLessThan(12000);
  });

  it('refuses tasks that no row has and rows that are too long', async () => {
    await expect(
      trainAlone(fresh(configs.opt), data, spec({ stages: [{ tasks: ['c'], tokens: 10 }] })),
    ).rejects.toThrow('stages[0].tasks: expected tasks that the rows have (b, a), got c');
    const long = { id: 'long', task: 'a', tokens: new Int32Array(65), answerStart: 1 };
    await expect(trainAlone(fresh(configs.opt), { ...data, train: [long] }, spec())).rejects.toThrow(
      'rows.long: expected at most 64 tokens, got 65',
    );
  });
});
