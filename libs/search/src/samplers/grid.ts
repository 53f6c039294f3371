/**
 * Grid search: every combination of values once, then every one a second time, which a search does not take (`untried.ts`). The order strides over the grid by
 * its golden section, so that a search that ends early has seen all of it coarsely. Trials that a machine lost are
 * suggested again.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Combinations, keyOf } from '../combinations.js';
import { lessonOf } from '../history.js';
import type { Sampler } from '../sampler.js';
import type { Assignment } from '../space.js';

const settings = z.strictObject({
  /** Values of a numeric parameter at most, evenly on its scale from end to end. */
  points: z.number().int().min(2).max(1000).default(10),
});

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b);
}

export const grid: Sampler<z.output<typeof settings>> = {
  settings,
  suggest: (space, history, { seed }, { points }) => {
    const combinations = new Combinations(space, points);
    const { count } = combinations;
    const times = new Map<string, number>();
    for (const record of history) {
      if (lessonOf(record) === 'nothing') continue;
      const key = keyOf(space, record.parameters);
      times.set(key, (times.get(key) ?? 0) + 1);
    }
    let stride = (count * 618_034n) / 1_000_000n || 1n;
    while (gcd(stride, count) !== 1n) stride++;
    const offset = BigInt(Rng.of(seed, 'grid').uint32());
    let rarest: { values: Assignment; seen: number } | undefined;
    for (let i = 0n; i < count; i++) {
      const values = combinations.at((offset + i * stride) % count);
      const seen = times.get(keyOf(space, values)) ?? 0;
      if (seen === 0) return values;
      if (!rarest || seen < rarest.seen) rarest = { values, seen };
    }
    return (rarest as { values: Assignment }).values;
  },
};
