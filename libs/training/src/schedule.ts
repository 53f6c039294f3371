/** The learning rate as a share of its peak. Pure. */
import { usualFall } from './settings.js';
import type { TrainSpec } from './spec.js';

/** From 1 to 0 as `rest` goes from 0 to 1. */
const falls = {
  linear: (rest: number) => 1 - rest,
  cosine: (rest: number) => (1 + Math.cos(Math.PI * rest)) / 2,
  '1-sqrt': (rest: number) => 1 - Math.sqrt(rest),
} as const;

/**
 * `progress`: tokens done of all, 0..1. Rises linearly over the warm-up, then follows the curve of that name in Hugging
 * Face's schedules, where there is one down to `finalRatio`; warmup_stable_decay (Hu et al. 2024) stays at 1 until the
 * last `decayRatio`, inverse_sqrt falls as √(warm-up/progress).
 */
export function rateAt(
  {
    name,
    warmupRatio,
    finalRatio = usualFall.finalRatio,
    decayRatio = usualFall.decayRatio,
    decayType = usualFall.decayType,
  }: TrainSpec['schedule'],
  progress: number,
): number {
  if (progress < warmupRatio) return progress / warmupRatio;
  if (name === 'constant') return 1;
  if (name === 'inverse_sqrt') return Math.sqrt(warmupRatio / progress);
  const [from, fall] =
    name === 'warmup_stable_decay'
      ? [Math.max(warmupRatio, 1 - decayRatio), falls[decayType]]
      : [warmupRatio, falls[name]];
  const rest = from >= 1 ? 1 : Math.min(1, Math.max(0, (progress - from) / (1 - from)));
  return finalRatio + (1 - finalRatio) * fall(rest);
}

/** The rate's share at a place in the run: of all tokens, or of those of the stage where each one warms up anew. */
export function rateOf(
  schedule: TrainSpec['schedule'],
  stages: TrainSpec['stages'],
  { stage, stageTokens, tokens }: { stage: number; stageTokens: number; tokens: number },
): number {
  if (schedule.rewarm) return rateAt(schedule, stageTokens / stages[stage].tokens);
  return rateAt(schedule, tokens / stages.reduce((n, each) => n + each.tokens, 0));
}
