import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, Rng, systemClock } from '@emotune/base';
import { type HostTensor, OnnxExecutor } from '@emotune/engine';
import { initialTensors, parseConfig } from '@emotune/models';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Row } from '../batches.js';
import { Diverged, Interrupted, LostRank } from '../failures.js';
import { trainSpec } from '../spec.js';
import { assist, type TrainHooks, train } from '../train.js';
import { Ring } from './ring.js';
import { linksInMemory } from './testing.js';

const ids = { vocab_size: 24, hidden_size: 16, bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
const config = parseConfig({
  ...{ model_type: 'llama', ...ids, num_hidden_layers: 1, num_attention_heads: 2 },
  ...{ intermediate_size: 32, max_position_embeddings: 64, tie_word_embeddings: true },
});
const rows = (count: number, name: string): Row[] => {
  const rng = Rng.of('ranks', name);
  return Array.from({ length: count }, (_, i) => {
    const tokens = Int32Array.from({ length: 6 + rng.int(8) }, () => 3 + rng.int(20));
    return { id: `${name}${i}`, task: i % 2 ? 'a' : 'b', tokens, answerStart: tokens.length - 2 };
  });
};
const data = { train: rows(120, 'train'), validation: rows(30, 'validation') };
const specOf = (ranks: number, more: object = {}) =>
  parse(trainSpec, {
    method: { name: 'full' },
    optimizer: { learningRate: 0.01 },
    stages: [
      { tasks: ['a'], tokens: 800 },
      { tasks: ['b'], tokens: 800, replay: 0.3 },
    ],
    ...{ batchTokens: 64, gradientAccumulation: 4, seed: 3, ranks },
    validation: { everyTokens: 400 },
    ...more,
  });
const model = () => ({ config, tensors: initialTensors(config, 7) });

interface Together {
  readonly ranks: number;
  readonly spec?: object;
  readonly hooks?: TrainHooks;
  /** Rows of the ranks besides the first. */
  readonly others?: typeof data;
  /** Called with a function that cuts a rank off. */
  readonly onLinks?: (cut: (rank: number) => void) => void;
}

async function together({ ranks, spec: more = {}, hooks = {}, others = data, onLinks }: Together) {
  const links = linksInMemory(ranks);
  onLinks?.((rank) => links[rank].cut());
  const spec = specOf(ranks, more);
  const parts = links.map((link, rank) => ({
    clock: systemClock,
    executor: OnnxExecutor.create(),
    model: model(),
    rows: rank === 0 ? data : others,
    spec,
    exchange: new Ring(rank, ranks, link),
  }));
  try {
    const ends = await Promise.allSettled(
      parts.map((part, rank) =>
        (rank === 0 ? train({ ...part, ...hooks }) : assist(part)).catch((error) => {
          // As the end of its process does.
          links[rank].cut();
          throw error;
        }),
      ),
    );
    const [first, ...rest] = ends as [
      PromiseSettledResult<Awaited<ReturnType<typeof train>>>,
      ...PromiseSettledResult<void>[],
    ];
    return { first, rest };
  } finally {
    for (const { executor } of parts) await executor.close();
  }
}

async function result(asked: Together) {
  const { first, rest } = await together(asked);
  for (const end of [first, ...rest]) if (end.status === 'rejected') throw end.reason;
  return (first as PromiseFulfilledResult<Awaited<ReturnType<typeof train>>>).value;
}

/** The largest deviation of weights. */
function deviation(some: ReadonlyMap<string, HostTensor>, others: ReadonlyMap<string, HostTensor>): number {
  let worst = 0;
  for (const [name, { data: values }] of some)
    (values as Float32Array).forEach((x, i) => {
      worst = Math.max(worst, Math.abs(x - (others.get(name)!.data as Float32Array)[i]));
    });
  return worst;
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emotune-ranks-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('ranks of one run', () => {
  it.each([
    [2, {}],
    [4, { ema: 0.9 }],
    [
      2,
      { method: { name: 'lora', rank: 4, alpha: 8 }, optimizer: { name: 'adafactor', learningRate: 0.01 } },
    ],
    [2, { regularisation: { dropout: { hidden: 0.1 }, perturbation: { name: 'fgm' } } }],
  ])('%i come to the weights of one, and to the same bits each time: %j', async (ranks, spec) => {
    const one = await result({ ranks: 1, spec });
    const some = await result({ ranks, spec });
    expect(deviation(one.tensors, some.tensors)).toBeLessThan(1e-5);
    expect(some.tokens).toBe(one.tokens);
    expect(some.best!.objective).toBeCloseTo(one.best!.objective, 5);
    expect((await result({ ranks, spec })).tensors).toEqual(some.tensors);
  });

  it('go on from a checkpoint of rank 0, also as another number of ranks', async () => {
    const whole = await result({ ranks: 2 });
    const signal = new AbortController();
    const hooks = (more: object) => ({ checkpoints: folder, ...more });
    const { first, rest } = await together({
      ranks: 2,
      hooks: hooks({
        signal: signal.signal,
        onMeasurement: ({ step }: { step: number }) => {
          if (step === 3) signal.abort();
          return 'continue';
        },
      }),
    });
    expect(first).toMatchObject({ status: 'rejected', reason: expect.any(Interrupted) });
    expect(rest).toMatchObject([{ status: 'fulfilled' }]);
    const resumed = await result({ ranks: 4, hooks: hooks({}) });
    expect(deviation(whole.tensors, resumed.tensors)).toBeLessThan(1e-5);
  });

  it('end together where one has other rows, is lost or diverges', async () => {
    const other = await together({ ranks: 2, others: { ...data, train: rows(120, 'other') } });
    expect(other.rest[0]).toMatchObject({
      reason: {
        message: 'ranks: expected rank 1 to have the model, the rows and the settings of rank 0, got others',
      },
    });
    expect(other.first).toMatchObject({ reason: expect.any(LostRank) });
    let cut: (rank: number) => void = () => {};
    const lost = await together({
      ranks: 3,
      spec: { gradientAccumulation: 3 },
      onLinks: (given) => {
        cut = given;
      },
      hooks: {
        onMeasurement: ({ step }) => {
          if (step === 2) cut(1);
          return 'continue';
        },
      },
    });
    for (const end of [lost.first, ...lost.rest]) expect(end).toMatchObject({ reason: expect.any(LostRank) });
    const diverged = await together({ ranks: 2, spec: { optimizer: { learningRate: 1e30 } } });
    for (const end of [diverged.first, ...diverged.rest])
      expect(end).toMatchObject({ reason: expect.any(Diverged) });
  });

  it('refuse micro-batches that they cannot share', () => {
    expect(() => specOf(3)).toThrow(
      'gradientAccumulation: expected a multiple of ranks (3), which share the micro-batches of a step, got 4',
    );
  });
});
