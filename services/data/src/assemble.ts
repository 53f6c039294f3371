/**
 * From examples of many sources to three splits. Pure: the same examples, shares and seed give the same splits.
 *
 * Official splits are kept. Other rows are divided by texts, as `textKey` knows them again, so that no text stands on
 * both sides of a border, and stratified by source, task and answer (`stratify.ts`).
 *
 * A text may carry one answer in one row and another in the next. Such rows are no duplicates: how often each answer was
 * given is all that is known of the right one, so all of them stay, in one split, and are counted.
 */
import type { SourceExample, Split } from '@emotune/affect';
import { type Conflict, Rows } from './division.js';
import type { Shares } from './stratify.js';

interface Assembled {
  readonly splits: Record<Split, SourceExample[]>;
  readonly duplicatesRemoved: number;
  readonly leaksRemoved: number;
  readonly conflicts: readonly Conflict[];
}

/** Divides examples that are held anyway. */
export function assemble(examples: readonly SourceExample[], shares: Shares, seed: number): Assembled {
  const rows = new Rows(seed);
  for (const example of examples) rows.add(example);
  const division = rows.divide(shares);
  const splits: Record<Split, SourceExample[]> = { train: [], validation: [], test: [] };
  for (const example of examples) {
    const split = division.next(example);
    if (split) splits[split].push({ ...example, split });
  }
  const { duplicatesRemoved, leaksRemoved } = division.counts;
  return { splits, duplicatesRemoved, leaksRemoved, conflicts: division.conflicts };
}
