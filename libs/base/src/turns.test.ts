import { expect, it } from 'vitest';
import { Turns } from './turns.js';

const work = (ms: number) => {
  const until = performance.now() + ms;
  while (performance.now() < until);
};

it('lets others in between pieces of work that take long together, in the order in which they asked', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  let over = false;
  const rounds = () => {
    if (over) return;
    seen.push('|');
    setImmediate(rounds);
  };
  setImmediate(rounds);
  const piece = async (name: string, ms: number) => {
    await turns.take();
    seen.push(name);
    work(ms);
  };
  await Promise.all([piece('a', 20), piece('b', 20), piece('c', 0), piece('d', 20), piece('e', 0)]);
  over = true;
  const text = seen.join('').replace(/^\|*/, '').replace(/\|+/g, '|');
  expect(text).toMatch(/^a\|b\|c\|?d\|e\|?$/);
});

it('makes way at once where nobody waits', async () => {
  const turns = new Turns();
  await turns.take();
  await turns.take();
});
