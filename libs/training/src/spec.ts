/** What one training run is: everything that decides its result, besides the base model and the rows. */
import { z } from 'zod';

const share = z.number().min(0).max(1);

export const trainSpec = z.strictObject({
  method: z.discriminatedUnion('name', [
    z.strictObject({ name: z.literal('full') }),
    z.strictObject({
      name: z.literal('lora'),
      rank: z.number().int().min(1).max(1024),
      alpha: z.number().positive(),
      /** Last parts of module paths; empty adapts every linear layer of the blocks. */
      targets: z.array(z.string()).default([]),
      rankStabilised: z.boolean().default(false),
    }),
  ]),
  optimizer: z.strictObject({
    learningRate: z.number().positive(),
    /** Decoupled; norms and biases are not decayed. */
    weightDecay: z.number().min(0).default(0),
    beta1: share.default(0.9),
    beta2: share.default(0.999),
    epsilon: z.number().positive().default(1e-8),
    /** Largest global norm of the gradient. */
    clipNorm: z.number().positive().default(1),
  }),
  schedule: z
    .strictObject({
      name: z.enum(['constant', 'linear', 'cosine']).default('cosine'),
      /** Share of all tokens over which the rate rises from 0. */
      warmupRatio: share.default(0.03),
      /** The rate at the end, as a share of its peak. */
      finalRatio: share.default(0.1),
    })
    .prefault({}),
  /** In the order they are trained; later ones replay rows of earlier ones. */
  stages: z
    .array(
      z.strictObject({
        tasks: z.array(z.string()).min(1),
        /** Tokens of rows, padding not counted. */
        tokens: z.number().int().min(1),
        /** Rows of each earlier subtask as a share of this stage's own: at 1 all subtasks so far come equally often. */
        replay: share.default(0),
      }),
    )
    .min(1),
  /** Padded tokens of one batch. */
  batchTokens: z.number().int().min(16).default(2048),
  validation: z
    .strictObject({
      /** Tokens trained on between two evaluations; 0 evaluates at the end of each stage only. */
      everyTokens: z.number().int().min(0).default(0),
      /** Evaluations without improvement after which training stops; 0 never stops. */
      patience: z.number().int().min(0).default(0),
    })
    .prefault({}),
  seed: z.number().int(),
  threads: z.number().int().min(1).default(1),
  checkpointSeconds: z.number().positive().default(30),
});

export type TrainSpec = z.output<typeof trainSpec>;
