import { describe, expect, it } from 'vitest';
import { epochBatches, packingOf, type Row, within } from './batches.js';
import { trainSpec } from './spec.js';

function row(task: string, i: number, length = 32): Row {
  return { id: `${task}${i}`, task, tokens: new Int32Array(length), answerStart: length - 3 };
}
const rows = ['a', 'b', 'c'].flatMap((task, t) =>
  Array.from({ length: [100, 10, 40][t] }, (_, i) => row(task, i)),
);
const epoch = (
  stages: object[],
  all: readonly Row[],
  place: { stage: number; epoch: number; stageTokens?: number },
) => {
  const spec = trainSpec.parse({
    method: { name: 'full' },
    optimizer: { learningRate: 1e-3 },
    batchTokens: 256,
    seed: 1,
    stages,
  });
  const packing = packingOf({ train: all, validation: [] }, spec, { width: 64, maxSequence: 512 });
  return epochBatches(all, spec, packing, { stageTokens: 0, ...place }).flatMap((batch) => batch.rows);
};
const countsOf = (some: readonly Row[]) =>
  ['a', 'b', 'c'].map((task) => some.filter((each) => each.task === task).length);

describe('epochBatches', () => {
  it('replays each earlier subtask by its share of the stage, each row at most once', () => {
    const stages = ['a', 'b', 'c'].map((task) => ({ tasks: [task], tokens: 1000, replay: 0.5 }));
    const counts = (stage: number, n: number) => {
      const drawn = epoch(stages, rows, { stage, epoch: n });
      expect(new Set(drawn.map(({ id }) => id)).size).toBe(drawn.length);
      return countsOf(drawn);
    };
    expect(counts(0, 0)).toEqual([100, 0, 0]);
    expect(counts(1, 0)).toEqual([5, 10, 0]);
    // Half of 40 rows each, and b has no more than 10.
    expect(counts(2, 0)).toEqual([20, 10, 40]);
  });

  it('mixes the subtasks of a stage by temperature, small ones from the beginning again', () => {
    const stage = { tasks: ['a', 'b', 'c'], tokens: 10_000 };
    expect(countsOf(epoch([stage], rows, { stage: 0, epoch: 0 }))).toEqual([100, 10, 40]);
    expect(countsOf(epoch([{ ...stage, mixingTemperature: 1e9 }], rows, { stage: 0, epoch: 0 }))).toEqual([
      50, 50, 50,
    ]);
  });

  it('draws easy rows first where competence is asked for, more of them as the stage goes on', () => {
    const lengths = Array.from({ length: 400 }, (_, i) => row('a', i, 8 + (i % 100)));
    const stages = [{ tasks: ['a'], tokens: 100_000, competence: { start: 0.1 } }];
    const longest = (stageTokens: number) => {
      const drawn = epoch(stages, lengths, { stage: 0, epoch: 3, stageTokens });
      return Math.max(...drawn.map(({ tokens }) => tokens.length));
    };
    // A tenth of the rows at first; √(0.25·0.99 + 0.01) = 0.507 of them after a quarter.
    expect(longest(0)).toBe(17);
    expect(longest(25_000)).toBeLessThanOrEqual(58);
    expect(longest(25_000)).toBeGreaterThan(50);
    expect(longest(100_000)).toBeGreaterThan(90);
  });

  it('is refused a temperature where nothing is mixed', () => {
    const lone = [{ tasks: ['a'], tokens: 1, mixingTemperature: 2 }];
    expect(() => epoch(lone, rows, { stage: 0, epoch: 0 })).toThrow('expected 1 in a stage of one task');
  });
});

it('micro-batches are cut to what is left by rows that fit, in their places, and are left alone where all fit', () => {
  const row = (length: number): Row => ({
    id: `${length}`,
    task: 'a',
    tokens: new Int32Array(length),
    answerStart: 1,
  });
  const batch = (...lengths: number[]) => ({
    batch: 1,
    sequence: 64,
    answers: 64,
    rows: lengths.map(row),
    starts: lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0)),
  });
  const batches = [batch(10, 20, 5), batch(8, 30)];
  expect(within(batches, 73)).toBe(batches);
  const kept = (most: number) =>
    within(batches, most).map(({ rows, starts }) => rows.map(({ tokens }, i) => [tokens.length, starts[i]]));
  expect(kept(50)).toEqual([
    [
      [10, 0],
      [20, 10],
      [5, 30],
    ],
    [[8, 0]],
  ]);
  expect(kept(18)).toEqual([
    [
      [10, 0],
      [5, 30],
    ],
  ]);
  // No row fits: the shortest of the first batch.
  expect(kept(4)).toEqual([[[5, 30]]]);
  expect(within(batches, 18)[0]).toMatchObject({ batch: 1, sequence: 64, answers: 64 });
});
