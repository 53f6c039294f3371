/** What has happened to the trials of an experiment, as samplers see it. */
import type { Assignment } from './space.js';

/** `stopped`: ended by a directive before its time; its last objective counts, after those of whole trials. */
export type RecordState = 'running' | 'succeeded' | 'failed' | 'infeasible' | 'stopped';

/** One trial. Records are ordered by `number`, which no two share. */
export interface TrialRecord {
  /** From 0, in the order of suggestion. */
  readonly number: number;
  readonly state: RecordState;
  /** A word of the table in `reasons.ts`, with a sentence for people after a colon. */
  readonly reason?: string;
  /** Values of the active parameters, no others. */
  readonly parameters: Assignment;
  /** Minimised; a metric that is to grow is negated where it enters. Absent until measured; 0 is a value. */
  readonly objective?: number;
  /** Optimizer steps done. Ranks stopped trials: those that came further come first. */
  readonly step?: number;
}

/**
 * What a sampler may learn from a trial.
 * - `measured`: it has a finite objective.
 * - `infeasible`: its parameters do not work (out of memory, diverged, crashed every time).
 * - `running`: not known yet.
 * - `nothing`: it ended for reasons that have nothing to do with its parameters.
 */
export type Lesson = 'measured' | 'infeasible' | 'running' | 'nothing';
