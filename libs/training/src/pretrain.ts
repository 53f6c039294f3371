/**
 * Pre-training of a causal language model: the training loop with blocks of running text as rows,
 * every token of which is predicted.
 */
import { InvalidArgument } from '@emotune/base';
import { type Family, type Model, type ModelConfig, parseConfig } from '@emotune/models';
import { z } from 'zod';
import type { Row } from './batches.js';
import type { Directive } from './measurement.js';
import { paddedLength } from './packing.js';
import { trainSpec } from './spec.js';
import { type Training, type TrainResult, train } from './train.js';

const share = z.number().min(0).max(1);
/** Channels of an attention head. */
const headWidth = 32;

export const pretrainSpec = z.strictObject({
  /** Tokens to train on; text is repeated, in another order, when it is shorter. */
  tokens: z.number().int().min(1),
  /** Length of a block of text. */
  sequence: z.number().int().min(2).default(128),
  /** Blocks of one step. */
  batch: z.number().int().min(1).default(8),
  optimizer: trainSpec.shape.optimizer.prefault({ learningRate: 2e-3, weightDecay: 0.1, beta2: 0.95 }),
  schedule: trainSpec.shape.schedule,
  /** Share of the documents, the last ones, on which the loss is measured instead. */
  heldOut: share.default(0.01),
  /** Tokens trained on between two measurements of that loss. */
  validateEvery: z.number().int().min(1).default(250_000),
  seed: z.number().int().default(1),
  threads: z.number().int().min(1).default(1),
  checkpointSeconds: z.number().positive().default(60),
});

export type PretrainSpec = z.output<typeof pretrainSpec>;

/** What is known after a step. Losses are means over tokens, nats. */
export interface PretrainProgress {
  readonly step: number;
  readonly tokens: number;
  readonly totalTokens: number;
  readonly seconds: number;
  readonly trainLoss: number;
  readonly learningRate: number;
  /** On the documents held out, where it was measured at this step. */
  readonly heldOutLoss?: number;
}

export interface Pretraining
  extends Pick<Training, 'executor' | 'clock' | 'checkpoints' | 'signal' | 'onNotice'> {
  /** Whose weights it begins with. */
  readonly model: Model;
  readonly documents: readonly Int32Array[];
  readonly spec: PretrainSpec;
  readonly onProgress?: (progress: PretrainProgress) => Directive | Promise<Directive> | undefined;
}

export interface PretrainResult extends Omit<TrainResult, 'tensors' | 'best'> {
  readonly model: Model;
  /** The loss of the weights returned on what was held out, the best measured, in nats per token; null when nothing was. */
  readonly heldOutLoss: number | null;
}

/** Ids of the tokenizer that the model goes with. */
export interface SpecialTokens {
  readonly vocabSize: number;
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
}

/** Of a model of our own. */
export interface SmallShape {
  /** Width of the hidden states: a multiple of the heads' 32. */
  readonly width: number;
  readonly layers: number;
}

/** The shapes of our own base models, positions up to 512. */
export function smallConfig(
  family: Family,
  { vocabSize, bos, eos, pad }: SpecialTokens,
  { width, layers }: SmallShape,
): ModelConfig {
  const common = {
    model_type: family,
    vocab_size: vocabSize,
    hidden_size: width,
    tie_word_embeddings: true,
    bos_token_id: bos,
    eos_token_id: eos,
    pad_token_id: pad,
  };
  const heads = width / headWidth;
  if (family === 'bloom') return parseConfig({ ...common, n_layer: layers, n_head: heads });
  const deep = { num_hidden_layers: layers, num_attention_heads: heads, max_position_embeddings: 512 };
  return parseConfig(
    family === 'opt'
      ? { ...common, ...deep, ffn_dim: 4 * width }
      : // Its three matrices have as many weights as the others' two.
        { ...common, ...deep, intermediate_size: 32 * Math.round(width / 12) },
  );
}

/**
 * Documents joined by `eos` and cut into blocks of `sequence` tokens. A block begins with the last token of the one
 * before it, so that every token but the first is predicted once. A rest shorter than a block is left out.
 */
export function packDocuments(
  documents: readonly Int32Array[],
  { sequence, eos, name }: { sequence: number; eos: number; name: string },
): Row[] {
  const stream = new Int32Array(documents.reduce((n, document) => n + document.length + 1, 0));
  let end = 0;
  for (const document of documents) {
    stream.set(document, end);
    end += document.length + 1;
    stream[end - 1] = eos;
  }
  const rows: Row[] = [];
  for (let at = 0; at + sequence <= stream.length; at += sequence - 1) {
    const tokens = stream.slice(at, at + sequence);
    rows.push({ id: `${name}-${rows.length}`, task: 'text', tokens, answerStart: 1 });
  }
  return rows;
}

/**
 * Trains a model on tokenised documents, or goes on from the newest checkpoint of the same run.
 * @throws InvalidArgument when the text does not fill one block, or a token is outside the vocabulary; Diverged;
 * Interrupted; ResourceExhausted.
 */
export async function pretrain({
  model,
  documents,
  spec,
  onProgress,
  ...hooks
}: Pretraining): Promise<PretrainResult> {
  const { sequence } = spec;
  const { config } = model;
  const [eos] = config.eosTokenIds;
  if (eos === undefined)
    throw InvalidArgument.at('eos_token_id', 'expected a token that ends documents, got none');
  const held = spec.heldOut > 0 ? Math.max(1, Math.round(documents.length * spec.heldOut)) : 0;
  const blocks = (part: readonly Int32Array[], name: string) => packDocuments(part, { sequence, eos, name });
  const rows = {
    train: blocks(documents.slice(0, documents.length - held), 'train'),
    validation: blocks(documents.slice(documents.length - held), 'held-out'),
  };
  if (rows.train.length === 0) {
    const have = documents.reduce((n, document) => n + document.length, 0);
    throw InvalidArgument.at('documents', `expected at least ${sequence} tokens to train on, got ${have}`);
  }
  const perToken = (objective: number) => objective / (sequence - 1);
  const { tensors, best, ...result } = await train({
    ...hooks,
    model,
    rows,
    spec: trainSpec.parse({
      method: { name: 'full' },
      optimizer: spec.optimizer,
      schedule: spec.schedule,
      stages: [{ tasks: ['text'], tokens: spec.tokens }],
      batchTokens: spec.batch * paddedLength(sequence),
      validation: { everyTokens: spec.validateEvery },
      seed: spec.seed,
      threads: spec.threads,
      checkpointSeconds: spec.checkpointSeconds,
    }),
    takeWeights: true,
    onMeasurement: ({ objective, step, tokens, totalTokens, seconds, trainLoss, learningRate }) =>
      onProgress?.({
        step,
        tokens,
        totalTokens,
        seconds,
        trainLoss,
        learningRate,
        ...(objective === undefined ? {} : { heldOutLoss: perToken(objective) }),
      }),
  });
  return { ...result, model: { config, tensors }, heldOutLoss: best && perToken(best.objective) };
}
