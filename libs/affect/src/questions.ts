/**
 * Questions about a text and their answers, in EmoLLM's wire format (Liu et al. 2024, section 3.2) with paraphrases of
 * our own. The prompt declares the scale or the labels, and every answer lies on them.
 */
import { InvalidArgument, show } from '@emotune/base';
import type { Calibration } from './calibration.js';
import { neutralNames } from './label-names.js';
import { labelSets } from './labels.js';
import { decimalsOf, gridOf } from './scales.js';
import {
  type Example,
  type Inquiry,
  isRegression,
  type Meaning,
  type Scale,
  type Task,
  type TaughtInquiry,
} from './tasks.js';
import { wordingsOf } from './wordings.js';

/** One question about one text; the prompt names the labels in the order of `labelSet`. */
export interface Question extends Inquiry {
  readonly text: string;
  /** Regression: digits after the point of every answer. */
  readonly decimals: number;
  /** Lexicon cues of the text (`Explanation.cueText`); empty leaves the line out. */
  readonly cues: string;
  /** Which wording of the instruction: 0 … paraphrases−1, or one of `heldOutParaphrases`. */
  readonly paraphrase: number;
  /** Several labels: from this probability on a label is part of the answer; `multiLabelThreshold` where absent. */
  readonly threshold?: number;
  /** How what the model says becomes the answer; absent: as it is. */
  readonly calibration?: Calibration | undefined;
}

export interface Candidate extends Meaning {
  readonly answer: string;
}

/** On one line, without broken surrogates. */
function plain(text: string): string {
  return text
    .replace(/\p{Surrogate}/gu, '\ufffd')
    .replace(/\s+/g, ' ')
    .trim();
}

/** The prompt up to where the answer begins. */
export function renderPrompt(q: Question): string {
  const { instructions, end } = wordingsOf(q);
  const given = {
    low: q.scale?.low ?? 0,
    high: q.scale?.high ?? 1,
    labels: q.labelSet.join(', '),
    falling: q.labelSet.toReversed().join(', '),
    emotion: q.emotion ?? '',
  };
  const parts = [
    `Task: ${instructions[q.paraphrase % instructions.length](given)}`,
    `Text: ${plain(q.text)}`,
    ...(q.cues === '' ? [] : [`Cues: ${q.cues}.`]),
    end(given),
  ];
  return `Human: \n${parts.join(' ')}\n\nAssistant: \n`;
}

function numberText(units: number, decimals: number): string {
  return (units / 10 ** decimals).toFixed(decimals);
}

/**
 * The answer that means `gold`: the nearest number of the grid or word of the scale, or the labels in alphabetical order.
 * @throws InvalidArgument when the gold is not of the question's kind or off its scale or labels.
 */
export function renderAnswer(q: Question, gold: Meaning): string {
  if (q.scale !== null) {
    const { value } = gold;
    if (value === null || !(value >= 0 && value <= 1))
      throw InvalidArgument.at('value', `expected a number on 0..1, got ${show(value)}`);
    if (q.labelSet.length > 0) return q.labelSet[Math.round(value * (q.labelSet.length - 1))];
    const grid = gridOf(q.scale, q.decimals);
    const units = (q.scale.low + value * (q.scale.high - q.scale.low)) * 10 ** q.decimals;
    const step = grid.length > 1 ? grid[1] - grid[0] : 1;
    const at = Math.round((units - grid[0]) / step);
    return numberText(grid[Math.min(grid.length - 1, Math.max(0, at))], q.decimals);
  }
  const labels = [...new Set(gold.labels)].sort();
  const unknown = labels.filter((label) => !q.labelSet.includes(label));
  if (labels.length === 0 || unknown.length > 0 || (labels.length > 1 && !q.multiLabel)) {
    const wanted = `${q.multiLabel ? 'labels' : 'one label'} among ${q.labelSet.join(', ')}`;
    throw InvalidArgument.at('labels', `expected ${wanted}, got ${labels.join(', ') || 'none'}`);
  }
  return labels.join(', ');
}

/** With more labels their pairs are too many to ask. */
const mostPairedLabels = 12;

/**
 * Every answer on a scale, from least to most: at most 101 numbers, or the words that divide it evenly.
 * @param words Of a scale in words, two at least; none of one in numbers.
 */
export function numbersOn(
  scale: Scale,
  decimals: number,
  words: readonly string[] = [],
): readonly (Candidate & { readonly value: number })[] {
  const { low, high } = scale;
  if (words.length > 0)
    return words.map((answer, i) => ({ answer, value: i / (words.length - 1), labels: [] }));
  return gridOf(scale, decimals).map((units) => ({
    answer: numberText(units, decimals),
    value: Math.min(1, Math.max(0, (units / 10 ** decimals - low) / (high - low))),
    labels: [],
  }));
}

/** Every answer that a model may give: the numbers or words of its scale; or the labels and, up to 12, their pairs. */
export function candidatesOf(q: Question): readonly Candidate[] {
  if (q.scale !== null) return numbersOn(q.scale, q.decimals, q.labelSet);
  const labels = [...q.labelSet].sort();
  const paired =
    q.multiLabel && labels.length <= mostPairedLabels
      ? labels.filter((label) => !neutralNames.has(label))
      : [];
  return [
    ...labels.map((label) => [label]),
    ...paired.flatMap((first, i) => paired.slice(i + 1).map((second) => [first, second])),
  ].map((set) => ({ answer: set.join(', '), value: null, labels: set }));
}

export interface AskOptions {
  /** Lexicon cues of the text (`Explanation.cueText`); empty leaves the line out. */
  readonly cues: string;
  readonly paraphrase: number;
  /** Regression: another scale than the source's. */
  readonly scale?: Scale;
  /** Classification: the same labels in another order, or others. Regression: the words of a scale, from least to most. */
  readonly labelSet?: readonly string[];
}

/** The question whose gold answer an example holds. */
export function questionOf(example: Example, options: AskOptions): Question {
  const scale = isRegression(example.task) ? (options.scale ?? example.scale) : null;
  return {
    task: example.task,
    text: example.text,
    emotion: example.emotion,
    scale,
    decimals: scale === null ? 0 : decimalsOf(scale),
    labelSet: options.labelSet ?? example.labelSet,
    multiLabel: example.multiLabel,
    cues: options.cues,
    paraphrase: options.paraphrase,
  };
}

/** What is asked where the asker does not say: scales and labels that the sources declare, too. */
const usual = {
  sentimentScale: { low: -4, high: 4 },
  sentimentLabels: labelSets.sentiment3,
  emotionScale: { low: 0, high: 1 },
  emotionLabels: labelSets.ekman,
  emotion: 'joy',
} as const;

/**
 * The question of a task about a text. Where scale, labels or emotion are not given, they are those that the model was
 * taught, else the task's usual ones. `cues` is the text's cue line, empty for none.
 */
export function defaultQuestion(
  task: Task,
  text: string,
  options: {
    scale?: Scale;
    labels?: readonly string[];
    emotion?: string;
    cues: string;
    taught?: TaughtInquiry | undefined;
  },
): Question {
  const { taught } = options;
  const sentiment = task === 'sentiment-classification' || task === 'sentiment-regression';
  const scale = isRegression(task)
    ? (options.scale ?? taught?.scale ?? (sentiment ? usual.sentimentScale : usual.emotionScale))
    : null;
  const labels = taught?.labelSet ?? (sentiment ? usual.sentimentLabels : usual.emotionLabels);
  return {
    task,
    text,
    emotion: task === 'emotion-regression' ? (options.emotion ?? taught?.emotion ?? usual.emotion) : null,
    scale,
    decimals: scale === null ? 0 : decimalsOf(scale),
    labelSet: scale === null ? (options.labels ?? labels) : [],
    multiLabel: scale === null && (taught?.multiLabel ?? task === 'emotion-classification'),
    cues: options.cues,
    paraphrase: 0,
    ...(taught ? { threshold: taught.threshold } : {}),
  };
}
