/** Cross-validation: which rows a fold holds out. Pure. */
import { tasks } from '@emotune/affect';
import { InvalidArgument, sha256 } from '@emotune/base';
import type { FeatureRow } from '@emotune/records/features';
import { textKey } from '@emotune/text';

export interface FoldPlace {
  /** From 0. */
  readonly fold: number;
  /** Folds in all. */
  readonly of: number;
}

type Foldable = Pick<FeatureRow, 'id' | 'text' | 'task' | 'derived'>;

/** The text of each row as the splits of a dataset have it; of one that was made from another, that of the other. */
function textsOf(rows: readonly Foldable[]): string[] {
  const byId = new Map(rows.flatMap(({ id, text, derived }) => (derived ? [] : [[id, text] as const])));
  return rows.map(({ text, derived }) => textKey((derived && byId.get(derived.from)) ?? text));
}

/**
 * The fold of each row. Rows of one text are of one fold, with all that was made from them. Texts are dealt out in the
 * order of their first row's subtask and of their hash: folds differ by one text at most, of each subtask too. The same
 * rows give the same folds, whatever else a trial is told.
 * @throws InvalidArgument when there are fewer texts than folds.
 */
export function foldsOf(rows: readonly Foldable[], count: number): number[] {
  const texts = textsOf(rows);
  const groups = new Map<string, { subtask: number; hash: string }>();
  rows.forEach(({ task }, i) => {
    if (!groups.has(texts[i])) groups.set(texts[i], { subtask: tasks.indexOf(task), hash: sha256(texts[i]) });
  });
  if (groups.size < count)
    throw InvalidArgument.at(
      'training.folds',
      `expected at most ${groups.size}, the texts to train on, got ${count}`,
    );
  const dealt = [...groups]
    .sort(([, a], [, b]) => a.subtask - b.subtask || (a.hash < b.hash ? -1 : 1))
    .map(([text], i) => [text, i % count] as const);
  const foldOf = new Map(dealt);
  return texts.map((text) => foldOf.get(text)!);
}

/** The rows without those of a fold, and these, as their sources ask them. */
export function splitOf(
  rows: readonly FeatureRow[],
  { fold, of }: FoldPlace,
): { readonly train: readonly FeatureRow[]; readonly held: readonly FeatureRow[] } {
  const folds = foldsOf(rows, of);
  return {
    train: rows.filter((_, i) => folds[i] !== fold),
    held: rows.filter(({ derived }, i) => folds[i] === fold && !derived),
  };
}
