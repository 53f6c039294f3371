/**
 * Regression forests (Breiman 2001) over boxes, whose marginals are exact: every leaf is a product of intervals and sets
 * of categories, so means over any of its coordinates are sums over leaves (Hutter, Hoos and Leyton-Brown 2014, "An
 * efficient approach for assessing hyperparameter importance").
 */
import type { Rng } from '@emotune/base';

/** Categories of a coordinate, whose values are then 0 … categories − 1; 0: numbers from 0 to 1. */
export type Coordinates = readonly number[];

interface Leaf {
  readonly value: number;
  /** For each coordinate that is a number the ends of its interval. */
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** For each coordinate that is a category: 1 for each one that belongs to the leaf. */
  readonly members: readonly (Uint8Array | undefined)[];
}

interface Split {
  readonly coordinate: number;
  /** Numbers up to it, and categories that it has a 1 for, go left. */
  readonly threshold: number | Uint8Array;
  readonly left: Node;
  readonly right: Node;
}

type Node = Leaf | Split;

const isSplit = (node: Node): node is Split => 'coordinate' in node;

const goesLeft = (threshold: number | Uint8Array, x: number) =>
  typeof threshold === 'number' ? x <= threshold : threshold[x] === 1;

interface Candidate {
  readonly coordinate: number;
  readonly threshold: number | Uint8Array;
  /** What it takes from the sum of squared errors. */
  readonly score: number;
}

/** Scores that differ by less are equal: sums in another order round otherwise. */
const rounding = 1e-9;

/** The best split of rows along one coordinate. */
function bestSplit(
  rows: readonly number[],
  points: readonly (readonly number[])[],
  values: readonly number[],
  coordinate: number,
  categories: number,
): Candidate | undefined {
  // Groups of rows in the order in which they may be cut: by number, or categories by their mean (Fisher 1958).
  const groups = new Map<number, { x: number; sum: number; count: number }>();
  for (const row of rows) {
    const x = points[row][coordinate];
    const group = groups.get(x);
    if (group) {
      group.sum += values[row];
      group.count++;
    } else groups.set(x, { x, sum: values[row], count: 1 });
  }
  const ordered = [...groups.values()].sort((a, b) =>
    categories === 0 ? a.x - b.x : a.sum / a.count - b.sum / b.count || a.x - b.x,
  );
  const mean = rows.reduce((sum, row) => sum + values[row], 0) / rows.length;
  let [sum, count, best, score] = [0, 0, -1, -Infinity];
  for (let i = 0; i + 1 < ordered.length; i++) {
    // The sum of what lies above the mean: with the mean in it, large objectives would drown the difference.
    sum += ordered[i].sum - mean * ordered[i].count;
    count += ordered[i].count;
    const found = sum ** 2 * (1 / count + 1 / (rows.length - count));
    if (best < 0 || found > score * (1 + rounding)) [best, score] = [i, found];
  }
  if (best < 0) return undefined;
  if (categories === 0) return { coordinate, threshold: (ordered[best].x + ordered[best + 1].x) / 2, score };
  const threshold = new Uint8Array(categories);
  for (const { x } of ordered.slice(0, best + 1)) threshold[x] = 1;
  return { coordinate, threshold, score };
}

const bounds = (leaf: Leaf) => ({
  low: leaf.low.slice(),
  high: leaf.high.slice(),
  members: leaf.members.map((m) => m?.slice()),
});

function grow(
  rows: readonly number[],
  points: readonly (readonly number[])[],
  values: readonly number[],
  coordinates: Coordinates,
  box: Leaf,
  depth: number,
): Node {
  const value = rows.reduce((sum, row) => sum + values[row], 0) / rows.length;
  const even = rows.every((row) => values[row] === values[rows[0]]);
  let best: Candidate | undefined;
  if (!even && depth < 64)
    coordinates.forEach((categories, coordinate) => {
      const found = bestSplit(rows, points, values, coordinate, categories);
      if (found && (!best || found.score > best.score * (1 + rounding))) best = found;
    });
  if (!best) return { ...box, value };
  const { coordinate, threshold } = best as Candidate;
  const [left, right] = [bounds(box), bounds(box)];
  if (typeof threshold === 'number') left.high[coordinate] = right.low[coordinate] = threshold;
  else {
    (left.members[coordinate] as Uint8Array).forEach((_, c, own) => {
      own[c] &= threshold[c];
    });
    (right.members[coordinate] as Uint8Array).forEach((_, c, own) => {
      own[c] &= 1 - threshold[c];
    });
  }
  const side = (isLeft: boolean) =>
    rows.filter((row) => goesLeft(threshold, points[row][coordinate]) === isLeft);
  return {
    coordinate,
    threshold,
    left: grow(side(true), points, values, coordinates, { ...left, value }, depth + 1),
    right: grow(side(false), points, values, coordinates, { ...right, value }, depth + 1),
  };
}

function leavesOf(node: Node, into: Leaf[] = []): Leaf[] {
  if (isSplit(node)) {
    leavesOf(node.left, into);
    leavesOf(node.right, into);
  } else into.push(node);
  return into;
}

/** The share of a coordinate that a leaf covers. */
function share({ low, high, members }: Leaf, d: number): number {
  const own = members[d];
  return own ? own.reduce((sum, member) => sum + member, 0) / own.length : high[d] - low[d];
}

function covers({ low, high, members }: Leaf, d: number, x: number): boolean {
  const own = members[d];
  return own ? own[x] === 1 : x > low[d] ? x <= high[d] : x === 0 && low[d] === 0;
}

/** Stretches of a coordinate in which no leaf ends, and the runs of them that each leaf covers. */
interface Cells {
  readonly shares: readonly number[];
  runs(leaf: Leaf): readonly (readonly [from: number, to: number])[];
}

const oneCell: Cells = { shares: [1], runs: () => [[0, 1]] };

export class Tree {
  private readonly root: Node;
  private readonly leaves: readonly Leaf[];
  /** Shares [leaf][coordinate]. */
  private readonly shares: readonly Float64Array[];
  /** Rows that the tree has not seen. */
  readonly unseen: readonly number[];

  /** @param rows Of `points` [n][D], as often as the tree is to see each. */
  constructor(
    points: readonly (readonly number[])[],
    values: readonly number[],
    readonly coordinates: Coordinates,
    rows: readonly number[],
  ) {
    const seen = new Set(rows);
    this.unseen = points.map((_, row) => row).filter((row) => !seen.has(row));
    const everything: Leaf = {
      value: 0,
      low: new Float64Array(coordinates.length),
      high: new Float64Array(coordinates.length).fill(1),
      members: coordinates.map((n) => (n > 0 ? new Uint8Array(n).fill(1) : undefined)),
    };
    this.root = grow(rows, points, values, coordinates, everything, 0);
    this.leaves = leavesOf(this.root);
    this.shares = this.leaves.map((leaf) => Float64Array.from(coordinates, (_, d) => share(leaf, d)));
  }

  predict(point: readonly number[]): number {
    let node = this.root;
    while (isSplit(node)) node = goesLeft(node.threshold, point[node.coordinate]) ? node.left : node.right;
    return node.value;
  }

  /** Mean over all coordinates but those given, at their values. */
  marginal(given: readonly number[], at: readonly number[]): number {
    let sum = 0;
    this.leaves.forEach((leaf, i) => {
      if (given.every((d, k) => covers(leaf, d, at[k]))) sum += leaf.value * this.weight(i, given);
    });
    return sum;
  }

  /** Share of the space that a leaf covers, without some coordinates. */
  private weight(leaf: number, without: readonly number[]): number {
    let weight = 1;
    for (let d = 0; d < this.coordinates.length; d++)
      if (!without.includes(d)) weight *= this.shares[leaf][d];
    return weight;
  }

  /** Variance over the whole space. */
  variance(): number {
    const mean = this.marginal([], []);
    return this.leaves.reduce((sum, leaf, i) => sum + (leaf.value - mean) ** 2 * this.weight(i, []), 0);
  }

  /** Variance of the marginal over one or two coordinates: of their effects alone and together. */
  marginalVariance(first: number, second?: number): number {
    const given = second === undefined ? [first] : [first, second];
    const mean = this.marginal([], []);
    const [a, b] = [this.cells(first), second === undefined ? oneCell : this.cells(second)];
    // What each leaf adds to a rectangle of cells, as differences at its corners.
    const width = b.shares.length + 1;
    const sums = new Float64Array((a.shares.length + 1) * width);
    this.leaves.forEach((leaf, i) => {
      const amount = leaf.value * this.weight(i, given);
      for (const [top, bottom] of a.runs(leaf))
        for (const [left, right] of b.runs(leaf)) {
          sums[top * width + left] += amount;
          sums[top * width + right] -= amount;
          sums[bottom * width + left] -= amount;
          sums[bottom * width + right] += amount;
        }
    });
    let variance = 0;
    for (let row = 0; row < a.shares.length; row++) {
      let before = 0;
      for (let column = 0; column < b.shares.length; column++) {
        const at = row * width + column;
        before += sums[at];
        // The sum of the cells above, which hold their marginals by now.
        sums[at] = before + (row > 0 ? sums[at - width] : 0);
        variance += a.shares[row] * b.shares[column] * (sums[at] - mean) ** 2;
      }
    }
    return variance;
  }

  private cells(d: number): Cells {
    const categories = this.coordinates[d];
    if (categories > 0)
      return {
        shares: Array.from({ length: categories }, () => 1 / categories),
        runs: ({ members }) =>
          [...(members[d] as Uint8Array)].flatMap((member, c) => (member ? [[c, c + 1] as const] : [])),
      };
    const ends = [...new Set([0, ...this.leaves.map(({ high }) => high[d])])].sort((x, y) => x - y);
    const index = new Map(ends.map((end, i) => [end, i]));
    return {
      shares: ends.slice(1).map((end, i) => end - ends[i]),
      runs: ({ low, high }) => [[index.get(low[d]) as number, index.get(high[d]) as number]],
    };
  }
}

/** Rows that a tree sees at most. */
const mostRows = 1000;

/** Trees that each see as many rows as there are, but at most 1,000, drawn with replacement. */
export function growForest(
  points: readonly (readonly number[])[],
  values: readonly number[],
  coordinates: Coordinates,
  rng: Rng,
  trees = 64,
): Tree[] {
  return Array.from({ length: trees }, (_, t) => {
    const own = rng.child(t);
    const rows = Array.from({ length: Math.min(points.length, mostRows) }, () => own.int(points.length));
    return new Tree(points, values, coordinates, rows);
  });
}
