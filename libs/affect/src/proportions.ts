/** Of two answers, which is better, and how sure that is. */
import type { Interval } from './bootstrap.js';

/** The standard normal's 97.5th percentile. */
const z = 1.959963984540054;

/** 95 % interval of a share (Wilson 1927). Undefined of nothing. */
export function wilsonInterval(successes: number, n: number): Interval | undefined {
  if (n === 0) return undefined;
  const share = successes / n;
  const middle = share + z ** 2 / (2 * n);
  const half = z * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  const below = 1 + z ** 2 / n;
  return { low: Math.max(0, (middle - half) / below), high: Math.min(1, (middle + half) / below) };
}

/** Exact two-sided p-value that wins and losses are equally likely: the binomial with 1/2, twice the smaller tail. Undefined of nothing. */
export function signTest(wins: number, losses: number): number | undefined {
  const n = wins + losses;
  if (n === 0) return undefined;
  // By logarithms: 2^-n is no number any more of more than a thousand.
  let term = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= Math.min(wins, losses); k++) {
    tail += Math.exp(term);
    term += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}
