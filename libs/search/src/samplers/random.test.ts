import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { suggest } from '../samplers.js';
import { parseSearchSpace } from '../space.js';
import { coveringDraw } from './random.js';

const families = ['opt', 'bloom', 'llama'];
const space = parseSearchSpace([
  { name: 'architecture', categorical: { values: families } },
  { name: 'rate', double: { min: 0, max: 1 } },
]);

it.each(['random', 'tpe', 'gp', 'cma-es'])('the first trials of %s see every category', (name) => {
  for (let seed = 0; seed < 20; seed++) {
    const drawn = [0, 1, 2].map(
      (trialNumber) => suggest({ name }, space, [], { seed, trialNumber })['architecture'],
    );
    expect(new Set(drawn)).toEqual(new Set(families));
  }
});

it('a category is as likely as another at each place of its three trials', () => {
  const seeds = 3_000;
  for (const trialNumber of [0, 1, 2, 5]) {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < seeds; seed++) {
      const drawn = coveringDraw(families, trialNumber, (number) => Rng.of('test', seed, number));
      counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
    }
    // Five standard deviations of a binomial share of a third.
    for (const count of counts.values())
      expect(Math.abs(count / seeds - 1 / 3)).toBeLessThan(5 * Math.sqrt(2 / 9 / seeds));
  }
});
