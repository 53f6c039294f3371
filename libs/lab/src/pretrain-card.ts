/** The card of a base model of our own: what it saw and how it was trained. */
import type { PretrainOptions } from './pretrain.js';
import type { TextSource } from './pretraining-text.js';

export interface CurvePoint {
  readonly tokens: number;
  readonly train: number;
  readonly heldOut: number;
}

export interface Made {
  readonly name: string;
  readonly parameters: number;
  readonly sources: readonly TextSource[];
  /** How each part was trained, in words, and its losses. */
  readonly parts: readonly {
    readonly title: string;
    readonly how: string;
    readonly curve: readonly CurvePoint[];
  }[];
}

const number = (n: number) => n.toLocaleString('en');

function table(curve: readonly CurvePoint[]): string {
  const rows = curve.map(
    ({ tokens, train, heldOut }) => `| ${number(tokens)} | ${train.toFixed(3)} | ${heldOut.toFixed(3)} |`,
  );
  return ['| tokens | training | held out |', '|---|---|---|', ...rows].join('\n');
}

/** The command that makes it, wherever it is written. */
function commandOf({
  family,
  tokens,
  affectTokens,
  width,
  layers,
  vocabSize,
  seed,
}: PretrainOptions): string {
  const shape = `--width ${width} --layers ${layers} --vocabulary ${vocabSize}`;
  return `emotune pretrain --family ${family} ${shape} --tokens ${tokens} --affect-tokens ${affectTokens} --seed ${seed}`;
}

export function pretrainCard(options: PretrainOptions, { name, parameters, sources, parts }: Made): string {
  return `---
license: apache-2.0
language: en
library_name: transformers
---
# ${name}

A small ${options.family.toUpperCase()} language model (${number(parameters)} parameters, vocabulary ${number(options.vocabSize)}), the place from which
EmoTune fine-tunes on a machine without access to larger ones. Pre-trained by EmoTune's own engine:

\`\`\`
${commandOf(options)}
\`\`\`

## Data
Train rows only. Validation and test rows of the corpora, also of the datasets that \`npm start\` makes, were never seen. Share-alike
corpora were left out. The tokenizer also saw prompts.

| source | licence | answered questions | characters |
|---|---|---|---|
${sources.map((s) => `| ${s.name} | ${s.licence} | ${number(s.rows)} | ${number(s.characters)} |`).join('\n')}

## Training
${parts.map(({ title, how, curve }) => `### ${title}\n${how}\n\n${table(curve)}`).join('\n\n')}

## Limits
It has seen little text and knows little: it is no chat model, writes no sound prose, and repeats the biases of its
sources and of those who labelled them. Use it to try EmoTune and to test on; take a published model for work.
`;
}
