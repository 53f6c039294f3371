import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FairQueue, type Piece } from './fair-queue.js';

interface Named extends Piece {
  readonly name: string;
}

const pieces = (name: string, count: number, cost = 128, kind = 'a'): Named[] =>
  Array.from({ length: count }, () => ({ name, cost, kind }));

/** The names of what is taken, one turn after another. */
function drained(queue: FairQueue<Named>, most: number): string[] {
  const order: string[] = [];
  for (let taken = queue.take(most); taken.length > 0; taken = queue.take(most))
    order.push(taken.map(({ name }) => name).join(' '));
  return order;
}

it('takes what is alike together, as much as fits, and one at least', () => {
  const queue = new FairQueue<Named>();
  queue.add(queue.open('x'), [...pieces('a', 3), ...pieces('b', 1, 900, 'b')]);
  queue.add(queue.open('y'), pieces('c', 2));
  expect(queue.cost).toBe(5 * 128 + 900);
  expect(drained(queue, 512)).toEqual(['a a a c', 'b', 'c']);
  expect(queue.cost).toBe(0);
});

it('serves a small call soon that comes after a large one of the same caller', () => {
  const queue = new FairQueue<Named>();
  queue.add(queue.open('x'), pieces('large', 100));
  for (let i = 0; i < 20; i++) queue.take(128);
  queue.add(queue.open('x'), pieces('small', 2));
  expect(drained(queue, 128).indexOf('small')).toBeLessThan(5);
});

it('gives callers turns, however many calls each has', () => {
  const queue = new FairQueue<Named>();
  for (let i = 0; i < 50; i++) queue.add(queue.open('many'), pieces('many', 4));
  for (let i = 0; i < 60; i++) queue.take(128);
  queue.add(queue.open('few'), pieces('few', 8));
  const order = drained(queue, 128);
  // Eight pieces are two turns of four; between them others have one.
  expect(order.lastIndexOf('few')).toBeLessThan(17);
  expect(order.filter((name) => name === 'few')).toHaveLength(8);
});

it('gives nobody turns for having asked nothing', () => {
  const queue = new FairQueue<Named>();
  const idle = queue.open('idle');
  queue.add(queue.open('busy'), pieces('busy', 200));
  for (let i = 0; i < 100; i++) queue.take(128);
  queue.add(idle, pieces('idle', 50));
  const first = drained(queue, 128).slice(0, 40);
  expect(first.filter((name) => name === 'busy').length).toBeGreaterThanOrEqual(16);
});

it('takes nothing of what was removed', () => {
  const queue = new FairQueue<Named>();
  const line = queue.open('x');
  const [gone, kept] = [pieces('gone', 3), pieces('kept', 1)];
  queue.add(line, [...gone, ...kept]);
  queue.remove(line, new Set(gone));
  expect(queue.cost).toBe(128);
  expect(drained(queue, 512)).toEqual(['kept']);
  queue.remove(line, new Set(gone));
  queue.add(line, pieces('late', 2));
  queue.close(line);
  expect(queue.cost).toBe(0);
  expect(queue.take(512)).toEqual([]);
});

it('takes all that was added, once, within its limit, in the order of each call and kind', () => {
  const call = fc.record({
    caller: fc.constantFrom('x', 'y', 'z'),
    costs: fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 12 }),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 20 }), fc.integer({ min: 1, max: 600 }), (calls, most) => {
      const queue = new FairQueue<Piece & { readonly call: number; readonly at: number }>();
      for (const [i, { caller, costs }] of calls.entries())
        queue.add(
          queue.open(caller),
          costs.map((cost, at) => ({ call: i, at, cost, kind: String(cost % 3) })),
        );
      const seen = new Map<string, number>();
      let count = 0;
      for (let taken = queue.take(most); taken.length > 0; taken = queue.take(most)) {
        count += taken.length;
        if (taken.length > 1)
          expect(taken.reduce((sum, { cost }) => sum + cost, 0)).toBeLessThanOrEqual(most);
        expect(new Set(taken.map(({ kind }) => kind)).size).toBe(1);
        for (const { call: of, at, kind } of taken) {
          expect(seen.get(`${of} ${kind}`) ?? -1).toBeLessThan(at);
          seen.set(`${of} ${kind}`, at);
        }
      }
      expect(count).toBe(calls.reduce((sum, { costs }) => sum + costs.length, 0));
      expect(queue.cost).toBe(0);
    }),
  );
});
