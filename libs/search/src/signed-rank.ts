/** Wilcoxon's signed-rank test (Wilcoxon 1945), one-sided and exact up to 50 pairs. */
import { cdf } from './normal.js';

const exactPairs = 50;

/**
 * Probability of a rank sum of positive differences at least as large, if signs were thrown. Equal sizes share their
 * mean rank; zeros take ranks and give half of each to either side (zsplit). Small: the differences are above 0.
 */
export function signedRankP(differences: readonly number[]): number {
  const sorted = [...differences].sort((a, b) => Math.abs(a) - Math.abs(b));
  // Twice the ranks, so that shared ones are whole; indexes from 0.
  const ranks: number[] = [];
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while (j < sorted.length && Math.abs(sorted[j]) === Math.abs(sorted[i])) j++;
    for (let k = i; k < j; k++) ranks.push(i + j + 1);
    i = j;
  }
  const thrown = ranks.filter((_, i) => sorted[i] !== 0);
  const positive = ranks.reduce((sum, rank, i) => sum + (sorted[i] > 0 ? rank : 0), 0);
  if (thrown.length === 0) return 1;
  if (thrown.length > exactPairs) {
    const mean = thrown.reduce((sum, rank) => sum + rank, 0) / 2;
    const variance = thrown.reduce((sum, rank) => sum + rank * rank, 0) / 4;
    return cdf((mean - positive) / Math.sqrt(variance));
  }
  const total = thrown.reduce((sum, rank) => sum + rank, 0);
  const share = new Float64Array(total + 1);
  share[0] = 1;
  for (const rank of thrown)
    for (let sum = total; sum >= 0; sum--)
      share[sum] = (share[sum] + (sum >= rank ? share[sum - rank] : 0)) / 2;
  return Math.min(
    1,
    share.subarray(positive).reduce((a, b) => a + b, 0),
  );
}
