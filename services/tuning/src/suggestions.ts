/** What samplers compute, which takes longer than calls can wait: in a thread of its own. */
import { besideModule } from '@emotune/base';
import {
  type SuggestContext,
  type Suggestion,
  samplerChoice,
  type TrialRecord,
  untriedSuggestion,
} from '@emotune/search';
import type { Plan } from './spec.js';
import type { Base, BoundFeatures } from './state.js';
import { AnsweringThread } from './thread.js';

/** All that the values of a trial follow from. */
export interface Asked {
  readonly plan: Plan;
  /** What is known of the memory that trials need follows from these. */
  readonly bases: readonly Base[];
  readonly rows: BoundFeatures['rows'];
  readonly history: readonly TrialRecord[];
  readonly trialNumber: number;
}

export interface Answered {
  readonly suggestion: Suggestion | undefined;
  /** Where the sampler has chosen one. */
  readonly choice: ReturnType<typeof samplerChoice>;
}

/** Loaded where memory is limited: it takes a second. */
async function feasibilityOf({ plan, bases, rows }: Asked): Promise<SuggestContext['feasibility']> {
  if (plan.training.memoryLimitMib === 0) return undefined;
  const { memoryPrior } = await import('./memory.js');
  return memoryPrior(plan, bases, rows);
}

export async function answerTo(asked: Asked): Promise<Answered> {
  const { plan, history, trialNumber } = asked;
  const { algorithm, space, spec } = plan;
  const context = { seed: spec.seed, trialNumber, feasibility: await feasibilityOf(asked) };
  return {
    suggestion: untriedSuggestion(algorithm, space, history, context),
    choice: samplerChoice(algorithm, space, history, context),
  };
}

export type Suggestions = AnsweringThread<Asked, Answered>;

export function suggestionsIn(nodeArguments?: readonly string[]): Suggestions {
  return new AnsweringThread(besideModule(import.meta.url, 'suggestion-thread'), nodeArguments);
}
