/** Trials of an earlier search, mapped to the space of a new one. */
import { InvalidArgument, own, show } from '@emotune/base';
import { measuredBestFirst, type TrialRecord } from './history.js';
import {
  type Assignment,
  assign,
  gridSteps,
  gridValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from './space.js';
import type { Direction, Study, StudyTrial } from './study.js';

/** Why trials could not be taken as they were. */
interface Misfit {
  /** A parameter's name, or `state` or `objective`. */
  readonly name: string;
  readonly problem: string;
  /** Whether the trials were left out, or taken without it. */
  readonly leftOut: boolean;
  /** How many, and the first of their numbers. */
  readonly trials: number;
  readonly example: number;
}

export interface WarmStart {
  /** Numbered from `firstNumber`, in their old order. */
  readonly history: readonly TrialRecord[];
  readonly misfits: readonly Misfit[];
}

/** A recorded value as the parameter's own, numbers on the nearest step; undefined where it has none such. */
function fit(parameter: Parameter, recorded: unknown): ParameterValue | undefined {
  if (parameter.kind === 'categorical') {
    const same = parameter.values.find((value) => value === recorded);
    if (same !== undefined || typeof recorded !== 'string') return same;
    // From a text file, in whose words True is true and 8.0 is 8.
    return parameter.values.find(
      (value) =>
        String(value) === recorded ||
        (typeof value === 'boolean' && String(value) === recorded.toLowerCase()) ||
        (typeof value === 'number' && recorded.trim() !== '' && Number(recorded) === value),
    );
  }
  const text = typeof recorded === 'string' && recorded.trim() !== '';
  const value = text ? Number(recorded) : recorded;
  if (typeof value !== 'number') return undefined;
  const within = Math.min(parameter.max, Math.max(parameter.min, value));
  // 10 ** −5 elsewhere can be a digit below 1e−5 here.
  if (!(Math.abs(value - within) <= 1e-9 * Math.abs(within))) return undefined;
  const steps = gridSteps(parameter);
  if (steps === undefined) return within;
  return gridValue(
    parameter,
    Math.min(steps, Math.round((value - parameter.min) / (parameter.step as number))),
  );
}

interface Fitted {
  /** Values of exactly the active parameters; undefined where a value is missing or outside of its range. */
  readonly values?: Assignment;
  readonly problems: readonly Pick<Misfit, 'name' | 'problem' | 'leftOut'>[];
}

/**
 * Values of another space as values of this one: parameters that it does not have are dropped, those that it adds take
 * the value of `fixed`, else their default, numbers lie on the nearest step.
 */
export function fitted(
  space: SearchSpace,
  recorded: Readonly<Record<string, unknown>>,
  fixed: Readonly<Record<string, unknown>> = {},
): Fitted {
  const problems: Fitted['problems'][number][] = [];
  const failed = new Set<string>();
  const misses = (parameter: Parameter, problem: string) => {
    problems.push({ name: parameter.name, problem, leftOut: true });
    failed.add(parameter.name);
    return parameter.kind === 'categorical' ? parameter.values[0] : parameter.min;
  };
  const values = assign(space, (parameter) => {
    const { name, condition } = parameter;
    if (condition && failed.has(condition.parameter)) {
      // Whether it is active is not known.
      failed.add(name);
      return parameter.kind === 'categorical' ? parameter.values[0] : parameter.min;
    }
    if (!Object.hasOwn(recorded, name)) {
      const given = own(fixed, name) ?? parameter.default;
      const value = given === undefined ? undefined : fit(parameter, given);
      return value ?? misses(parameter, 'missing, and neither fixed nor with a default');
    }
    const given = recorded[name];
    return fit(parameter, given) ?? misses(parameter, `${show(given)} is outside of its range`);
  });
  if (failed.size > 0) return { problems };
  for (const name of Object.keys(recorded))
    if (!Object.hasOwn(values, name))
      problems.push({
        name,
        problem: space.byName.has(name) ? 'not active beside the other values' : 'not in the space',
        leftOut: false,
      });
  return { values, problems };
}

/** The best configurations that were measured, each once, best first. */
export function bestConfigurations(history: readonly TrialRecord[], count: number): Assignment[] {
  const distinct = new Map(
    measuredBestFirst(history).map(({ parameters }) => [JSON.stringify(parameters), parameters]),
  );
  return [...distinct.values()].slice(0, count);
}

/**
 * Maps a study's trials to a space by their values (`fitted`); what does not fit is left out. All of it is said by name. A
 * failed trial is taken as infeasible only where `failuresTeach`: the study does not say whether its parameters were to blame.
 * @throws InvalidArgument when `objective` is none of the study's, or its direction is neither recorded nor given.
 */
export function warmStart(
  space: SearchSpace,
  study: Study,
  options: {
    readonly objective?: number;
    /** Where the study does not say. */
    readonly direction?: Direction;
    readonly fixed?: Readonly<Record<string, unknown>>;
    readonly failuresTeach?: boolean;
    readonly firstNumber?: number;
  } = {},
): WarmStart {
  const { objective = 0, fixed = {}, failuresTeach = false, firstNumber = 0 } = options;
  if (objective >= study.directions.length)
    throw InvalidArgument.at(
      'objective',
      `expected one of ${study.directions.length}, from 0, got ${objective}`,
    );
  const direction = study.directions[objective] ?? options.direction;
  if (direction === undefined)
    throw InvalidArgument.at('direction', `expected minimize or maximize, which ${study.name} does not say`);
  const misfits = new Map<string, Misfit>();
  const note = (trial: StudyTrial, name: string, problem: string, leftOut: boolean) => {
    const key = JSON.stringify([name, problem]);
    const known = misfits.get(key);
    misfits.set(key, {
      name,
      problem,
      leftOut,
      trials: (known?.trials ?? 0) + 1,
      example: known?.example ?? trial.number,
    });
  };
  const history: TrialRecord[] = [];
  for (const trial of study.trials) {
    const record = recordOf(trial);
    if (record) history.push({ number: firstNumber + history.length, ...record });
  }
  return { history, misfits: [...misfits.values()] };

  function recordOf(trial: StudyTrial): Omit<TrialRecord, 'number'> | undefined {
    if (trial.state === 'running' || trial.state === 'waiting') {
      note(trial, 'state', `${trial.state}, so nothing is known of it`, true);
      return undefined;
    }
    if (trial.state === 'failed' && !failuresTeach) {
      note(trial, 'state', 'failed, for reasons that are not recorded', true);
      return undefined;
    }
    const last = trial.measurements.at(-1);
    const value = trial.objectives[objective] ?? (objective === 0 ? last?.value : undefined);
    if (value === undefined && trial.state !== 'failed') {
      note(trial, 'objective', 'not measured', true);
      return undefined;
    }
    const { values: parameters, problems } = fitted(space, trial.parameters, fixed);
    for (const { name, problem, leftOut } of problems) note(trial, name, problem, leftOut);
    if (!parameters) return undefined;
    if (trial.state === 'failed')
      return { state: 'infeasible', reason: `Failed: in ${study.name}`, parameters };
    return {
      state: trial.state === 'complete' ? 'succeeded' : 'stopped',
      parameters,
      objective: (direction === 'maximize' ? -1 : 1) * (value as number),
      ...(last ? { step: last.step } : {}),
    };
  }
}
