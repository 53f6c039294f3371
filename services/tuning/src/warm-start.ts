/** What earlier experiments teach a new one: records for its sampler, and configurations to try first. Pure. */
import { reasonWord } from '@emotune/jobs';
import type { tuning } from '@emotune/proto';
import {
  type Assignment,
  bestConfigurations,
  fitted,
  isTold,
  lineageOf,
  parseSearchAlgorithm,
  type SearchSpace,
  type TrialRecord,
} from '@emotune/search';
import { architectureOf } from './architecture.js';
import { recordsOf } from './records.js';
import type { Plan } from './spec.js';
import { type Base, searchTrials, type Trial } from './state.js';

/** An experiment whose base models are settled. */
interface Settled {
  readonly spec: tuning.ExperimentSpec;
  readonly bases: readonly Base[];
}

export interface Earlier extends Settled {
  readonly trials: readonly Trial[];
  /** Configurations of it to try first. */
  readonly best: number;
}

export interface WarmStart {
  /** Numbered below 0, those of the newest experiment last. */
  readonly history: readonly TrialRecord[];
  /** Distinct, best first, experiment by experiment. */
  readonly first: readonly Assignment[];
}

/** Trials of one earlier experiment that are learnt from, at most. */
const mostRecords = 2_000;

/** Recorded in full when an experiment is accepted. */
function validationExamplesOf({ training }: tuning.ExperimentSpec) {
  return training?.settings['validationExamples'];
}

/**
 * Whether an objective of the one means the same in the other: measured on the same rows after as much training, of its
 * own parameters alone.
 */
function comparable(a: tuning.ExperimentSpec, b: tuning.ExperimentSpec): boolean {
  return (
    [a, b].every(({ searchAlgorithm }) => !lineageOf(parseSearchAlgorithm(searchAlgorithm ?? {}))) &&
    a.features === b.features &&
    a.objective?.metric === b.objective?.metric &&
    a.training?.trialTokens === b.training?.trialTokens &&
    validationExamplesOf(a) === validationExamplesOf(b) &&
    (a.training?.folds || 1) === (b.training?.folds || 1)
  );
}

/**
 * Whether what a trial of the one costs says what the same values cost in the other: the base model and the tokens are the
 * same already (`architectureIn`, `comparable`), and so have to be the threads and GPUs of a trial. Machines are taken to be
 * alike, for a spec does not name them.
 */
function costsAlike(a: tuning.ExperimentSpec, b: tuning.ExperimentSpec): boolean {
  return a.training?.threads === b.training?.threads && a.cost?.gpusPerTrial === b.cost?.gpusPerTrial;
}

/** Whether a trial that ran out of memory would do so again: where it may take as much as it might. */
function memoryAlike(a: tuning.ExperimentSpec, b: tuning.ExperimentSpec): boolean {
  return (a.training?.memoryLimitMib || 0) === (b.training?.memoryLimitMib || 0);
}

function ranOutOfMemory({ reason = '' }: TrialRecord): boolean {
  return reasonWord(reason) === 'OutOfMemory';
}

/** The architecture of the new experiment that has the trial's base model. */
function architectureIn(to: Settled, from: Settled, parameters: Assignment): string | undefined {
  const name = architectureOf(from.spec, parameters);
  const base = from.bases.find(({ architecture }) => architecture === name);
  return to.bases.find(({ model, version }) => model === base?.model && version === base.version)
    ?.architecture;
}

/** Trials of an earlier experiment in the space of a new one; what it did not search over comes from its fixed settings. */
function recordsIn(space: SearchSpace, to: Settled, from: Earlier): TrialRecord[] {
  return recordsOf(searchTrials(from.trials)).flatMap((record) => {
    const architecture = architectureIn(to, from, record.parameters);
    if (architecture === undefined) return [];
    const given = { ...record.parameters, architecture };
    const { values } = fitted(space, given, from.spec.training?.settings ?? {});
    return values ? [{ ...record, parameters: values }] : [];
  });
}

/** @param bases Of the new experiment. */
export function warmStart(
  { spec, space }: Plan,
  bases: readonly Base[],
  earlier: readonly Earlier[],
): WarmStart {
  const to = { spec, bases };
  const records: TrialRecord[] = [];
  const first = new Map<string, Assignment>();
  for (const from of earlier) {
    const fitting = recordsIn(space, to, from);
    if (comparable(spec, from.spec)) {
      const told = fitting
        .filter((record) => isTold(record) && (memoryAlike(spec, from.spec) || !ranOutOfMemory(record)))
        .slice(-mostRecords);
      records.push(...(costsAlike(spec, from.spec) ? told : told.map(({ cost: _, ...record }) => record)));
    }
    for (const values of bestConfigurations(fitting, from.best)) first.set(JSON.stringify(values), values);
  }
  return {
    history: records.map((record, i) => ({ ...record, number: i - records.length })),
    first: [...first.values()],
  };
}
