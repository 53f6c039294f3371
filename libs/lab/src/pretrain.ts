/** `emotune pretrain`: makes a base model of our own, from text to checkpoint folder with its card. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, systemClock } from '@emotune/base';
import type { LocateOptions } from '@emotune/data';
import { type Family, modelParameters, saveModel } from '@emotune/models';
import { Tokenizer, trainBpe } from '@emotune/text';
import { type PretrainSpec, pretrain, pretrainSpec, smallConfig, withExecutor } from '@emotune/training';
import { pretrainingText, type TextSource } from './pretraining-text.js';

export interface PretrainOptions {
  readonly family: Family;
  readonly out: string;
  /** Tokenizer, checkpoints: a second call with the same options goes on from here. */
  readonly work: string;
  readonly tokens: number;
  readonly vocabSize: number;
  readonly seed: number;
  readonly threads: number;
  readonly text: LocateOptions;
  readonly signal: AbortSignal;
  /** A line for people. */
  readonly log: (line: string) => void;
}

interface CurvePoint {
  readonly tokens: number;
  readonly train: number;
  readonly heldOut: number;
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

function card(
  options: PretrainOptions,
  spec: PretrainSpec,
  parameters: number,
  sources: readonly TextSource[],
  curve: readonly CurvePoint[],
): string {
  const number = (n: number) => n.toLocaleString('en');
  return `---
license: apache-2.0
language: en
library_name: transformers
---
# emotune-${options.family}-4m

A small ${options.family.toUpperCase()} language model (${number(parameters)} parameters, vocabulary ${number(options.vocabSize)}), the place from which
EmoTune fine-tunes on a machine without access to larger ones. Pre-trained by EmoTune's own engine:

\`\`\`
emotune pretrain --family ${options.family} --tokens ${options.tokens} --vocabulary ${options.vocabSize} --seed ${options.seed}
\`\`\`

## Text
Train rows only, without labels, each followed by the cues that VADER and AFINN find in it; validation and test rows of
the corpora were never seen. The tokenizer also saw prompts without answers.

| source | licence | characters |
|---|---|---|
${sources.map((s) => `| ${s.name} | ${s.licence} | ${number(s.characters)} |`).join('\n')}

## Training
${number(options.tokens)} tokens, blocks of ${spec.sequence}, ${spec.batch} a step, AdamW at ${spec.optimizer.learningRate} with a cosine, float32. Loss in nats per
token; held out are the last ${spec.heldOut * 100} % of the documents.

| tokens | training | held out |
|---|---|---|
${curve.map((p) => `| ${number(p.tokens)} | ${p.train.toFixed(3)} | ${p.heldOut.toFixed(3)} |`).join('\n')}

## Limits
It has seen little text and knows little: it is no chat model, writes no sound prose, and repeats the biases of its
sources. Use it to try EmoTune and to test on; take a published model for work.
`;
}

/** @throws Interrupted when the signal aborts; call again to go on. */
export async function pretrainBaseModel(options: PretrainOptions): Promise<void> {
  const { documents, prompts, sources } = await pretrainingText(options.text);
  const file = await tokenizerFile(options.work, [...documents, ...prompts], options.vocabSize);
  const tokenizer = await Tokenizer.load(file);
  const id = (token: string) => tokenizer.idOf(token)!;
  const tokenized = documents.map((text) => tokenizer.encode(text));
  const available = tokenized.reduce((n, t) => n + t.length, 0);
  options.log(`${documents.length} documents, ${available} tokens`);
  const config = smallConfig(options.family, {
    vocabSize: options.vocabSize,
    bos: id(special.bos),
    eos: id(special.eos),
    pad: id(special.pad),
  });
  const spec = parse(pretrainSpec, { tokens: options.tokens, seed: options.seed, threads: options.threads });
  const folder = join(options.work, `${options.family}-${options.tokens}-${options.seed}`);
  const curveFile = join(folder, 'curve.json');
  await mkdir(folder, { recursive: true });
  const curve: CurvePoint[] = JSON.parse(await readFile(curveFile, 'utf8').catch(() => '[]'));
  let reported = 0;
  const result = await withExecutor(spec, (executor) =>
    pretrain({
      executor,
      clock: systemClock,
      config,
      documents: tokenized,
      spec,
      checkpoints: join(folder, 'checkpoints'),
      signal: options.signal,
      onNotice: options.log,
      onProgress: async ({ tokens, totalTokens, seconds, trainLoss, heldOutLoss }) => {
        if (heldOutLoss !== undefined) {
          // A resumed run repeats what came after its checkpoint.
          while (curve.length > 0 && curve[curve.length - 1].tokens >= tokens) curve.pop();
          curve.push({ tokens, train: trainLoss, heldOut: heldOutLoss });
          await writeFile(curveFile, JSON.stringify(curve));
        }
        if (heldOutLoss !== undefined || systemClock.now() - reported >= reportEveryMs) {
          reported = systemClock.now();
          const held = heldOutLoss === undefined ? '' : `, held out ${heldOutLoss.toFixed(3)}`;
          options.log(
            `${tokens} of ${totalTokens} tokens, loss ${trainLoss.toFixed(3)}${held}, ${(tokens / seconds).toFixed(0)} tokens/s`,
          );
        }
        return 'continue' as const;
      },
    }),
  );
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
  await saveModel(options.out, result.model, {
    dtype: 'F16',
    tokenizer: file,
    files: {
      'README.md': card(options, spec, parameters, sources, curve),
      'tokenizer_config.json': `${JSON.stringify(tokenizerConfig, null, 2)}\n`,
    },
  });
  options.log(`wrote ${options.out}, held-out loss ${result.heldOutLoss?.toFixed(3) ?? 'not measured'}`);
}
