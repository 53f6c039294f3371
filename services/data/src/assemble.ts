/**
 * From examples of many sources to three splits. Pure: the same examples, shares and seed give the same splits.
 *
 * Official splits are kept. Other rows are divided by texts, as `textKey` knows them again, so that no text stands on
 * both sides of a border, and stratified by source, task and answer (`stratify.ts`).
 *
 * Texts that nearly equal each other (`NearTexts`) and say the same of how somebody feels (`affectiveText`) are one for this: they go to
 * one split, and of those that answer a question alike the first is kept.
 *
 * A text may carry one answer in one row and another in the next. Such rows are no duplicates: how often each answer was
 * given is all that is known of the right one, so all of them stay, in one split, and are counted.
 */
import type { SourceExample, Split } from '@emotune/affect';
import { Rows } from './division.js';
import type { Conflict, Division, DroppedFor } from './division-pass.js';
import type { Shares } from './stratify.js';

interface Assembled extends Readonly<Division['counts']> {
  readonly splits: Record<Split, SourceExample[]>;
  readonly conflicts: readonly Conflict[];
  /** Those that were dropped for the sake of others. */
  readonly leaks: readonly DroppedFor[];
  readonly near: readonly DroppedFor[];
}

/** Divides examples that are held anyway. @param nearness As of `Rows`. */
export function assemble(
  examples: readonly SourceExample[],
  shares: Shares,
  seed: number,
  nearness = 1,
): Assembled {
  const rows = new Rows(seed, nearness);
  for (const example of examples) rows.add(example);
  if (rows.unreviewed) for (const example of examples) rows.review(example);
  const division = rows.divide({ shares });
  const splits: Record<Split, SourceExample[]> = { train: [], validation: [], test: [] };
  for (const example of examples) {
    const split = division.next(example);
    if (split) splits[split].push({ ...example, split });
  }
  return {
    ...division.counts,
    splits,
    conflicts: division.conflicts,
    leaks: division.dropped('leak'),
    near: division.dropped('near duplicate'),
  };
}
