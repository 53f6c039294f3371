/** The second part of pre-training: answers to our own questions over train rows. */
import { createHash } from 'node:crypto';
import type { SourceExample } from '@emotune/affect';
import { systemClock } from '@emotune/base';
import type { Model } from '@emotune/models';
import { type Tokenizer, textKey } from '@emotune/text';
import { type Measurement, train, trainSpec, withExecutor } from '@emotune/training';
import { affectiveRows, type Form, forms } from './affective-rows.js';

export interface AffectiveTraining {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly examples: readonly SourceExample[];
  readonly tokens: number;
  readonly seed: number;
  readonly threads: number;
  /** A folder. */
  readonly checkpoints: string;
  readonly signal: AbortSignal;
  readonly onNotice: (text: string) => void;
  readonly onMeasurement: (measurement: Measurement) => Promise<void>;
}

/** Of a stage's tokens; bare questions come first and more often, since they cost half. */
const shares: Readonly<Record<Form, number>> = { bare: 0.6, asked: 0.4 };
/** Longest row: prompts with many labels and long texts are passed over. */
const longest = 144;
export const batchTokens = 512;
export const learningRate = 5e-4;
/** Of the texts, on whose rows the loss is measured instead. */
const heldOutShare = 0.01;
const heldOutTokens = 20_000;
const measurements = 10;

/** Whether the loss is measured on it instead: by its text, so that no text is on both sides. */
export function isHeldOut({ text }: SourceExample): boolean {
  const digest = createHash('sha256')
    .update(`held out ${textKey(text)}`)
    .digest();
  return digest.readUInt32BE(0) / 2 ** 32 < heldOutShare;
}

/** Trains the model's weights, or goes on from the newest checkpoint. @throws as `train` */
export async function trainAffect({
  model,
  tokenizer,
  examples,
  tokens,
  seed,
  threads,
  ...hooks
}: AffectiveTraining): Promise<Model> {
  const parts = forms.map((form) => ({ form, tokens: Math.max(1, Math.round(shares[form] * tokens)) }));
  const drawn = (some: readonly SourceExample[], scale: (tokens: number) => number) =>
    parts.flatMap((part) =>
      affectiveRows(some, tokenizer, { form: part.form, tokens: scale(part.tokens), longest, seed }),
    );
  const rows = {
    train: drawn(
      examples.filter((example) => !isHeldOut(example)),
      (asked) => asked,
    ),
    validation: drawn(examples.filter(isHeldOut), (asked) => (asked * heldOutTokens) / tokens),
  };
  const spec = trainSpec.parse({
    optimizer: { learningRate, weightDecay: 0.05 },
    schedule: { warmupRatio: 0.05, finalRatio: 0.05 },
    stages: parts.map((part) => ({ tasks: [part.form], tokens: part.tokens })),
    batchTokens,
    validation: { everyTokens: Math.ceil(tokens / measurements) },
    seed,
    threads,
    checkpointSeconds: 60,
  });
  const { tensors } = await withExecutor(spec, (executor) =>
    train({
      ...hooks,
      executor,
      clock: systemClock,
      model,
      rows,
      spec,
      onMeasurement: async (measurement) => {
        await hooks.onMeasurement(measurement);
        return 'continue' as const;
      },
    }),
  );
  return { config: model.config, tensors };
}
