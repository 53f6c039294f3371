/** Which rows of a sample are judged: the same of the same rows and seed, whatever their order. */
import { type Example, isRegression } from '@emotune/affect';
import { sha256 } from '@emotune/base';
import type { Prediction } from '@emotune/records';
import { textKey } from '@emotune/text';

/** By which equal questions are known, and in whose order rows are drawn. */
function rankOf(seed: number, { text, task, emotion }: Example): string {
  return sha256(JSON.stringify([seed, textKey(text), task, emotion]));
}

interface Ranked<T> {
  readonly rank: string;
  readonly row: T;
}

function byRank<T>(a: Ranked<T>, b: Ranked<T>): number {
  return a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0;
}

/** Keeps the rows that come first by rank, of equal questions the first by id, of however many rows. */
export class Drawing<T extends Example> {
  private readonly kept = new Map<string, T>();
  /** Rows that came; questions that stood there before cannot all be known, where rows were let go of. */
  rows = 0;

  constructor(
    private readonly seed: number,
    private readonly most: number,
  ) {}

  add(row: T): void {
    this.rows++;
    const rank = rankOf(this.seed, row);
    const same = this.kept.get(rank);
    if (same === undefined || row.id < same.id) this.kept.set(rank, row);
    if (this.kept.size >= 4 * this.most + 1000) this.prune();
  }

  private prune(): void {
    const ranks = [...this.kept.keys()].sort();
    for (const rank of ranks.slice(this.most)) this.kept.delete(rank);
  }

  /** In the order of their ranks. */
  end(): T[] {
    this.prune();
    return [...this.kept.entries()]
      .map(([rank, row]) => ({ rank, row }))
      .sort(byRank)
      .map(({ row }) => row);
  }
}

/** How unsure a model was of its answer, 0..1: the width of its interval, or what its probability lacks to 1. */
export function uncertaintyOf({ task, low, high, confidence }: Prediction): number {
  if (isRegression(task)) return low === null || high === null ? 1 : high - low;
  return confidence === null ? 1 : 1 - confidence;
}

const strata = 5;

/** Of each question one row. */
function distinct(seed: number, rows: readonly Prediction[]): Ranked<Prediction>[] {
  const drawing = new Map<string, Prediction>();
  for (const row of rows) {
    const rank = rankOf(seed, row);
    const same = drawing.get(rank);
    if (same === undefined || row.id < same.id) drawing.set(rank, row);
  }
  return [...drawing].map(([rank, row]) => ({ rank, row })).sort(byRank);
}

/**
 * At most `items` rows, in equal parts from five strata of equal size, from the surest answers to the least sure; in the order of their
 * ranks, which tells nothing of the strata.
 */
export function drawStratified(
  rows: readonly Prediction[],
  items: number,
  seed: number,
): { readonly drawn: Prediction[]; readonly duplicates: number } {
  const questions = distinct(seed, rows);
  const duplicates = rows.length - questions.length;
  if (questions.length <= items) return { drawn: questions.map(({ row }) => row), duplicates };
  const sorted = [...questions].sort((a, b) => uncertaintyOf(a.row) - uncertaintyOf(b.row) || byRank(a, b));
  const drawn: Ranked<Prediction>[] = [];
  for (let s = 0; s < strata; s++) {
    const part = (share: number, of: number) => Math.floor((share * of) / strata);
    const stratum = sorted.slice(part(s, sorted.length), part(s + 1, sorted.length)).sort(byRank);
    // As each stratum has a fifth of the rows, it has enough of them.
    drawn.push(...stratum.slice(0, part(s + 1, items) - part(s, items)));
  }
  return { drawn: drawn.sort(byRank).map(({ row }) => row), duplicates };
}
