import { expect, it } from 'vitest';
import { Lanes } from './lanes.js';

it('runs so many at a time in their order, whatever becomes of them', async () => {
  const lanes = new Lanes(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const all = Array.from({ length: 5 }, (_, i) =>
    lanes.run(async () => {
      begun.push(i);
      await new Promise<void>((resolve) => {
        ends[i] = resolve;
      });
      if (i === 0) throw new Error('broken');
      return i;
    }),
  );
  const settled = Promise.allSettled(all);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await turn();
  expect(begun).toEqual([0, 1]);
  ends[0]();
  await turn();
  expect(begun).toEqual([0, 1, 2]);
  ends[2]();
  ends[1]();
  await turn();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  ends[3]();
  ends[4]();
  expect((await settled).map(({ status }) => status)).toEqual(['rejected', ...Array(4).fill('fulfilled')]);
  expect(await lanes.run(async () => 7)).toBe(7);
});
