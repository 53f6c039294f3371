/**
 * Rows with the candidates of their answers laid out as a trie behind their tokens, each node attending to the prompt and its
 * ancestors, so that one pass gives the likelihood of every candidate (as scoring does it). Pure.
 */
import { bool, float32, type HostTensor, int64 } from '@emotune/engine';
import { type CandidateTree, candidateTree, type GridShape } from '@emotune/models';
import type { Batch, Row } from './batches.js';

/** The tokens of every candidate, as they are scored; none is empty. Shared by the rows of a kind. */
export type Candidates = readonly Int32Array[];

/** Rows with their candidates behind them; those that have none stay as they are. */
export function withCandidates(
  rows: readonly Row[],
  candidatesOf: (row: Row) => Candidates | undefined,
): Row[] {
  const trees = new Map<Candidates, Map<string, CandidateTree>>();
  return rows.map((row) => {
    const candidates = candidatesOf(row);
    if (!candidates) return row;
    const answer = row.tokens.subarray(row.answerStart);
    const known = trees.get(candidates) ?? new Map<string, CandidateTree>();
    trees.set(candidates, known);
    const tree = known.get(answer.join()) ?? candidateTree(candidates, answer);
    known.set(answer.join(), tree);
    return { ...row, tokens: Int32Array.from([...row.tokens, ...tree.tokens]), tree };
  });
}

/** What the tokens of a row follow, by index: the one before, or in a tree the parent. −1 at the start. */
export function parentsOf({ tokens, answerStart, tree }: Row): Int32Array {
  const parents = Int32Array.from(tokens, (_, t) => t - 1);
  tree?.parents.forEach((place, i) => {
    parents[answerStart + tree.answerLength + i] = answerStart - 1 + place;
  });
  return parents;
}

/** n rounded up to two significant bits: few graphs serve all sizes. */
function roundUp(n: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, n))) - 1);
  return Math.ceil(n / step) * step;
}

/** The next power of two: what costs little has fewer sizes still. */
function doubled(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, n)));
}

/** Rows with a tree, by their places. */
function itemsOf(rows: readonly Row[]) {
  return rows.flatMap((row, r) => (row.tree ? [{ tree: row.tree, r }] : []));
}

/** Places after which a tree asks. */
function askedOf({ edges }: CandidateTree): number {
  return new Set(edges.map(({ place }) => place)).size;
}

/** Sizes of what a graph is fed of the rows with a tree, or undefined where there is none. */
export function gridShape(rows: readonly Row[]): GridShape | undefined {
  const trees = itemsOf(rows).map(({ tree }) => tree);
  if (trees.length === 0) return undefined;
  const most = (of: (tree: CandidateTree) => number) => Math.max(...trees.map(of));
  const total = (of: (tree: CandidateTree) => number) => trees.reduce((sum, tree) => sum + of(tree), 0);
  return {
    items: roundUp(trees.length),
    choices: doubled(most(({ paths }) => paths.length)),
    depth: most(({ paths }) => Math.max(...paths.map(({ length }) => length))),
    asked: roundUp(total(askedOf)),
    edges: doubled(total(({ edges }) => edges.length)),
  };
}

export interface GridFeeds {
  readonly shape: GridShape;
  readonly feeds: Readonly<Record<string, HostTensor>>;
}

/**
 * Feeds of the rows with a tree, or undefined where there is none. `candidateValues`: what is fed of a row's candidates;
 * `weights`: of each row.
 */
export function gridFeeds(
  { rows, starts }: Batch,
  vocabSize: number,
  candidateValues: (row: Row) => ArrayLike<number>,
  weights: readonly number[],
): GridFeeds | undefined {
  const shape = gridShape(rows);
  if (!shape) return undefined;
  const { items: count, choices, depth } = shape;
  const asked = new Array<number>(shape.asked).fill(0);
  const edges = new Array<number>(shape.edges).fill(0);
  const paths = new Array<number>(count * choices * depth).fill(shape.edges);
  const present = new Uint8Array(count * choices);
  const values = new Float32Array(count * choices);
  const weight = new Float32Array(count);
  let [askedCount, edgeCount] = [0, 0];
  itemsOf(rows).forEach(({ tree, r }, i) => {
    const root = starts[r] + rows[r].answerStart - 1;
    const rowOf = new Map<number, number>();
    const firstEdge = edgeCount;
    for (const { place, token } of tree.edges) {
      let row = rowOf.get(place);
      if (row === undefined) {
        row = askedCount++;
        rowOf.set(place, row);
        asked[row] = root + place;
      }
      edges[edgeCount++] = row * vocabSize + token;
    }
    const fed = candidateValues(rows[r]);
    tree.paths.forEach((path, c) => {
      const at = i * choices + c;
      present[at] = 1;
      values[at] = fed[c];
      path.forEach((edge, k) => {
        paths[at * depth + k] = firstEdge + edge;
      });
    });
    weight[i] = weights[r];
  });
  return {
    shape,
    feeds: {
      asked_index: int64([shape.asked], asked),
      edge: int64([shape.edges], edges),
      path: int64([paths.length], paths),
      candidate_present: bool([count, choices], present),
      candidate_value: float32([count, choices], values),
      candidate_weight: float32([count], weight),
    },
  };
}
