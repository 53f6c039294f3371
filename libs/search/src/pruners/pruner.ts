import type { z } from 'zod';
import type { TrialCurve, Verdict } from './curves.js';

export type PrunerSettings = Readonly<Record<string, unknown>>;

/** What every pruner is: a pure function from curves to a verdict on one of them. */
export interface Pruner<Settings extends PrunerSettings = PrunerSettings> {
  /** Its settings with their defaults. */
  readonly settings: z.ZodType<Settings>;
  /** Depends on nothing but its arguments. `others` may be in any order and hold `trial` too. */
  judge(trial: TrialCurve, others: readonly TrialCurve[], settings: Settings): Verdict;
}
