/** What one training run is: everything that decides its result, besides the base model and the rows. */

import { recomputes } from '@emotune/graph';
import { methodSettings } from '@emotune/models';
import { z } from 'zod';
import { lossSettings, methodViolations, regularisationSettings } from './regularisers/settings.js';

const share = z.number().min(0).max(1);

const common = {
  learningRate: z.number().positive(),
  /** Decoupled; norms and biases are not decayed. */
  weightDecay: z.number().min(0).default(0),
  /** Largest global norm of the gradient. */
  clipNorm: z.number().positive().default(1),
};
const beta = z.number().min(0).lt(1);

/** Defaults as PyTorch (AdamW), Hugging Face (Adafactor) and the authors (Lion) have them. */
const optimizer = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('adamw').default('adamw'),
    ...common,
    beta1: beta.default(0.9),
    beta2: beta.default(0.999),
    epsilon: z.number().positive().default(1e-8),
  }),
  z.strictObject({
    name: z.literal('adafactor'),
    ...common,
    /** The second moment's decay at step t is 1 − t^decayRate. */
    decayRate: z.number().min(-1).lt(0).default(-0.8),
    /** Largest root mean square of a weight's update before the rate. */
    clipThreshold: z.number().positive().default(1),
    /** The rate is relative to the weight's root mean square. */
    scaleParameter: z.boolean().default(false),
  }),
  z.strictObject({
    name: z.literal('lion'),
    ...common,
    beta1: beta.default(0.9),
    beta2: beta.default(0.99),
  }),
]);

const falling = ['linear', 'cosine', 'warmup_stable_decay'] as const;

/** Names as Hugging Face's schedulers have them; constant and inverse_sqrt warm up too. */
const schedule = z
  .strictObject({
    name: z.enum(['constant', 'inverse_sqrt', ...falling]).default('cosine'),
    /** Share of all tokens (of a stage's, with `rewarm`) over which the rate rises from 0. */
    warmupRatio: share.default(0.03),
    /** The rate at the end, as a share of its peak; 0.1 where the schedule falls to an end. */
    finalRatio: share.optional(),
    /** Share of the tokens over which warmup_stable_decay falls, at the end; 0.2. */
    decayRatio: share.optional(),
    /** The curve of that fall; linear. */
    decayType: z.enum(['linear', 'cosine', '1-sqrt']).optional(),
    /** Each stage warms up and falls anew (Ibrahim et al. 2024). */
    rewarm: z.boolean().default(false),
  })
  .superRefine(({ name, warmupRatio, finalRatio, decayRatio, decayType }, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (finalRatio !== undefined && !falling.some((some) => some === name))
      refuse('finalRatio', `expected none with ${name}, which has no final rate`);
    if (name === 'inverse_sqrt' && warmupRatio === 0)
      refuse(
        'warmupRatio',
        'expected more than 0 with inverse_sqrt, which falls by the length of the warm-up',
      );
    if (name === 'warmup_stable_decay') {
      if (warmupRatio + (decayRatio ?? 0.2) > 1)
        refuse('decayRatio', `expected at most ${1 - warmupRatio}, what warm-up leaves`);
      return;
    }
    for (const [field, value] of Object.entries({ decayRatio, decayType }))
      if (value !== undefined) refuse(field, `expected none with ${name}: it is of warmup_stable_decay`);
  });

const settings = z.strictObject({
  method: methodSettings,
  loss: lossSettings.prefault({}),
  regularisation: regularisationSettings.prefault({}),
  optimizer,
  schedule: schedule.prefault({}),
  /** In the order they are trained; later ones replay rows of earlier ones. */
  stages: z
    .array(
      z
        .strictObject({
          tasks: z.array(z.string()).min(1),
          /** Tokens of rows, padding not counted. */
          tokens: z.number().int().min(1),
          /** Rows of each earlier subtask as a share of this stage's own: at 1 all subtasks so far come equally often. */
          replay: share.default(0),
          /** T of pᵢ ∝ nᵢ^(1/T): 1 takes rows as they come, more takes small subtasks' rows more often. */
          mixingTemperature: z.number().min(1).default(1),
          /** Easy rows first (Platanios et al. 2019). */
          competence: z
            .strictObject({
              difficulty: z.enum(['length', 'spread']).default('length'),
              /** c₀, the share of the rows, easiest first, with which the stage begins. */
              start: z.number().positive().max(1).default(0.01),
            })
            .optional(),
        })
        .superRefine(({ tasks, mixingTemperature }, context) => {
          if (mixingTemperature !== 1 && tasks.length === 1)
            context.addIssue({
              code: 'custom',
              path: ['mixingTemperature'],
              message: 'expected 1 in a stage of one task, where nothing is mixed',
            });
        }),
    )
    .min(1),
  /**
   * Tokens of the stages, in all, at which this run ends: a part of a longer one, which others go on with. What it has then is
   * validated and kept, not its best.
   */
  until: z.number().int().min(1).optional(),
  /** Padded tokens of one micro-batch. */
  batchTokens: z.number().int().min(16).default(2048),
  /** Several rows to a line of a batch, each for itself; false pads each row to a line of its own. */
  packing: z.boolean().default(true),
  /** Micro-batches of one optimizer step. */
  gradientAccumulation: z.number().int().min(1).default(1),
  /** Decay of an exponential moving average of the weights, which is then what is validated and kept. */
  ema: z.number().positive().lt(1).optional(),
  validation: z
    .strictObject({
      /** Tokens trained on between two evaluations; 0 evaluates at the end of each stage only. */
      everyTokens: z.number().int().min(0).default(0),
      /** Evaluations without improvement after which training stops; 0 never stops. */
      patience: z.number().int().min(0).default(0),
    })
    .prefault({}),
  /** What of the forward pass is computed again instead of being kept; `blocks` and `full` cost a quarter more time, or more. */
  recompute: z.enum(recomputes).default('selective'),
  /** Resident memory that the run may take, MiB; default: what the machine has for it. */
  memoryLimitMiB: z.number().int().min(1).optional(),
  seed: z.number().int(),
  threads: z.number().int().min(1).default(1),
  checkpointSeconds: z.number().positive().default(30),
  /** Newest checkpoints kept: more than one, so that a damaged one has another before it. */
  keepCheckpoints: z.number().int().min(2).default(2),
});

export const trainSpec = settings.superRefine((spec, context) => {
  for (const { field, description } of methodViolations(spec))
    context.addIssue({ code: 'custom', path: field.split('.'), message: description });
});

export type TrainSpec = z.output<typeof trainSpec>;
