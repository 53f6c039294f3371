/** What earlier experiments teach a new one: records for its sampler, and configurations to try first. Pure. */
import { InvalidArgument } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import {
  type Assignment,
  lessonOf,
  parseAssignment,
  type SearchSpace,
  type TrialRecord,
} from '@emotune/search';
import { ranking, recordsOf } from './decide.js';
import { architectureOf, type Plan } from './spec.js';
import type { Trial } from './state.js';
import type { Base } from './store.js';

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

/** Of one earlier experiment. */
const mostRecords = 2_000;

/** Whether an objective of the one means the same in the other: measured on the same rows after as much training. */
function comparable(a: tuning.ExperimentSpec, b: tuning.ExperimentSpec): boolean {
  return (
    a.features === b.features &&
    a.objective?.metric === b.objective?.metric &&
    a.training?.trialTokens === b.training?.trialTokens &&
    a.training?.validationExamples === b.training?.validationExamples
  );
}

/** The architecture of the new experiment that has the trial's base model. */
function architectureIn(to: Settled, from: Settled, parameters: Assignment): string | undefined {
  const name = architectureOf(from.spec, parameters);
  const base = from.bases.find(({ architecture }) => architecture === name);
  return to.bases.find(({ model, version }) => model === base?.model && version === base.version)
    ?.architecture;
}

/** A trial's values in another space: what it does not have comes from its experiment's fixed settings or the defaults. */
function valuesIn(
  space: SearchSpace,
  to: Settled,
  from: Settled,
  parameters: Assignment,
): Assignment | undefined {
  const architecture = architectureIn(to, from, parameters);
  if (architecture === undefined) return undefined;
  const fixed = from.spec.training as unknown as Assignment;
  const given = Object.fromEntries(
    space.parameters.flatMap(({ name, condition }) => {
      const value =
        name === 'architecture' ? architecture : (parameters[name] ?? (condition ? undefined : fixed[name]));
      return value === undefined ? [] : [[name, value]];
    }),
  );
  try {
    return parseAssignment(space, given);
  } catch (error) {
    if (error instanceof InvalidArgument) return undefined;
    throw error;
  }
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
    const searched = from.trials.filter(({ kind }) => kind === 'search');
    if (comparable(spec, from.spec))
      for (const record of recordsOf(searched).slice(-mostRecords)) {
        const lesson = lessonOf(record);
        const parameters =
          lesson === 'measured' || lesson === 'infeasible'
            ? valuesIn(space, to, from, record.parameters)
            : undefined;
        if (parameters) records.push({ ...record, parameters });
      }
    for (const { parameters } of ranking(searched).slice(0, from.best)) {
      const values = valuesIn(space, to, from, parameters);
      if (values) first.set(JSON.stringify(values), values);
    }
  }
  return {
    history: records.map((record, i) => ({ ...record, number: i - records.length })),
    first: [...first.values()],
  };
}
