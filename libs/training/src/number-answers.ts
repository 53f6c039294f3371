/**
 * Answers that are numbers: the candidates of a row laid out as a trie behind its tokens, each node attending to the prompt
 * and its ancestors, so that one pass gives the likelihood of every candidate (as scoring does it); and the feeds of losses
 * that compare numbers. Pure.
 */
import { bool, float32, type HostTensor, int64 } from '@emotune/engine';
import { type CandidateTree, candidateTree, type GridShape, type NumberShape } from '@emotune/models';
import type { Batch, Feeds, Row } from './batches.js';

/** What a row's answer means, and every answer that it could have been. */
export interface NumberAnswer {
  /** The right one, on 0..1. */
  readonly value: number;
  readonly choices: NumberChoices;
}

/** Shared by rows of one scale. */
export interface NumberChoices {
  /** Tokens of each candidate, as they are scored; none is empty. */
  readonly candidates: readonly Int32Array[];
  /** What each candidate means, on 0..1. */
  readonly values: readonly number[];
  /** By count of digits, from 1: the tokens that are so many digits, and their value with a point after the first. */
  readonly digits: readonly ReadonlyMap<number, number>[];
}

/** Rows with their candidates behind them; rows whose answer is no number stay as they are. */
export function withCandidates(rows: readonly Row[]): Row[] {
  const trees = new Map<NumberChoices, Map<string, CandidateTree>>();
  return rows.map((row) => {
    if (!row.number) return row;
    const { choices } = row.number;
    const answer = row.tokens.subarray(row.answerStart);
    const known = trees.get(choices) ?? new Map<string, CandidateTree>();
    trees.set(choices, known);
    const tree = known.get(answer.join()) ?? candidateTree(choices.candidates, answer);
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

/** Rows with a tree. */
function itemsOf(rows: readonly Row[]) {
  return rows.flatMap(({ number, tree }, r) => (number && tree ? [{ number, tree, r }] : []));
}

/** Sizes of what a graph is fed of the rows with a tree, or undefined where there is none. */
export function gridShape(rows: readonly Row[]): GridShape | undefined {
  const items = itemsOf(rows);
  if (items.length === 0) return undefined;
  const most = (of: (tree: CandidateTree) => number) => Math.max(...items.map(({ tree }) => of(tree)));
  const count = roundUp(items.length);
  return {
    items: count,
    choices: roundUp(most(({ paths }) => paths.length)),
    depth: most(({ paths }) => Math.max(...paths.map(({ length }) => length))),
    asked: count * roundUp(most(({ edges }) => new Set(edges.map(({ place }) => place)).size)),
    edges: count * roundUp(most(({ edges }) => edges.length)),
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
  candidateValues: (number: NumberAnswer) => readonly number[],
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
  itemsOf(rows).forEach(({ number, tree, r }, i) => {
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
    const fed = candidateValues(number);
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
      number_weight: float32([count], weight),
    },
  };
}

/** A Gaussian around the right value, over the candidates: what ordinal smoothing has in place of a one-hot target. */
export function ordinalTarget({ value, choices }: NumberAnswer, deviation: number): number[] {
  const exponents = choices.values.map((v) => -((v - value) ** 2) / (2 * deviation ** 2));
  const top = Math.max(...exponents);
  const powers = exponents.map((x) => Math.exp(x - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

/** Sizes of what a graph is fed of the digits of `answers` tokens of these rows. */
export function digitShape(rows: readonly Row[], answers: number): NumberShape {
  const sizes = rows.flatMap(({ number }) => number?.choices.digits.map(({ size }) => size) ?? []);
  return { items: answers, choices: Math.max(1, ...sizes) };
}

export interface DigitFeeds {
  readonly shape: NumberShape;
  readonly feeds: Readonly<Record<string, HostTensor>>;
}

/**
 * Feeds of the answers' digits, one item for each answer token, weight 0 where it is none. An error is a choice's value less
 * the right one, absolute unless `signed`; `weight`: the sum over the digits.
 */
export function digitFeeds(
  { rows, answers }: Batch,
  { feeds, rowOfAnswer }: Feeds,
  vocabSize: number,
  { signed, weight }: { readonly signed: boolean; readonly weight: number },
): DigitFeeds {
  const target = feeds['answer_target'].data as BigInt64Array;
  const shape = digitShape(rows, answers);
  const { choices } = shape;
  const choice = new Array<number>(answers * choices).fill(0);
  const present = new Uint8Array(answers * choices);
  const error = new Float32Array(answers * choices);
  const weights = new Float32Array(answers);
  const digits: number[] = [];
  rowOfAnswer.forEach((r, n) => {
    const token = Number(target[n]);
    const group = rows[r].number?.choices.digits.find((tokens) => tokens.has(token));
    if (!group) return;
    digits.push(n);
    const right = group.get(token)!;
    [...group].forEach(([id, value], c) => {
      const at = n * choices + c;
      choice[at] = n * vocabSize + id;
      present[at] = 1;
      error[at] = signed ? value - right : Math.abs(value - right);
    });
  });
  for (const n of digits) weights[n] = weight / digits.length;
  return {
    shape,
    feeds: {
      digit_choice: int64([choice.length], choice),
      digit_present: bool([answers, choices], present),
      digit_error: float32([answers, choices], error),
      digit_weight: float32([answers], weights),
    },
  };
}
