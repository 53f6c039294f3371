/** Which rows of a split go in when there are more than asked for. Pure: the same rows and seed give the same choice. */
import { type Example, tasks } from '@emotune/affect';
import { sha256 } from '@emotune/base';

/**
 * Shares `limit` among groups in proportion to their sizes, by largest remainders; each group gets one at least while
 * there are enough for all.
 */
export function allot(sizes: readonly number[], limit: number): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total <= limit) return [...sizes];
  const least = sizes.filter((size) => size > 0).length <= limit ? 1 : 0;
  const shares = sizes.map((size) => Math.min(size, least));
  // What lies above the share that a group has, largest first.
  let left = limit - shares.reduce((sum, share) => sum + share, 0);
  while (left > 0) {
    let neediest = -1;
    let most = Number.NEGATIVE_INFINITY;
    sizes.forEach((size, i) => {
      const need = (size * limit) / total - shares[i];
      if (shares[i] < size && need > most) [neediest, most] = [i, need];
    });
    // Whole shares at once where a group is far behind.
    const step = Math.min(left, Math.max(1, Math.floor(most)), sizes[neediest] - shares[neediest]);
    shares[neediest] += step;
    left -= step;
  }
  return shares;
}

/** Rows that must not all be lost: of one source and label; labels by the rarest that a row has, numbers by terciles. */
function strataOf(examples: readonly Example[]): Map<string, Example[]> {
  const key = (example: Example, kind: string) => JSON.stringify([example.source, kind]);
  const counts = new Map<string, number>();
  for (const example of examples) {
    for (const label of example.gold.labels) {
      const at = key(example, label);
      counts.set(at, (counts.get(at) ?? 0) + 1);
    }
  }
  const strata = new Map<string, Example[]>();
  for (const example of examples) {
    const rarest = [...example.gold.labels].sort(
      (a, b) => counts.get(key(example, a))! - counts.get(key(example, b))! || (a < b ? -1 : 1),
    )[0];
    const tercile = Math.min(2, Math.floor((example.gold.value ?? 0) * 3));
    const kind = example.gold.value === null ? rarest : `${example.emotion ?? ''} ${tercile}`;
    const at = key(example, kind);
    const stratum = strata.get(at);
    if (stratum) stratum.push(example);
    else strata.set(at, [example]);
  }
  return strata;
}

/** At most `limit` rows of each task in their order; 0 keeps all. */
export function selectRows(examples: readonly Example[], limit: number, seed: number): readonly Example[] {
  if (limit === 0) return examples;
  const kept = new Set<Example>();
  for (const task of tasks) {
    const strata = [...strataOf(examples.filter((example) => example.task === task)).values()];
    const shares = allot(
      strata.map((rows) => rows.length),
      limit,
    );
    strata.forEach((rows, i) => {
      const ranked = rows
        .map((row) => ({ row, rank: sha256(JSON.stringify([seed, 'select', row.id])) }))
        .sort((a, b) => (a.rank < b.rank ? -1 : 1));
      for (const { row } of ranked.slice(0, shares[i])) kept.add(row);
    });
  }
  return examples.filter((example) => kept.has(example));
}
