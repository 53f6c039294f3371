/** How far the raters of a row were apart. */
import type { Gold } from './tasks.js';

/**
 * Of numbers their standard deviation, in units of 0..1; of labels the share of raters who did not give the label that most
 * of them gave. Undefined where that is not known, or one person rated.
 */
export function disagreement({ value, spread, raters, votes }: Gold): number | undefined {
  if (value !== null) return spread === null || (raters !== null && raters < 2) ? undefined : spread;
  const counts = Object.values(votes);
  if (raters === null || raters < 2 || counts.length === 0) return undefined;
  return 1 - Math.min(1, Math.max(...counts) / raters);
}

/** The median of some values, one at least. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
