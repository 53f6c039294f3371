/** `emotune pretrain`: makes a base model of our own, from text to checkpoint folder with its card. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { SourceExample } from '@emotune/affect';
import { InvalidArgument, parse, systemClock } from '@emotune/base';
import type { LocateOptions } from '@emotune/data';
import { float32 } from '@emotune/engine';
import {
  embeddingModule,
  type Family,
  initialTensors,
  type Model,
  type ModelConfig,
  modelParameters,
  saveModel,
} from '@emotune/models';
import { Tokenizer, trainBpe } from '@emotune/text';
import { pretrain, pretrainSpec, smallConfig, withExecutor } from '@emotune/training';
import { affectiveEmbeddings } from './affective-embeddings.js';
import { batchTokens, isHeldOut, learningRate, trainAffect } from './affective-training.js';
import { averagingAttention } from './averaging-attention.js';
import { type CurvePoint, pretrainCard } from './pretrain-card.js';
import { pretrainingText } from './pretraining-text.js';

export interface PretrainOptions {
  readonly family: Family;
  readonly out: string;
  /** Tokenizer, checkpoints: a second call with the same options goes on from here. */
  readonly work: string;
  /** Of running text; 0 for none. */
  readonly tokens: number;
  /** Of questions with their answers; 0 for none. */
  readonly affectTokens: number;
  readonly width: number;
  readonly layers: number;
  readonly vocabSize: number;
  readonly seed: number;
  readonly threads: number;
  readonly text: LocateOptions;
  readonly signal: AbortSignal;
  /** A line for people. */
  readonly log: (line: string) => void;
}

const special = { bos: '<s>', eos: '</s>', pad: '<pad>' } as const;
const reportEveryMs = 5_000;

async function tokenizerFile(work: string, documents: readonly string[], vocabSize: number): Promise<string> {
  const path = join(work, `tokenizer-${vocabSize}.json`);
  if (!(await readFile(path).catch(() => undefined))) {
    await mkdir(work, { recursive: true });
    const json = trainBpe(documents, { vocabSize, specialTokens: [special.bos, special.eos, special.pad] });
    await writeFile(path, JSON.stringify(json));
  }
  return path;
}

/** What a part of the training tells of itself, from one call of the command to the next. */
class Curve {
  private reported = 0;

  private constructor(
    private readonly file: string,
    private readonly log: (line: string) => void,
    readonly points: CurvePoint[],
  ) {}

  static async in(folder: string, log: (line: string) => void): Promise<Curve> {
    await mkdir(folder, { recursive: true });
    const file = join(folder, 'curve.json');
    return new Curve(file, log, JSON.parse(await readFile(file, 'utf8').catch(() => '[]')));
  }

  /** `heldOut`: where it was measured. */
  async add(
    { tokens, train, heldOut }: Omit<CurvePoint, 'heldOut'> & { readonly heldOut: number | undefined },
    { totalTokens, seconds }: { readonly totalTokens: number; readonly seconds: number },
  ): Promise<void> {
    const { points } = this;
    if (heldOut !== undefined) {
      // A resumed run repeats what came after its checkpoint.
      while (points.length > 0 && points[points.length - 1].tokens >= tokens) points.pop();
      points.push({ tokens, train, heldOut });
      await writeFile(this.file, JSON.stringify(points));
    } else if (systemClock.now() - this.reported < reportEveryMs) return;
    this.reported = systemClock.now();
    const held = heldOut === undefined ? '' : `, held out ${heldOut.toFixed(3)}`;
    this.log(
      `${tokens} of ${totalTokens} tokens, loss ${train.toFixed(3)}${held}, ${(tokens / seconds).toFixed(0)} tokens/s`,
    );
  }
}

/** A new model, whose embeddings know the answers of train rows where it is to answer. */
function beginning(
  config: ModelConfig,
  { affectTokens, width, seed }: PretrainOptions,
  tokenizer: Tokenizer,
  examples: readonly SourceExample[],
): Model {
  let tensors = initialTensors(config, seed);
  if (affectTokens > 0) {
    tensors = averagingAttention(config, tensors);
    const seen = examples.filter((example) => !isHeldOut(example));
    const table = affectiveEmbeddings(seen, tokenizer, { width, seed });
    tensors.set(`${embeddingModule(config)}.weight`, float32([tokenizer.vocabSize, width], table));
  }
  return { config, tensors };
}

const ofText = 'Running text';
const ofAffect = 'Questions and answers';

/** @throws InvalidArgument when there is nothing to train on; Interrupted when the signal aborts: call again to go on. */
export async function pretrainBaseModel(options: PretrainOptions): Promise<void> {
  const { family, width, layers, seed, threads, signal, log } = options;
  if (options.tokens === 0 && options.affectTokens === 0)
    throw InvalidArgument.at('--affect-tokens', 'expected 1 or more where --tokens is 0, got 0');
  const { documents, prompts, examples, sources } = await pretrainingText(options.text);
  const file = await tokenizerFile(options.work, [...documents, ...prompts], options.vocabSize);
  const tokenizer = await Tokenizer.load(file);
  const id = (token: string) => tokenizer.idOf(token)!;
  const { vocabSize } = tokenizer;
  const ids = { vocabSize, bos: id(special.bos), eos: id(special.eos), pad: id(special.pad) };
  const config = smallConfig(family, ids, { width, layers });
  const { tokens, affectTokens } = options;
  const made = [family, width, layers, options.vocabSize, tokens, affectTokens, seed].join('-');
  const folder = (part: string) => join(options.work, made, part);
  let model = beginning(config, options, tokenizer, examples);
  const parts: { title: string; how: string; curve: readonly CurvePoint[] }[] = [];
  if (options.tokens > 0) {
    const tokenized = documents.map((text) => tokenizer.encode(text));
    log(`${documents.length} documents, ${tokenized.reduce((n, t) => n + t.length, 0)} tokens`);
    const spec = parse(pretrainSpec, { tokens: options.tokens, seed, threads });
    const curve = await Curve.in(folder('text'), log);
    const result = await withExecutor(spec, (executor) =>
      pretrain({
        executor,
        clock: systemClock,
        model,
        documents: tokenized,
        spec,
        checkpoints: join(folder('text'), 'checkpoints'),
        signal,
        onNotice: log,
        onProgress: async ({ tokens, trainLoss, heldOutLoss, ...run }) => {
          await curve.add({ tokens, train: trainLoss, heldOut: heldOutLoss }, run);
          return 'continue' as const;
        },
      }),
    );
    model = result.model;
    parts.push({
      title: ofText,
      how: `Rows without labels, each followed by the cues that VADER and AFINN find in it, and prose. Blocks of ${spec.sequence} tokens, ${spec.batch} a step, AdamW at ${spec.optimizer.learningRate} with a cosine, float32. Loss in nats per token; held out are the last ${spec.heldOut * 100} % of the documents.`,
      curve: curve.points,
    });
  }
  if (options.affectTokens > 0) {
    const curve = await Curve.in(folder('affect'), log);
    model = await trainAffect({
      model,
      tokenizer,
      examples,
      tokens: options.affectTokens,
      seed,
      threads,
      checkpoints: join(folder('affect'), 'checkpoints'),
      signal,
      onNotice: log,
      onMeasurement: ({ tokens, trainLoss, objective, ...run }) =>
        curve.add({ tokens, train: trainLoss, heldOut: objective }, run),
    });
    parts.push({
      title: ofAffect,
      how: `Rows asked again and again: without instruction first, then as users ask, on varied scales and labels, cues shown in three of ten; rare labels and small sources are drawn more often than they occur. The sentiment of GoEmotions and XED follows from their emotions. ${batchTokens} tokens a step, AdamW at ${learningRate} with a cosine, float32. Training loss in nats per answer token, held out (1 % of the texts) in nats per answer. Embeddings begin as those of a bag of words that answers the same questions, and the first layer as an average of what it reads.`,
      curve: curve.points,
    });
  }
  const parameters = modelParameters(config).reduce(
    (n, { shape }) => n + shape.reduce((a, d) => a * d, 1),
    0,
  );
  const tokenizerConfig = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: special.bos,
    eos_token: special.eos,
    pad_token: special.pad,
    model_max_length: 512,
  };
  await saveModel(options.out, model, {
    dtype: 'F16',
    tokenizer: file,
    files: {
      'README.md': pretrainCard(options, { name: basename(options.out), parameters, sources, parts }),
      'tokenizer_config.json': `${JSON.stringify(tokenizerConfig, null, 2)}\n`,
    },
  });
  log(`wrote ${options.out}`);
}
