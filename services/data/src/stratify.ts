/**
 * Divides things among splits so that the shares are met over the whole and, within one, in every stratum. Pure: the
 * same things, shares and seed give the same splits.
 *
 * Rounding each stratum by itself leaves small ones whole in one split (28 strata of 4 at a tenth gave no test row).
 * Here the totals are rounded once and the strata share them out (controlled rounding, Cox 1987): each gets its exact
 * share rounded down or up, and the sums come out.
 */
import { splits } from '@emotune/affect';
import { sha256 } from '@emotune/base';

export interface Shares {
  readonly validation: number;
  readonly test: number;
}

/** What is divided: so many, told by their number. */
export interface Units {
  readonly count: number;
  /** Position in the seeded order, uniform on [0, 1). */
  rank(unit: number): number;
  stratum(unit: number): string;
  /** A finer kind within the stratum, spread as evenly as its stratum's counts let it. */
  substratum(unit: number): string;
}

/** One count per split, in the order of `splits`. */
export type Counts = readonly number[];

/** Position of a text in the seeded order, uniform on [0, 1). */
export function rankOf(text: string, seed: number): number {
  return Number.parseInt(sha256(`${seed}\u0000${text}`).slice(0, 12), 16) / 2 ** 48;
}

/** The counts of all splits for `units` things: shares rounded, one at least where a share asks for any and train keeps one. */
export function totalsOf(units: number, shares: Shares): Counts {
  const asked = [shares.validation, shares.test];
  const enough = units > asked.filter((share) => share > 0).length;
  const [validation, test] = asked.map((share) =>
    share > 0 ? Math.max(enough ? 1 : 0, Math.round(units * share)) : 0,
  );
  const held = Math.min(validation + test, Math.max(0, units - 1));
  return splits.map((split) =>
    split === 'train' ? units - held : split === 'test' ? Math.min(test, held) : held - Math.min(test, held),
  );
}

/** What rounding error may make of a whole number. */
const whole = 1e-9;

/**
 * Whole counts, one row per size, whose rows sum to the sizes and whose columns sum to `totals`; each is its exact
 * share, size × total / sum of sizes, rounded down or up.
 */
export function apportion(sizes: readonly number[], totals: Counts): number[][] {
  const sum = sizes.reduce((a, b) => a + b, 0);
  const exact = sizes.map((size) => totals.map((total) => (sum > 0 ? (size * total) / sum : 0)));
  const counts = exact.map((row) => row.map((share) => Math.floor(share + whole)));
  const mayRise = exact.map((row, i) => row.map((share, k) => share - counts[i][k] > whole));
  const rose = counts.map((row) => row.map(() => false));
  const columns = totals.map((_, k) => k);
  // How much a column is behind its exact shares so far: who is most behind is served first.
  const behind = totals.map(() => 0);
  sizes.forEach((size, i) => {
    for (const k of columns) behind[k] += exact[i][k] - counts[i][k];
    for (let left = size - counts[i].reduce((a, b) => a + b, 0); left > 0; left--) {
      const open = columns.filter((k) => mayRise[i][k] && !rose[i][k]);
      const next = open.reduce((best, k) => (behind[k] > behind[best] ? k : best));
      counts[i][next]++;
      rose[i][next] = true;
      behind[next]--;
    }
  });
  // What is over in one column goes to one that lacks, through a third where no row allows it at once.
  const over = (k: number) => counts.reduce((total, row) => total + row[k], 0) - totals[k];
  const move = (from: number, to: number): boolean => {
    const i = rose.findIndex((row, at) => row[from] && !row[to] && mayRise[at][to]);
    if (i < 0) return false;
    counts[i][from]--;
    counts[i][to]++;
    [rose[i][from], rose[i][to]] = [false, true];
    return true;
  };
  for (const from of columns) {
    for (const to of columns) {
      while (over(from) > 0 && over(to) < 0) {
        const direct = move(from, to) || columns.some((by) => move(from, by) && move(by, to));
        if (!direct) break;
      }
    }
  }
  return counts;
}

interface Group {
  readonly name: string;
  readonly members: number[];
}

/** Units of one name each, in the order of the seed. */
function groupsOf(units: Iterable<number>, nameOf: (unit: number) => string, seed: number): Group[] {
  const groups = new Map<string, Group>();
  for (const unit of units) {
    const name = nameOf(unit);
    const group = groups.get(name);
    if (group) group.members.push(unit);
    else groups.set(name, { name, members: [unit] });
  }
  return [...groups.values()]
    .map((group) => ({ group, rank: rankOf(group.name, seed) }))
    .sort((a, b) => a.rank - b.rank || (a.group.name < b.group.name ? -1 : 1))
    .map(({ group }) => group);
}

/** The split of every unit, by its place in `splits`. */
export function stratify(units: Units, shares: Shares, seed: number): Uint8Array {
  const splitOf = new Uint8Array(units.count);
  const strata = groupsOf(splitOf.keys(), (unit) => units.stratum(unit), seed);
  const byStratum = apportion(sizesOf(strata), totalsOf(units.count, shares));
  strata.forEach(({ members }, i) => {
    const kinds = groupsOf(members, (unit) => units.substratum(unit), seed);
    const byKind = apportion(sizesOf(kinds), byStratum[i]);
    kinds.forEach((kind, j) => {
      const ordered = kind.members.sort((a, b) => units.rank(a) - units.rank(b) || a - b);
      let start = 0;
      for (const k of splits.keys()) {
        const end = start + byKind[j][k];
        for (const unit of ordered.slice(start, end)) splitOf[unit] = k;
        start = end;
      }
    });
  });
  return splitOf;
}

function sizesOf(groups: readonly Group[]): number[] {
  return groups.map(({ members }) => members.length);
}
