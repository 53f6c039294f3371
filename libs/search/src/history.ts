/** What has happened to the trials of an experiment, as samplers see it. */
import type { Assignment } from './space.js';

/** `stopped`: ended by a directive before its time; its last objective counts, after those of whole trials. */
type RecordState = 'running' | 'succeeded' | 'failed' | 'infeasible' | 'stopped';

/**
 * Who is to blame for a trial that failed. `parameters`: told to the sampler, never retried. `machine`: retried, hidden from
 * it. `unknown`: retried, then told.
 */
export type Blame = 'parameters' | 'machine' | 'unknown';

/** One trial. Records are ordered by `number`, which no two share. */
export interface TrialRecord {
  /** From 0, in the order of suggestion. */
  readonly number: number;
  readonly state: RecordState;
  /** Why it ended, for people. */
  readonly reason?: string;
  /** What a failed trial blames; absent: unknown. */
  readonly blames?: Blame;
  /** Values of the active parameters, no others. */
  readonly parameters: Assignment;
  /** Minimised; a metric that is to grow is negated where it enters. Absent until measured; 0 is a value. */
  readonly objective?: number;
  /** The objectives of a trial that has several, all minimised, in place of `objective`. */
  readonly objectives?: readonly number[];
  /** Measures that have to be 0 or less for the trial to count as good; NaN counts as violated. */
  readonly constraints?: readonly number[];
  /** The cost of the whole trial, in any unit that all trials share, such as GPU-hours; above 0. */
  readonly cost?: number;
  /** Optimizer steps done. Ranks stopped trials: those that came further come first. */
  readonly step?: number;
}

/**
 * What a sampler may learn from a trial.
 * - `measured`: it has a finite objective.
 * - `infeasible`: its parameters do not work: out of memory, diverged, crashed every time.
 * - `running`: not known yet.
 * - `nothing`: it ended for reasons that its parameters have no part in.
 */
export type Lesson = 'measured' | 'infeasible' | 'running' | 'nothing';

/**
 * The lesson of one trial. A trial that ended with an objective that is not finite is infeasible: NaN and +∞ are
 * a loss that diverged, −∞ is a measure that broke, and none of them can be ranked.
 */
export function lessonOf(record: TrialRecord): Lesson {
  switch (record.state) {
    case 'running':
      return 'running';
    case 'infeasible':
      return 'infeasible';
    case 'failed':
      return record.blames === 'machine' ? 'nothing' : 'infeasible';
    default:
      if (record.objectives === undefined) {
        if (record.objective === undefined) return 'nothing';
        return Number.isFinite(record.objective) ? 'measured' : 'infeasible';
      }
      if (record.objectives.length === 0) return 'nothing';
      return record.objectives.every(Number.isFinite) ? 'measured' : 'infeasible';
  }
}

/** All objectives of a trial; empty until measured. */
export function objectivesOf({ objective, objectives }: TrialRecord): readonly number[] {
  return objectives ?? (objective === undefined ? [] : [objective]);
}

function firstObjective({ objective, objectives }: TrialRecord): number {
  return (objectives?.[0] ?? objective) as number;
}

/** By how much a trial violates its constraints, in all; 0 where it keeps to them. */
export function violationOf({ constraints }: TrialRecord): number {
  if (constraints === undefined) return 0;
  return constraints.reduce((sum, c) => sum + (Number.isNaN(c) ? Infinity : Math.max(0, c)), 0);
}

/**
 * Order of two measured trials, best first: those that keep to their constraints before others, these by how much
 * they violate them; then whole trials by objective, then stopped ones by how far they came and
 * by the first objective; ties by number.
 */
export function compareMeasured(a: TrialRecord, b: TrialRecord): number {
  const violated = violationOf(a);
  const violatedB = violationOf(b);
  if (violated !== violatedB) return violated < violatedB ? -1 : 1;
  const stopped = Number(a.state === 'stopped') - Number(b.state === 'stopped');
  if (stopped !== 0) return stopped;
  if (a.state === 'stopped') {
    const further = (b.step ?? 0) - (a.step ?? 0);
    if (further !== 0) return further;
  }
  return firstObjective(a) - firstObjective(b) || a.number - b.number;
}

/** The measured trials, best first by `compareMeasured`. */
export function measuredBestFirst<T extends TrialRecord>(history: readonly T[]): T[] {
  return history.filter((record) => lessonOf(record) === 'measured').sort(compareMeasured);
}

/**
 * The trials whose values are not to be tried again, those that run among them. Of this experiment: what others were taught was
 * measured with another seed.
 */
export function triedIn(history: readonly TrialRecord[]): TrialRecord[] {
  return history.filter((record) => record.number >= 0 && lessonOf(record) !== 'nothing');
}

/** Whether its values are known to work or not to. */
export function isTold(record: TrialRecord): boolean {
  const lesson = lessonOf(record);
  return lesson === 'measured' || lesson === 'infeasible';
}
