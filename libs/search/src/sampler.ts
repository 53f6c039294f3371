/** What every search algorithm is: a pure function from what is known to the next trial's values. */
import type { z } from 'zod';
import type { TrialRecord } from './history.js';
import type { Assignment, SearchSpace } from './space.js';

export interface SuggestContext {
  /** The experiment's seed. */
  readonly seed: number | string;
  /** Number of the trial that is to get the values; its random numbers follow from it and the seed. */
  readonly trialNumber: number;
  /**
   * What is known beforehand of whether values work, such as a plan of the memory: the probability, 0 for what cannot
   * work. Without it everything may.
   */
  readonly feasibility?: ((values: Assignment) => number) | undefined;
}

export type SamplerSettings = Readonly<Record<string, number | undefined>>;

export interface Sampler<Settings extends SamplerSettings = SamplerSettings> {
  /** Its settings with their defaults. */
  readonly settings: z.ZodType<Settings>;
  /**
   * Values for the active parameters of `space`, in range and on the grid. Depends on nothing but its arguments:
   * the same history gives the same values, before and after a restart. Records whose values the space does not
   * allow are left out.
   * @param history Every other trial, running and failed ones included, ordered by number.
   */
  suggest(
    space: SearchSpace,
    history: readonly TrialRecord[],
    context: SuggestContext,
    settings: Settings,
  ): Assignment;
  /** Which sampler the values of the trial of these arguments are from, of one that leaves that to others. */
  choice?(
    space: SearchSpace,
    history: readonly TrialRecord[],
    context: SuggestContext,
    settings: Settings,
  ): Choice;
  /** The rules of a sampler whose trials go on from each other's last checkpoints; absent where each begins anew. */
  readonly lineage?: LineageRules<Settings>;
}

/** A sampler by name, with the reason for people. */
export interface Choice {
  readonly name: string;
  readonly reason: string;
}

/** How trials go on from each other. */
export interface LineageRules<Settings extends SamplerSettings = SamplerSettings> {
  /**
   * Number of the trial from whose last checkpoint the trial of these very arguments goes on; undefined where it begins
   * anew.
   */
  origin(
    space: SearchSpace,
    history: readonly TrialRecord[],
    context: SuggestContext,
    settings: Settings,
  ): number | undefined;
  /** Whether the trial of these arguments is better suggested when some that run have ended. */
  waits(
    space: SearchSpace,
    history: readonly TrialRecord[],
    context: SuggestContext,
    settings: Settings,
  ): boolean;
  /** The least number that `origin` can still give, whatever becomes of running and later trials. */
  oldestOrigin(space: SearchSpace, history: readonly TrialRecord[], settings: Settings): number;
  /** Trials of the longest lineage among so many. */
  longest(trials: number, settings: Settings): number;
}
