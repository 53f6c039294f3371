/**
 * Mistakes that have something in common: examples that are answered wrongly in one direction, more often than others where a
 * cue stands in the text. Found among the same examples that they are told of, so they say where to look, not what is proven.
 */

export interface HardRow {
  readonly id: string;
  /** What the text has: words that a lexicon knows, negation, emoji, … each once. */
  readonly cues: readonly string[];
  /** How the answer is wrong ("joy → anger", "too high"); undefined where it is not among the hard ones. */
  readonly direction: string | undefined;
  /** How sure the model was, 0..1, where known. */
  readonly confidence: number | undefined;
}

export interface HardCluster {
  readonly direction: string;
  /** The one that the cluster was found by, then others that half of its examples share and that are as seldom elsewhere. */
  readonly cues: readonly string[];
  /** Its examples, the surest mistake first, by their place among the rows. */
  readonly rows: readonly number[];
  /** All rows with the first cue. */
  readonly of: number;
  /** Hypergeometric: that so many of the mistakes have the cue by chance; not corrected for the cues that were tried. */
  readonly pValue: number;
  /** Mean over its examples; undefined where it is of none known. */
  readonly confidence: number | undefined;
}

/** A cluster has so many examples at least. */
const fewest = 3;
const most = 8;
const significance = 0.05;

/** log n! for 0..n. */
function logFactorials(n: number): Float64Array {
  const logs = new Float64Array(n + 1);
  for (let i = 2; i <= n; i++) logs[i] = logs[i - 1] + Math.log(i);
  return logs;
}

/** P(X ≥ k) of a hypergeometric X: `drawn` of `all` rows, of which `marked` have the cue. */
export function atLeast(k: number, all: number, marked: number, drawn: number): number {
  const f = logFactorials(all);
  const choose = (n: number, m: number) => f[n] - f[m] - f[n - m];
  const whole = choose(all, drawn);
  let p = 0;
  for (let x = Math.max(k, drawn + marked - all, 0); x <= Math.min(marked, drawn); x++)
    p += Math.exp(choose(marked, x) + choose(all - marked, drawn - x) - whole);
  return Math.min(1, p);
}

interface Found {
  readonly direction: string;
  readonly cue: string;
  readonly rows: readonly number[];
  readonly pValue: number;
}

/** The rows of each value. */
function grouped(rows: readonly HardRow[], of: (row: HardRow) => readonly string[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  rows.forEach((row, i) => {
    for (const value of of(row)) {
      const group = groups.get(value);
      if (group) group.push(i);
      else groups.set(value, [i]);
    }
  });
  return groups;
}

/** The cluster that chance would make least often, of mistakes that are in none yet. */
function strongest(
  rows: readonly HardRow[],
  byCue: ReadonlyMap<string, readonly number[]>,
  byDirection: ReadonlyMap<string, readonly number[]>,
  taken: ReadonlySet<number>,
): Found | undefined {
  let best: Found | undefined;
  for (const [direction, hard] of byDirection) {
    const left = hard.filter((i) => !taken.has(i));
    for (const [cue, having] of grouped(
      left.map((i) => rows[i]),
      ({ cues }) => cues,
    )) {
      if (having.length < fewest) continue;
      const members = having.map((i) => left[i]);
      const pValue = atLeast(members.length, rows.length, byCue.get(cue)!.length, left.length);
      if (pValue < (best?.pValue ?? significance)) best = { direction, cue, rows: members, pValue };
    }
  }
  return best;
}

/** Other cues that half of the members have, and that as small a share of all rows has as of those with the first. */
function sharedCues(
  rows: readonly HardRow[],
  byCue: ReadonlyMap<string, readonly number[]>,
  found: Found,
): string[] {
  const counts = grouped(
    found.rows.map((i) => rows[i]),
    ({ cues }) => cues,
  );
  return [...counts]
    .filter(
      ([cue, members]) =>
        cue !== found.cue &&
        2 * members.length >= found.rows.length &&
        members.length / found.rows.length > (2 * byCue.get(cue)!.length) / rows.length,
    )
    .sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1))
    .map(([cue]) => cue);
}

/** At most eight clusters of three mistakes or more, those first of which the model was surest; a mistake is in one at most. */
export function hardClusters(rows: readonly HardRow[]): HardCluster[] {
  const byCue = grouped(rows, ({ cues }) => cues);
  const byDirection = grouped(rows, ({ direction }) => (direction === undefined ? [] : [direction]));
  const taken = new Set<number>();
  const clusters: HardCluster[] = [];
  while (clusters.length < most) {
    const found = strongest(rows, byCue, byDirection, taken);
    if (!found) break;
    for (const i of found.rows) taken.add(i);
    const sure = (i: number) => rows[i].confidence;
    const known = found.rows.map(sure).filter((confidence) => confidence !== undefined);
    clusters.push({
      direction: found.direction,
      cues: [found.cue, ...sharedCues(rows, byCue, found)],
      rows: [...found.rows].sort((a, b) => (sure(b) ?? -1) - (sure(a) ?? -1) || a - b),
      of: byCue.get(found.cue)!.length,
      pValue: found.pValue,
      confidence: known.length === 0 ? undefined : known.reduce((sum, p) => sum + p, 0) / known.length,
    });
  }
  return clusters.sort((a, b) => (b.confidence ?? -1) - (a.confidence ?? -1) || a.pValue - b.pValue);
}
