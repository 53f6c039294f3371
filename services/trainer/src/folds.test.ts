import { type Task, tasks } from '@emotune/affect';
import { InvalidArgument, Rng } from '@emotune/base';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { foldsOf, splitOf } from './folds.js';
import { featureRow } from './testing.js';

const row = (text: string, task: Task) => ({ ...featureRow(text, task, [1, 2, 3]), text });

/** How many distinct texts, as they are, each fold has. */
function textsByFold(rows: readonly { text: string }[], folds: readonly number[], count: number): number[] {
  return Array.from(
    { length: count },
    (_, fold) => new Set(rows.filter((_row, i) => folds[i] === fold).map(({ text }) => text)).size,
  );
}

it('folds are disjoint, cover all rows, keep a text together and are of one size, whatever the order of the hashes', () => {
  const anyRows = fc.array(fc.record({ text: fc.nat(200), task: fc.constantFrom(...tasks) }), {
    minLength: 40,
  });
  fc.assert(
    fc.property(anyRows, fc.integer({ min: 2, max: 5 }), (given, count) => {
      const rows = given.map(({ text, task }) => row(`text ${text}`, task));
      fc.pre(new Set(rows.map(({ text }) => text)).size >= count);
      const folds = foldsOf(rows, count);
      expect(folds).toHaveLength(rows.length);
      expect(new Set(folds)).toEqual(new Set(Array.from({ length: count }, (_, fold) => fold)));
      const foldOf = new Map<string, number>();
      rows.forEach(({ text }, i) => {
        expect(folds[i]).toBe(foldOf.get(text) ?? folds[i]);
        foldOf.set(text, folds[i]);
      });
      const sizes = textsByFold(rows, folds, count);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      const parts = Array.from({ length: count }, (_, fold) => splitOf(rows, { fold, of: count }));
      for (const { train, held } of parts) {
        expect(train.length + held.length).toBe(rows.length);
        const seen = new Set(train.map(({ text }) => text));
        expect(held.some(({ text }) => seen.has(text))).toBe(false);
      }
      expect(parts.flatMap(({ held }) => held)).toHaveLength(rows.length);
    }),
    { numRuns: 50 },
  );
});

it('texts that people would call the same are of one fold, over all subtasks', () => {
  const rows = Array.from({ length: 30 }, (_, i) => row(`Great “${i}” !`, tasks[0]));
  const again = rows.map((_, i) => row(`great "${i}"!`, tasks[i % 4]));
  const folds = foldsOf([...rows, ...again], 5);
  expect(folds.slice(30)).toEqual(folds.slice(0, 30));
});

it('what was made from a row is of its fold, and held out of none', () => {
  const rows = Array.from({ length: 20 }, (_, i) => ({ ...row(`text ${i}`, tasks[0]), id: `r/${i}` }));
  const made = rows.map(({ id, text }) => ({
    ...row(`${text}, edited`, tasks[0]),
    id: `${id}#2`,
    derived: { from: id, by: 'aeda' },
  }));
  const folds = foldsOf([...rows, ...made], 4);
  expect(folds.slice(20)).toEqual(folds.slice(0, 20));
  expect(folds.slice(0, 20)).toEqual(foldsOf(rows, 4));
  const { train, held } = splitOf([...rows, ...made], { fold: 0, of: 4 });
  expect(held.map(({ id }) => id)).toEqual(rows.filter((_, i) => folds[i] === 0).map(({ id }) => id));
  expect(train).toHaveLength(40 - 2 * held.length);
});

it('the folds of each subtask differ by one text at most, and do not follow the order of the rows', () => {
  const rows = tasks.flatMap((task, t) =>
    Array.from({ length: 11 + t }, (_, i) => row(`${task} ${i}`, task)),
  );
  const folds = foldsOf(rows, 4);
  for (const task of tasks) {
    const own = rows.map((r, i) => ({ ...r, fold: folds[i] })).filter((r) => r.task === task);
    const sizes = textsByFold(
      own,
      own.map(({ fold }) => fold),
      4,
    );
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  }
  const order = Rng.of('order').shuffle([...rows.keys()]);
  const shuffled = foldsOf(
    order.map((i) => rows[i]),
    4,
  );
  expect(shuffled).toEqual(order.map((i) => folds[i]));
});

it('more folds than texts are refused', () => {
  const rows = ['a', 'b', 'B.'].map((text) => row(text, tasks[0]));
  expect(new Set(foldsOf(rows, 2))).toEqual(new Set([0, 1]));
  expect(() => foldsOf(rows, 3)).toThrow(
    InvalidArgument.at('training.folds', 'expected at most 2, the texts to train on, got 3'),
  );
});
