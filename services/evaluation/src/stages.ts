/** What a trial remembered of each subtask at the end of its stages, from its measurements. Pure. */
import { type evaluation, tuning } from '@emotune/proto';

const objective = 'objective/';
const forgotten = 'forgetting/';
/** Of all earlier subtasks together. */
const sums = new Set(['average', 'backward-transfer', 'maximum']);

function valuesBelow(values: Readonly<Record<string, number>>, kind: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => name.startsWith(kind) && !sums.has(name.slice(kind.length)))
      .map(([name, value]) => [name.slice(kind.length), value]),
  );
}

/** The trial that the model comes from; of a final training, which has no rows to validate on, the one that it repeats: the best. */
function validatedTrial(
  trials: readonly tuning.Trial[],
  number: number | undefined,
): tuning.Trial | undefined {
  const own = trials.find((one) => one.number === number);
  if (own?.kind !== tuning.TrialKind.TRIAL_KIND_FINAL) return own;
  const measured = trials.filter(({ kind, objective }) => kind !== own.kind && objective != null);
  return measured.sort((a, b) => a.objective! - b.objective!).at(0);
}

/** The last validation of each stage; empty where the trial is not there, was one of folds, or had one stage. */
export function stagesOf(
  trials: readonly tuning.Trial[],
  number: number | undefined,
): evaluation.StageResult[] {
  const trial = validatedTrial(trials, number);
  const last = new Map<number, Readonly<Record<string, number>>>();
  for (const { stage, values, fold } of trial?.measurements ?? [])
    if ((fold ?? undefined) === undefined && Object.keys(valuesBelow(values, objective)).length > 0)
      last.set(stage, values);
  if (last.size < 2) return [];
  return [...last]
    .sort(([a], [b]) => a - b)
    .map(([stage, values]) => ({
      stage: stage + 1,
      objectives: valuesBelow(values, objective),
      forgotten: valuesBelow(values, forgotten),
    }));
}
