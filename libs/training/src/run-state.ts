/** Where a training run stands, as its checkpoints keep it, and where one begins. Pure. */
import { z } from 'zod';
import type { LossScale } from './loss-scale.js';

export const runState = z.strictObject({
  /** The hash of the spec and the rows: another run's checkpoint is refused. */
  run: z.string(),
  step: z.number().int(),
  tokens: z.number(),
  examples: z.number(),
  seconds: z.number(),
  cursor: z.strictObject({
    stage: z.number().int(),
    epoch: z.number().int(),
    index: z.number().int(),
    stageTokens: z.number(),
    /** Tokens of the stage before the epoch. */
    epochTokens: z.number(),
  }),
  /** What the last step measured, where its validation did not come to its end. */
  pending: z
    .strictObject({ trainLoss: z.number(), learningRate: z.number(), gradientNorm: z.number() })
    .nullable(),
  sinceValidation: z.number(),
  best: z.strictObject({ objective: z.number(), tokens: z.number(), step: z.number().int() }).nullable(),
  misses: z.number().int(),
  /** Objectives of each task at the end of each stage so far. */
  stageObjectives: z.array(z.record(z.string(), z.number())),
  stopped: z.enum(['patience', 'directive']).nullable(),
  /** Changes of the weights: steps less those that were skipped. */
  updates: z.number().int(),
  /** What the runs did that it goes on from; the numbers above are its own, but for the cursor and the updates. */
  before: z.strictObject({ steps: z.number().int(), tokens: z.number() }),
  lossScale: z.strictObject({ scale: z.number(), goodSteps: z.number().int() }).nullable(),
});

export type RunState = Readonly<z.output<typeof runState>>;

const beginning: Omit<RunState, 'run' | 'lossScale'> = {
  step: 0,
  tokens: 0,
  examples: 0,
  seconds: 0,
  cursor: { stage: 0, epoch: 0, index: 0, stageTokens: 0, epochTokens: 0 },
  pending: null,
  sinceValidation: 0,
  best: null,
  misses: 0,
  stageObjectives: [],
  stopped: null,
  updates: 0,
  before: { steps: 0, tokens: 0 },
};

/** Where a run begins that goes on from nothing. `lossScale`: null where the loss is not scaled. */
export function fresh(run: string, lossScale: LossScale | null): RunState {
  return { ...beginning, run, lossScale };
}

/** Where a run begins that goes on from another one's end. */
export function goneOn(origin: RunState, run: string): RunState {
  const { before, step, tokens, cursor, updates, lossScale, stageObjectives } = origin;
  return {
    ...beginning,
    run,
    cursor,
    updates,
    lossScale,
    stageObjectives,
    before: { steps: before.steps + step, tokens: before.tokens + tokens },
  };
}
