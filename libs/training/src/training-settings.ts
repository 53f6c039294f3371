/** What a training run can be told, with defaults for small models, and the spec that follows for given rows. */
import { InvalidArgument, parse, type Violation, Violations } from '@emotune/base';
import { z } from 'zod';
import { type TrainSpec, trainSpec } from './spec.js';

const share = z.number().min(0).max(1);
const beta = z.number().min(0).lt(1);
const { loss, regularisation, gradientAccumulation, packing, ema, keepCheckpoints, checkpointSeconds } =
  trainSpec.shape;
const { recompute, memoryLimitMiB, until } = trainSpec.shape;
const [full, lora] = trainSpec.shape.method.options;
const schedule = trainSpec.shape.schedule.unwrap().shape;

export const trainingSettings = z.strictObject({
  method: z.enum(['full', 'lora']).default('full'),
  loraRank: z.number().int().min(1).max(1024).default(8),
  loraAlpha: z.number().positive().default(16),
  /** What else full fine-tuning and LoRA can be told. */
  full: full.omit({ name: true }).optional(),
  lora: lora.omit({ name: true, rank: true, alpha: true }).optional(),
  loss,
  regularisation,
  optimizer: z.enum(['adamw', 'adafactor', 'lion']).default('adamw'),
  /** Default: 0.001 for full fine-tuning, 0.003 for LoRA, a fifth of that with lion. */
  learningRate: z.number().positive().optional(),
  weightDecay: z.number().min(0).default(0.01),
  /** Only with adamw and lion. */
  beta1: beta.optional(),
  beta2: beta.optional(),
  /** Only with adamw. */
  epsilon: z.number().positive().optional(),
  /** Only with adafactor. */
  decayRate: z.number().min(-1).lt(0).optional(),
  clipThreshold: z.number().positive().optional(),
  scaleParameter: z.boolean().optional(),
  /** Largest global norm of the gradient. */
  clipNorm: z.number().positive().default(1),
  /** Decay of a moving average of the weights, which is then what is validated and kept. */
  ema,
  schedule: schedule.name,
  warmupRatio: schedule.warmupRatio,
  finalRatio: schedule.finalRatio,
  decayRatio: schedule.decayRatio,
  decayType: schedule.decayType,
  /** Each stage warms up and falls anew. */
  rewarm: schedule.rewarm,
  /** Padded tokens of one micro-batch. */
  batchTokens: z.number().int().min(16).default(2048),
  /** Micro-batches of one optimizer step. */
  gradientAccumulation,
  /** Several rows to a line of a batch, each for itself. */
  packing,
  /** A stage for each subtask, the last one long; or one stage of them all. */
  curriculum: z.enum(['staged', 'mixed']).default('staged'),
  /** Staged: rows of each earlier subtask as a share of a stage's own. */
  replay: share.default(0),
  /** Mixed: T of pᵢ ∝ nᵢ^(1/T). */
  mixingTemperature: z.number().min(1).default(1),
  /** Easy rows first: short ones, or those whose raters agree. */
  competence: z.enum(['none', 'length', 'spread']).default('none'),
  /** The share of rows, easiest first, with which each stage begins; 0.01. */
  competenceStart: z.number().positive().max(1).optional(),
  /** Tokens to train on, padding not counted. */
  tokens: z.number().int().min(1).default(100_000),
  /** The part of those tokens that the run trains on; others go on from there. */
  until,
  /** Validation rows on which the objective is measured. */
  validationExamples: z.number().int().min(1).default(400),
  /** Validations without improvement after which training stops; 0 never stops. */
  patience: z.number().int().min(0).default(0),
  checkpointSeconds,
  /** Newest ones. */
  keepCheckpoints,
  /** What of the forward pass is computed again instead of being kept. */
  recompute,
  /** Resident memory that the run may take; default: what the machine has. */
  memoryLimitMiB,
  seed: z.number().int().default(1),
  threads: z.number().int().min(1).default(1),
});

export type TrainingSettings = z.output<typeof trainingSettings>;

const learningRates = { full: 1e-3, lora: 3e-3 } as const;
/** Lion's learning rate as a share of AdamW's: its steps are longer (Chen et al. 2023, section 5: 3 to 10 times). */
const lionShare = 0.2;
/** The share of all tokens that each subtask but the last is introduced with. */
const introductionShare = 0.1;
/** Between two validations, as many tokens are trained on as this times those validated: validation takes a ninth of the time. */
const trainedPerValidated = 3;

/** Settings that belong to one optimizer, and to which. */
const ownedBy = {
  beta1: ['adamw', 'lion'],
  beta2: ['adamw', 'lion'],
  epsilon: ['adamw'],
  decayRate: ['adafactor'],
  clipThreshold: ['adafactor'],
  scaleParameter: ['adafactor'],
} as const satisfies Partial<Record<keyof TrainingSettings, readonly TrainingSettings['optimizer'][]>>;

/** What of the rows decides about stages and validations. */
export interface TrainedOn {
  /** Subtasks that there are rows of, in the order of the curriculum. */
  readonly tasks: readonly string[];
  /** Tokens of all rows that a validation reads. */
  readonly validationTokens: number;
}

/** Settings that contradict each other, where the spec that follows would not show it. */
function contradictions(settings: TrainingSettings): readonly Violation[] {
  const { method, optimizer, curriculum, replay, mixingTemperature, competence, competenceStart } = settings;
  const violations = new Violations();
  const refuse = (field: string, description: string) => violations.add(field, description);
  const other = method === 'full' ? 'lora' : 'full';
  if (settings[other] !== undefined) refuse(other, `expected none with method: ${method}`);
  for (const [field, owners] of Object.entries(ownedBy))
    if (settings[field as keyof typeof ownedBy] !== undefined && !owners.some((owner) => owner === optimizer))
      refuse(field, `expected none with optimizer: ${optimizer}; it is of ${owners.join(' and ')}`);
  if (curriculum === 'mixed' && replay > 0)
    refuse('replay', 'expected 0 with curriculum: mixed, which has no earlier stage');
  if (curriculum === 'staged' && mixingTemperature !== 1)
    refuse('mixingTemperature', 'expected curriculum: mixed beside it; stages have one subtask each');
  if (competence === 'none' && competenceStart !== undefined)
    refuse('competenceStart', 'expected competence: length or spread beside it');
  return violations.list;
}

/** The optimizer with those of its own settings that were given. */
function optimizerOf(settings: TrainingSettings): object {
  const { method, optimizer, weightDecay, clipNorm } = settings;
  const usual = learningRates[method] * (optimizer === 'lion' ? lionShare : 1);
  const own = Object.keys(ownedBy).map((field) => [field, settings[field as keyof typeof ownedBy]]);
  return {
    name: optimizer,
    learningRate: settings.learningRate ?? usual,
    weightDecay,
    clipNorm,
    ...Object.fromEntries(own.filter(([, value]) => value !== undefined)),
  };
}

/**
 * One stage for each subtask that the rows have, in the order of the curriculum. All but the last are introductions with
 * a tenth of the tokens each; the last one, in which every subtask is replayed, gets the rest: what ends a small model's
 * training is what it knows best. Mixed, one stage of them all.
 */
function stagesOf(settings: TrainingSettings, present: readonly string[]): object[] {
  const { tokens, replay, mixingTemperature, competence, competenceStart } = settings;
  const easyFirst =
    competence === 'none'
      ? {}
      : {
          competence: {
            difficulty: competence,
            ...(competenceStart === undefined ? {} : { start: competenceStart }),
          },
        };
  if (settings.curriculum === 'mixed')
    return present.length === 0 ? [] : [{ tasks: present, tokens, mixingTemperature, ...easyFirst }];
  const introduction = Math.max(1, Math.round(introductionShare * tokens));
  return present.map((task, i) => {
    const last = i === present.length - 1;
    const own = last ? Math.max(1, tokens - i * introduction) : introduction;
    return { tasks: [task], tokens: own, replay, ...easyFirst };
  });
}

/** Paths of the spec by the words in which its parts were told. */
const words: readonly [RegExp, string][] = [
  [/^optimizer\./, ''],
  [/^schedule\.name/, 'schedule'],
  [/^schedule\./, ''],
  [/^stages\[\d+\]\.(?!tasks)/, ''],
  [/^method\.rank$/, 'loraRank'],
  [/^method\.alpha$/, 'loraAlpha'],
];

/**
 * @throws InvalidArgument naming settings that contradict each other or the method, and when there is no row of any
 * subtask.
 */
export function trainSpecOf(settings: TrainingSettings, { tasks, validationTokens }: TrainedOn): TrainSpec {
  new Violations(contradictions(settings)).throwIfAny();
  const { method, tokens } = settings;
  const spec = {
    method:
      method === 'full'
        ? { name: method, ...settings.full }
        : { name: method, rank: settings.loraRank, alpha: settings.loraAlpha, ...settings.lora },
    loss: settings.loss,
    regularisation: settings.regularisation,
    optimizer: optimizerOf(settings),
    schedule: {
      name: settings.schedule,
      warmupRatio: settings.warmupRatio,
      finalRatio: settings.finalRatio,
      decayRatio: settings.decayRatio,
      decayType: settings.decayType,
      rewarm: settings.rewarm,
    },
    stages: stagesOf(settings, tasks),
    until: settings.until,
    batchTokens: settings.batchTokens,
    recompute: settings.recompute,
    memoryLimitMiB: settings.memoryLimitMiB,
    packing: settings.packing,
    gradientAccumulation: settings.gradientAccumulation,
    ema: settings.ema,
    validation: {
      patience: settings.patience,
      everyTokens: Math.max(Math.ceil(tokens / 8), trainedPerValidated * validationTokens),
    },
    seed: settings.seed,
    threads: settings.threads,
    checkpointSeconds: settings.checkpointSeconds,
    keepCheckpoints: settings.keepCheckpoints,
  };
  try {
    return parse(trainSpec, spec);
  } catch (error) {
    if (!(error instanceof InvalidArgument)) throw error;
    throw new InvalidArgument(
      error.violations.map(({ field, description }) => ({
        field: words
          .reduce((path, [pattern, word]) => path.replace(pattern, word), field)
          .replace(/^method\./, `${method}.`),
        description,
      })),
    );
  }
}
