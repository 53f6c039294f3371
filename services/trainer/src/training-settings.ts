/** What a training run can be told, with defaults for small models, and the spec that follows for given rows. */
import { tasks } from '@emotune/affect';
import { parse } from '@emotune/base';
import { type Row, type TrainSpec, trainSpec } from '@emotune/training';
import { z } from 'zod';

const share = z.number().min(0).max(1);

export const trainingSettings = z.strictObject({
  method: z.enum(['full', 'lora']).default('full'),
  /** Default: 0.001 for full fine-tuning, 0.003 for LoRA. */
  learningRate: z.number().positive().optional(),
  weightDecay: z.number().min(0).default(0.01),
  warmupRatio: share.default(0.03),
  /** Padded tokens of one batch. */
  batchTokens: z.number().int().min(16).default(2048),
  /** Rows of each earlier subtask as a share of a stage's own. */
  replay: share.default(0),
  loraRank: z.number().int().min(1).max(1024).default(8),
  loraAlpha: z.number().positive().default(16),
  /** Tokens to train on, padding not counted. */
  tokens: z.number().int().min(1).default(100_000),
  /** Validation rows on which the objective is measured. */
  validationExamples: z.number().int().min(1).default(400),
  /** Validations without improvement after which training stops; 0 never stops. */
  patience: z.number().int().min(0).default(0),
  checkpointSeconds: z.number().positive().default(30),
  seed: z.number().int().default(1),
  threads: z.number().int().min(1).default(1),
});

export type TrainingSettings = z.output<typeof trainingSettings>;

const learningRates = { full: 1e-3, lora: 3e-3 } as const;
/** Of all tokens, for each subtask but the last. */
const introductionShare = 0.1;
/** Between two validations, as many tokens are trained on as this times those validated: validation takes a ninth of the time. */
const trainedPerValidated = 3;

function tokensOf(rows: readonly Row[]): number {
  return rows.reduce((n, row) => n + row.tokens.length, 0);
}

/**
 * One stage for each subtask that the rows have, in the order of the curriculum. All but the last are introductions with
 * a tenth of the tokens each; the last one, in which every subtask is replayed, gets the rest: what ends a small model's
 * training is what it knows best.
 * @throws InvalidArgument when there is no row of any subtask.
 */
export function trainSpecOf(
  settings: TrainingSettings,
  rows: { readonly train: readonly Row[]; readonly validation: readonly Row[] },
): TrainSpec {
  const { method, loraRank, loraAlpha, replay, tokens } = settings;
  const present = tasks.filter((task) => rows.train.some((row) => row.task === task));
  const introduction = Math.max(1, Math.round(introductionShare * tokens));
  const stages = present.map((task, i) => {
    const last = i === present.length - 1;
    return { tasks: [task], tokens: last ? Math.max(1, tokens - i * introduction) : introduction, replay };
  });
  return parse(trainSpec, {
    method: method === 'full' ? { name: 'full' } : { name: 'lora', rank: loraRank, alpha: loraAlpha },
    optimizer: {
      learningRate: settings.learningRate ?? learningRates[method],
      weightDecay: settings.weightDecay,
    },
    schedule: { warmupRatio: settings.warmupRatio },
    stages,
    batchTokens: settings.batchTokens,
    validation: {
      patience: settings.patience,
      everyTokens: Math.max(Math.ceil(tokens / 8), trainedPerValidated * tokensOf(rows.validation)),
    },
    seed: settings.seed,
    threads: settings.threads,
    checkpointSeconds: settings.checkpointSeconds,
  });
}
