/**
 * AAID and AEB (Liu et al. 2024, EmoLLMs), whose files hold prompts and answers, JSON a line: the text, the question and its scale or
 * labels are read back out of the prompt. Ten paraphrases of one question are one example.
 */
import type { Scale, Split } from '@emotune/affect';
import { show } from '@emotune/base';
import type { maker } from '../corpora/corpus.js';
import { baseName, type Import, type ImportedFile, type Importer, splitIn } from './importer.js';

type Make = ReturnType<typeof maker>;

const prompts =
  /^Task: (?<task>.*?) (?:Tweet|Text): (?<text>.*?) (?:Emotion E: (?<emotion>\w+)\. )?(?<asked>Intensity Score|Intensity Class|Sentiment [Ss]core|Sentiment [Cc]lass|This \w+ contains emotions): ?$/s;
const ranges =
  /(?:between|from|scale of|range of)\s+(-?\d+(?:\.\d+)?)(?!\d).*?\b(?:and|to)\s+(-?\d+(?:\.\d+)?)/;
const classes = /(-?\d+): ([^.:;,]+)/g;
const listed = /emotions \(([^)]+)\)/;

/** What a line says. */
interface Said {
  readonly prompt: string;
  readonly answer: string;
}

function saidIn(value: unknown): Said | undefined {
  const { instruction, output, conversations } = (value ?? {}) as Record<string, unknown>;
  if (typeof instruction === 'string' && (typeof output === 'string' || typeof output === 'number'))
    return { prompt: instruction, answer: `${output}` };
  if (!Array.isArray(conversations) || conversations.length < 2) return undefined;
  const [human, assistant] = conversations as { value?: unknown }[];
  if (typeof human?.value !== 'string' || typeof assistant?.value !== 'string') return undefined;
  return { prompt: human.value, answer: assistant.value };
}

interface Asked {
  readonly task: string;
  readonly emotion: string | undefined;
  readonly draft: { readonly originalId: string; readonly text: string; readonly split: Split | null };
  readonly answer: string;
}

function emotionsOf(make: Make, { task, draft, answer }: Asked) {
  const labels = listed
    .exec(task)?.[1]
    .split(',')
    .map((label) => label.trim());
  if (labels === undefined) return 'expected the emotions in brackets';
  const labelSet = [...labels, 'neutral'].sort();
  const given = answer
    .replace(/\.\s*$/, '')
    .split(',')
    .map((label) => label.trim().replace(/^neutral or no emotion$/, 'neutral'));
  const unknown = given.find((label) => !labelSet.includes(label));
  if (unknown !== undefined) return `expected emotions among ${labelSet.join(', ')}, got ${show(unknown)}`;
  return make.classification('emotion-classification', draft, given.sort(), labelSet, true, {
    suffix: '/emotions',
  });
}

function numberOf(make: Make, { task, emotion, draft, answer }: Asked, scale: Scale, kind: string) {
  const value = Number(/^\s*(-?\d+(?:\.\d+)?)/.exec(answer)?.[1] ?? Number.NaN);
  if (!(value >= scale.low && value <= scale.high))
    return `expected an answer on ${scale.low}..${scale.high}, got ${show(answer)}`;
  const dimension = emotion ?? /\b(arousal|dominance)\b/.exec(task)?.[1];
  return dimension === undefined
    ? make.regression('sentiment-regression', draft, scale, value, { suffix: `/${kind}` })
    : make.regression('emotion-regression', draft, scale, value, {
        emotion: dimension,
        suffix: `/${kind}/${dimension}`,
      });
}

function classOf(make: Make, asked: Asked) {
  const named = new Map(
    [...asked.task.matchAll(classes)].map(([, number, name]) => [Number(number), name.trim()]),
  );
  if (named.size < 2) return 'expected the classes with their numbers';
  const numbers = [...named.keys()];
  // Classes of intensity and valence are told in sentences; those of sentiment by their names.
  if ([...named.values()].some((name) => name.split(' ').length > 2))
    return numberOf(make, asked, { low: Math.min(...numbers), high: Math.max(...numbers) }, 'class');
  const label = named.get(Number(/^\s*(-?\d+)/.exec(asked.answer)?.[1] ?? Number.NaN));
  if (label === undefined) return `expected one of ${numbers.join(', ')}, got ${show(asked.answer)}`;
  const labelSet = [...named.values()].sort();
  return make.classification('sentiment-classification', asked.draft, [label], labelSet, false, {
    suffix: '/class',
  });
}

function readLine(make: Make, { prompt, answer }: Said, originalId: string, split: Split | null) {
  const groups = prompts.exec(prompt)?.groups;
  if (groups === undefined)
    return `expected a prompt "Task: … Text: … Intensity Score: ", got ${show(prompt)}`;
  const { task, text, emotion, asked } = groups;
  const of: Asked = { task, emotion, draft: { originalId, text, split }, answer };
  if (asked.endsWith('emotions')) return emotionsOf(make, of);
  if (asked.toLowerCase().endsWith('class')) return classOf(make, of);
  const range = ranges.exec(task);
  if (range === null) return `expected the range of the answer in the prompt, got ${show(task)}`;
  return numberOf(make, of, { low: Number(range[1]), high: Number(range[2]) }, 'score');
}

function readFile(file: ImportedFile, into: Import): void {
  const make = into.maker('en');
  const seen = new Set<string>();
  const split = splitIn(baseName(file.path)) ?? null;
  for (const [i, line] of file.text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      into.fault(file, i + 1, `expected one JSON object, got ${show(line)}`);
      continue;
    }
    const said = saidIn(value);
    if (said === undefined) {
      into.fault(file, i + 1, 'expected "instruction" and "output", or "conversations"');
      continue;
    }
    const example = readLine(make, said, `${baseName(file.path)}:${i + 1}`, split);
    if (typeof example === 'string') {
      into.fault(file, i + 1, example);
      continue;
    }
    const { task, emotion, scale, gold, text } = example;
    const same = JSON.stringify([task, emotion, scale, gold.value, gold.labels, text]);
    if (seen.has(same)) into.skip('paraphrases of a question that is there');
    else into.add(example);
    seen.add(same);
  }
}

export const aaid: Importer = {
  format: 'aaid',
  title: 'AAID and AEB of EmoLLMs',
  licence: 'LicenseRef-AAID',
  url: 'https://github.com/lzw108/EmoLLMs',
  files: 'train.json, dev.json, vader_test.json',
  read(files, into) {
    for (const file of files) {
      if (!/\.jsonl?$/.test(file.path)) continue;
      into.take();
      readFile(file, into);
    }
  },
};
