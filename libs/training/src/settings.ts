/**
 * Every setting of a training run, said once: its values, its default and what it is. Parameters of a search, `train.yaml`,
 * settings of an experiment, the tables of docs/training.md, the JSON schema and the paths of errors follow from the rows
 * here (`setting-rows.ts`).
 *
 * `shared`: a checkpoint made with one value does not fit another, or would mean something else with it. `search: false`: no
 * search may vary it, since its objectives could not be compared. `ofRun`: of one run; an experiment decides it by itself.
 * `usual`: what counts where nothing is said and no constant default tells. `idle`: heard by one method, allowed with all.
 */
import type { Violation } from '@emotune/base';
import { devices } from '@emotune/engine';
import { recomputes } from '@emotune/graph';
import { methodSettings } from '@emotune/models';
import { z } from 'zod';
import { lossSettings, methodViolations, regularisationSettings } from './regularisers/settings.js';

const share = z.number().min(0).max(1);
const beta = z.number().min(0).lt(1);

const [full, lora] = methodSettings.options;
const method = z
  .discriminatedUnion('name', [
    full,
    lora.extend({
      rank: z
        .number()
        .int()
        .min(1)
        .max(1024)
        .default(8)
        .meta({ description: 'r of LoRA', shared: true, idle: true }),
      alpha: z
        .number()
        .positive()
        .default(16)
        .meta({ description: 'α of LoRA, whose update is scaled by α/r', shared: true, idle: true }),
    }),
  ])
  .prefault({ name: 'full' })
  .meta({ description: 'train the weights themselves, or a low-rank update of some (LoRA)', shared: true });

const ofEach = {
  learningRate: z.number().positive().meta({
    description: 'the peak of the schedule',
    usual: '0.001; LoRA 0.003; a fifth with `lion`',
  }),
  weightDecay: z
    .number()
    .min(0)
    .default(0.01)
    .meta({ description: 'decoupled; norms and biases are not decayed' }),
  clipNorm: z
    .number()
    .positive()
    .default(1)
    .meta({ description: 'largest global norm of the gradient (`max_grad_norm`)' }),
};
const beta1 = beta.meta({ description: 'decay of the mean of gradients' });
const beta2 = beta.meta({ description: 'decay of the mean of their squares; with `lion` of gradients' });

/** Defaults as PyTorch (AdamW), Hugging Face (Adafactor) and the authors (Lion) have them. */
const optimizer = z
  .discriminatedUnion('name', [
    z.strictObject({
      name: z.literal('adamw').default('adamw'),
      ...ofEach,
      beta1: beta1.default(0.9),
      beta2: beta2.default(0.999),
      epsilon: z.number().positive().default(1e-8).meta({ description: 'ε of the denominator' }),
    }),
    z.strictObject({
      name: z.literal('adafactor'),
      ...ofEach,
      decayRate: z
        .number()
        .min(-1)
        .lt(0)
        .default(-0.8)
        .meta({ description: "the second moment's decay at step t is 1 − t^decayRate" }),
      clipThreshold: z
        .number()
        .positive()
        .default(1)
        .meta({ description: "largest root mean square of a weight's update before the rate" }),
      scaleParameter: z
        .boolean()
        .default(false)
        .meta({ description: 'the rate is relative to the root mean square of the weight' }),
    }),
    z.strictObject({
      name: z.literal('lion'),
      ...ofEach,
      beta1: beta1.default(0.9),
      beta2: beta2.default(0.99),
    }),
  ])
  .meta({
    description:
      '`adamw` (Loshchilov and Hutter 2019), `adafactor` (Shazeer and Stern 2018, without momentum or relative steps), `lion` (Chen et al. 2023)',
    shared: true,
  });

const falling = ['linear', 'cosine', 'warmup_stable_decay'] as const;
/** Of schedules that fall to an end, where nothing is said. */
export const usualFall = { finalRatio: 0.1, decayRatio: 0.2, decayType: 'linear' } as const;

/** Names as Hugging Face's schedulers have them; constant and inverse_sqrt warm up too. */
const schedule = z
  .strictObject({
    name: z
      .enum(['constant', 'inverse_sqrt', ...falling])
      .default('cosine')
      .meta({ description: 'the curve of the rate after the warm-up; see below' }),
    warmupRatio: share.default(0.03).meta({
      description: "share of all tokens (of a stage's, with `rewarm`) over which the rate rises from 0",
    }),
    finalRatio: share.optional().meta({
      description: 'the rate at the end, as a share of its peak, where the schedule falls to an end',
      usual: String(usualFall.finalRatio),
    }),
    decayRatio: share.optional().meta({
      description: 'share of the tokens over which `warmup_stable_decay` falls, at the end',
      usual: String(usualFall.decayRatio),
    }),
    decayType: z
      .enum(['linear', 'cosine', '1-sqrt'])
      .optional()
      .meta({ description: 'the curve of that fall', usual: `\`${usualFall.decayType}\`` }),
    rewarm: z
      .boolean()
      .default(false)
      .meta({ description: 'each stage warms up and falls anew (Ibrahim et al. 2024)' }),
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
      if (warmupRatio + (decayRatio ?? usualFall.decayRatio) > 1)
        refuse('decayRatio', `expected at most ${1 - warmupRatio}, what warm-up leaves`);
      return;
    }
    for (const [field, value] of Object.entries({ decayRatio, decayType }))
      if (value !== undefined) refuse(field, `expected none with ${name}: it is of warmup_stable_decay`);
  });

/** c₀ where nothing is said. */
export const usualStart = 0.01;

/** Of the curriculum, from which stages follow. */
export const curriculum = {
  curriculum: z.enum(['staged', 'mixed']).default('staged').meta({
    description:
      'a stage for each subtask, all but the last with a tenth of the tokens; or `mixed`, one stage of them all',
    shared: true,
  }),
  replay: share.default(0).meta({
    description:
      "`staged`: rows of each earlier subtask as a share of a stage's own; at 1 all subtasks so far come equally often",
  }),
  mixingTemperature: z.number().min(1).default(1).meta({
    description:
      "`mixed`: T of pᵢ ∝ nᵢ^(1/T); 1 takes rows as they come, with more small subtasks' rows come more than once an epoch",
  }),
  competence: z.enum(['none', 'length', 'spread']).default('none').meta({
    description:
      'easy rows first (Platanios et al. 2019): by `length`, or by the `spread` of their raters, where it is known',
  }),
  competenceStart: z
    .number()
    .positive()
    .max(1)
    .optional()
    .meta({
      description: 'c₀, the share of rows, easiest first, with which a stage begins',
      usual: String(usualStart),
    }),
};

export const patience = z.number().int().min(0).default(0).meta({
  description: 'validations without improvement after which training stops; 0 never stops',
  search: false,
});

/** Those that a run is told as they are. */
export const plain = {
  method,
  loss: lossSettings.prefault({}),
  regularisation: regularisationSettings.prefault({}),
  optimizer,
  schedule: schedule.prefault({}),
  until: z.number().int().min(1).optional().meta({
    description:
      'tokens at which this run ends: a part of a longer one, which others go on with; what it has then is validated and kept, not its best',
    usual: 'all of `tokens`',
    ofRun: true,
  }),
  batchTokens: z
    .number()
    .int()
    .min(16)
    .default(2048)
    .meta({ description: 'tokens of one micro-batch, padding included' }),
  packing: z.boolean().default(true).meta({
    description:
      'several rows to a line of a batch, each for itself; `false` pads each row to a line of its own',
  }),
  gradientAccumulation: z
    .number()
    .int()
    .min(1)
    .default(1)
    .meta({ description: 'micro-batches of one optimizer step' }),
  ranks: z.number().int().min(1).max(64).default(1).meta({
    description:
      'processes that share the micro-batches of a step: `gradientAccumulation` is a multiple of them, and they come to the weights of one',
    search: false,
  }),
  ema: z.number().positive().lt(1).optional().meta({
    description: 'decay of a moving average of the weights, which is then what is validated and kept',
    shared: true,
  }),
  recompute: z.enum(recomputes).default('selective').meta({
    description: 'what the backward pass computes again instead of keeping it; see below',
  }),
  memoryLimitMiB: z.number().int().min(1).optional().meta({
    description:
      'resident memory that the run may take: one whose plan (docs/decisions/0008) exceeds it is refused',
    usual: 'the machine',
    ofRun: true,
  }),
  seed: z.number().int().default(1).meta({ description: 'of every random draw', ofRun: true }),
  device: z.enum(devices).default('auto').meta({
    description:
      'where it is computed: `cpu`, `cuda` and `webgpu` by ONNX Runtime, `tfjs` by TensorFlow.js; `auto` takes a GPU where CUDA has one, else the processor',
    search: false,
  }),
  threads: z.number().int().min(1).default(1).meta({ description: 'that compute', ofRun: true }),
  checkpointSeconds: z
    .number()
    .positive()
    .default(30)
    .meta({ description: 'seconds between two checkpoints', search: false }),
  keepCheckpoints: z.number().int().min(2).default(2).meta({
    description: 'newest ones that are kept: more than one, so that a damaged one has another before it',
    search: false,
  }),
};

/** What contradicts the number of ranks. */
export function rankViolations({
  ranks,
  gradientAccumulation,
}: {
  readonly ranks: number;
  readonly gradientAccumulation: number;
}): readonly Violation[] {
  return gradientAccumulation % ranks === 0
    ? []
    : [
        {
          field: 'gradientAccumulation',
          description: `expected a multiple of ranks (${ranks}), which share the micro-batches of a step, got ${gradientAccumulation}`,
        },
      ];
}

/** What a training run can be told, by parts; `settings-input.ts` reads it by the names of its settings. */
export const trainingSettings = z
  .strictObject({
    ...plain,
    ...curriculum,
    tokens: z
      .number()
      .int()
      .min(1)
      .default(100_000)
      .meta({ description: 'tokens to train on, padding not counted', ofRun: true }),
    validationExamples: z
      .number()
      .int()
      .min(1)
      .default(400)
      .meta({ description: 'validation rows on which the objective is measured', search: false }),
    patience,
  })
  .superRefine((settings, context) => {
    const { curriculum, replay, mixingTemperature, competence, competenceStart } = settings;
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: path.split('.'), message });
    for (const { field, description } of [...methodViolations(settings), ...rankViolations(settings)])
      refuse(field, description);
    if (curriculum === 'mixed' && replay > 0)
      refuse('replay', 'expected 0 with curriculum: mixed, which has no earlier stage');
    if (curriculum === 'staged' && mixingTemperature !== 1)
      refuse('mixingTemperature', 'expected curriculum: mixed beside it; stages have one subtask each');
    if (competence === 'none' && competenceStart !== undefined)
      refuse('competenceStart', 'expected competence: length or spread beside it');
  });

export type TrainingSettings = z.output<typeof trainingSettings>;

const learningRates = { full: 1e-3, lora: 3e-3 } as const;
/** Of AdamW's rate: Lion's steps are longer (Chen et al. 2023, section 5: 3 to 10 times). */
const lionShare = 0.2;

/** The learning rate where none is said. */
export function usualLearningRate(method: unknown, optimizer: unknown): number {
  return learningRates[method === 'lora' ? 'lora' : 'full'] * (optimizer === 'lion' ? lionShare : 1);
}
