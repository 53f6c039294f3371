import { Rng } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchRows, epochBatches, planShapes, type Row } from './batches.js';
import { trainSpec } from './spec.js';

function row(id: number, length: number, answers = 3): Row {
  return {
    id: `r${id}`,
    task: 'a',
    tokens: new Int32Array(length),
    answerStart: Math.max(1, length - answers),
  };
}

const rng = Rng.of('lengths');
const feature = Array.from({ length: 2000 }, (_, i) =>
  row(i, Math.max(45, Math.min(200, Math.round(90 + 20 * rng.normal())))),
);

describe('planShapes', () => {
  it('holds every row, whatever the lengths', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 10_000_000 }),
        fc.integer({ min: 16, max: 4096 }),
        (lengths, tokens, batchTokens) => {
          const rows = lengths.map((length, i) => row(i, length));
          const shapes = planShapes(rows, batchTokens, tokens);
          expect(shapes.lengths.length).toBeLessThanOrEqual(8);
          expect([...shapes.lengths].sort((a, b) => a - b)).toEqual(shapes.lengths);
          const batches = batchRows(rows, shapes);
          expect(batches.flatMap((batch) => batch.rows)).toEqual(rows);
          for (const { rows: held, batch, sequence, answers } of batches) {
            expect(held.length).toBeLessThanOrEqual(batch);
            expect(batch === 1 || batch * sequence <= batchTokens).toBe(true);
            for (const { tokens } of held) expect(tokens.length).toBeLessThanOrEqual(sequence);
            const labelled = held.reduce((n, r) => n + r.tokens.length - r.answerStart, 0);
            expect(labelled).toBeLessThanOrEqual(answers);
          }
        },
      ),
    );
  });

  it('spends few graphs on a short run and little padding on a long one', () => {
    const short = planShapes(feature, 2048, 10_000);
    const long = planShapes(feature, 2048, 10_000_000);
    expect(short.lengths.length).toBeLessThanOrEqual(3);
    expect(long.lengths).toHaveLength(8);
    const sorted = [...feature].sort((p, q) => p.tokens.length - q.tokens.length);
    const padded = batchRows(sorted, long).reduce((n, { batch, sequence }) => n + batch * sequence, 0);
    const tokens = feature.reduce((n, { tokens }) => n + tokens.length, 0);
    expect(padded / tokens).toBeLessThan(1.12);
    const graphs = new Set(batchRows(sorted, long).map((b) => `${b.batch}×${b.sequence}×${b.answers}`));
    expect(graphs.size).toBe(8);
  });

  it('leaves rows of one length unpadded', () => {
    const rows = Array.from({ length: 10 }, (_, i) => row(i, 128, 127));
    expect(batchRows(rows, planShapes(rows, 1024, 1280))[0]).toMatchObject({
      batch: 8,
      sequence: 128,
      answers: 1024,
    });
  });
});

it('replays each earlier subtask by its share of the stage, each row at most once', () => {
  const rows = ['a', 'b', 'c'].flatMap((task, t) =>
    Array.from({ length: [100, 10, 40][t] }, (_, i) => ({ ...row(i, 32), id: `${task}${i}`, task })),
  );
  const spec = trainSpec.parse({
    method: { name: 'full' },
    optimizer: { learningRate: 1e-3 },
    stages: ['a', 'b', 'c'].map((task) => ({ tasks: [task], tokens: 1000, replay: 0.5 })),
    batchTokens: 256,
    seed: 1,
  });
  const counts = (stage: number, epoch: number) => {
    const ids = epochBatches(rows, spec, planShapes(rows, 256, 1000), stage, epoch).flatMap((batch) =>
      batch.rows.map(({ id }) => id),
    );
    expect(new Set(ids).size).toBe(ids.length);
    return ['a', 'b', 'c'].map((task) => ids.filter((id) => id.startsWith(task)).length);
  };
  expect(counts(0, 0)).toEqual([100, 0, 0]);
  expect(counts(1, 0)).toEqual([5, 10, 0]);
  // Half of 40 rows each, and b has no more than 10.
  expect(counts(2, 0)).toEqual([20, 10, 40]);
});
