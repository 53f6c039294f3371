/** Rows for training from feature shards, checked against the model that is to read them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tasks } from '@emotune/affect';
import { exists, NotFound, Rng, Violations } from '@emotune/base';
import { longestRow, type ModelConfig } from '@emotune/models';
import { decodeShard, type FeatureRow } from '@emotune/records/features';

/** Violations reported at most. */
const reported = 5;

/** Names of the shards of a split, in order. @throws NotFound when there is no such folder. */
export async function shardsOf(folder: string, split: string): Promise<string[]> {
  if (!(await exists(folder)))
    throw new NotFound(
      `expected a folder of features at ${folder}, got nothing; emotune features get tells where those of a feature set lie`,
    );
  const shard = new RegExp(`^${split}-\\d{5}\\.arrow$`);
  return (await readdir(folder)).filter((name) => shard.test(name)).sort();
}

/** Every row of these splits. @throws NotFound when a split has no shard. */
export async function readRows(folder: string, splits: readonly string[]): Promise<FeatureRow[]> {
  const rows: FeatureRow[] = [];
  for (const split of splits) {
    const names = await shardsOf(folder, split);
    if (names.length === 0)
      throw new NotFound(`expected feature shards ${split}-00000.arrow, … in ${folder}, got none`);
    for (const name of names) rows.push(...decodeShard(await readFile(join(folder, name))));
  }
  return rows;
}

/**
 * At most `count` rows, as evenly spread over the subtasks as they are there. The same rows give the same choice, whatever
 * else a trial is told: objectives of trials are over the same examples.
 */
export function validationRows(rows: readonly FeatureRow[], count: number): FeatureRow[] {
  const groups = tasks
    .map((task) => rows.filter((row) => row.task === task))
    .filter((group) => group.length > 0)
    .sort((a, b) => a.length - b.length);
  const chosen: FeatureRow[] = [];
  for (const [i, group] of groups.entries()) {
    // Smallest first, so that what it leaves over goes to the others.
    const quota = Math.max(1, Math.floor((count - chosen.length) / (groups.length - i)));
    chosen.push(...Rng.of('validation', group[0].task).shuffle(group).slice(0, quota));
  }
  return chosen;
}

/** @throws InvalidArgument naming rows that the model cannot read. */
export function checkRows(rows: readonly FeatureRow[], config: ModelConfig): void {
  const longest = longestRow(config);
  const violations = new Violations();
  for (const { id, tokens, answerStart } of rows) {
    const outside = tokens.find((token) => token < 0 || token >= config.vocabSize);
    if (outside !== undefined)
      violations.add(
        `features.${id}.tokens`,
        `expected tokens below ${config.vocabSize}, the model's vocabulary, got ${outside}: the features were made with another tokenizer`,
      );
    else if (tokens.length > longest)
      violations.add(
        `features.${id}.tokens`,
        `expected at most ${longest} tokens, the model's positions, got ${tokens.length}`,
      );
    else if (answerStart >= tokens.length)
      violations.add(`features.${id}.answerMask`, 'expected an answer, got none');
    if (violations.list.length === reported) break;
  }
  violations.throwIfAny();
}
