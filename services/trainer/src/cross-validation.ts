/** A trial with folds: one training after the other, each told to the tuning service before the next begins. */
import { tuning } from '@emotune/proto';
import type { Draft } from '@emotune/service/client';
import { type Directive, Interrupted, type Measurement, type TrainResult } from '@emotune/training';
import type { Observed } from './heartbeats.js';

export interface CrossValidation {
  /** Folds in all. */
  readonly folds: number;
  /** Those that earlier attempts have finished, in order; not all of them, since the last ends the trial. */
  readonly finished: readonly tuning.FoldResult[];
  /** Trains a fold, from its checkpoint where there is one. */
  readonly train: (
    fold: number,
    observed: (m: Measurement) => Observed,
  ) => Promise<Omit<TrainResult, 'tensors'>>;
  /** Tells of all folds that have ended, and waits for the directive. */
  readonly tell: (ended: readonly tuning.FoldResult[]) => Promise<Directive>;
  /** Drops the checkpoints of a fold that is known to have ended. */
  readonly forget: (fold: number) => Promise<void>;
  readonly signal: AbortSignal;
}

const beginning = { step: 0, tokens: 0, examples: 0, elapsedSeconds: 0 };

/** The end of the trial as it is reported, with the last fold. @throws Interrupted, and what `train` throws. */
export async function crossValidate(work: CrossValidation): Promise<Draft<tuning.FinishTrialRequest>> {
  const { folds, finished, train, tell, forget, signal } = work;
  const { TRIAL_STATE_STOPPED, TRIAL_STATE_SUCCEEDED } = tuning.TrialState;
  const ended = [...finished];
  for (let fold = finished.length; ; fold++) {
    const before = ended.at(-1) ?? beginning;
    const result = await train(fold, (m) => ({
      ...m,
      step: before.step + m.step,
      tokens: before.tokens + m.tokens,
      examples: before.examples + m.examples,
      seconds: before.elapsedSeconds + m.seconds,
      fold,
    }));
    const now = {
      step: before.step + result.step,
      tokens: before.tokens + result.tokens,
      examples: before.examples + result.examples,
      elapsedSeconds: before.elapsedSeconds + result.seconds,
    };
    const { step, tokens } = now;
    const report = { step, tokens, tokensPerSecond: result.tokensPerSecond, folds: ended };
    if (result.stopped === 'directive') return { ...report, state: TRIAL_STATE_STOPPED };
    const { objective, tokens: bestTokens } = result.best!;
    ended.push({ objective, bestTokens, ...now });
    if (ended.length === folds) return { ...report, state: TRIAL_STATE_SUCCEEDED };
    const directive = await tell([...ended]);
    if (signal.aborted) throw new Interrupted(step);
    if (directive === 'stop') return { ...report, state: TRIAL_STATE_STOPPED };
    await forget(fold);
  }
}
