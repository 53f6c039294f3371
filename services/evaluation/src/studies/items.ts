/** What is judged: rows of the sample, and attention checks among them. */
import type { Meaning, Scale, Task } from '@emotune/affect';
import { InvalidArgument, Rng, show } from '@emotune/base';
import type { RatingQuestion, StudyQuestion } from './question.js';
import type { CheckPlan, StudyPlan } from './spec.js';

/** The right answers of an attention check. */
type Right =
  | { readonly kind: 'range'; readonly range: Scale }
  | { readonly kind: 'labels'; readonly labels: readonly string[] }
  | { readonly kind: 'first' };

export interface Item {
  /** Null: it is no attention check. */
  readonly right: Right | null;
  /** The row's own id; empty of a check. */
  readonly example: string;
  readonly text: string;
  readonly language: string;
  readonly emotion: string | null;
  /** Comparison: what the two answers are to, in words. */
  readonly asked: string;
  /** Comparison: of the sample's evaluation, and of the other one. */
  readonly answers: readonly [string, string] | null;
  /** What the model of the sample's evaluation answered, on 0..1 or as labels; null where there is none. */
  readonly model: Meaning | null;
  readonly source: string;
  /** Of the text; empty where it is not known. */
  readonly licence: string;
}

export function askedText(
  task: Task,
  { emotion, scale }: { readonly emotion: string | null; readonly scale: Scale | null },
): string {
  const on = scale === null ? '' : `, on ${scale.low}..${scale.high}`;
  switch (task) {
    case 'sentiment-classification':
      return 'Sentiment';
    case 'sentiment-regression':
      return `Sentiment${on}`;
    case 'emotion-classification':
      return 'Emotions';
    case 'emotion-regression':
      return `Intensity of ${emotion}${on}`;
  }
}

const instruction = 'This item only checks that you are reading.';

function builtInRating(question: RatingQuestion, rng: Rng): { text: string; right: Right } {
  const { values, labels } = question;
  if (question.scale !== null) {
    const value = values[rng.int(values.length)];
    return {
      text: `${instruction} Whatever you feel, please choose ${value}.`,
      right: { kind: 'range', range: { low: value, high: value } },
    };
  }
  const label = labels[rng.int(labels.length)];
  return {
    text: `${instruction} Whatever you feel, please choose “${label}”${question.multiLabel ? ' and nothing else' : ''}.`,
    right: { kind: 'labels', labels: [label] },
  };
}

function builtIn(question: StudyQuestion, rng: Rng): Pick<Item, 'text' | 'right' | 'answers'> {
  if (question.kind === 'rating') return { ...builtInRating(question, rng), answers: null };
  return {
    text: `${instruction} Please choose the answer “this one”.`,
    right: { kind: 'first' },
    answers: ['this one', 'not this one'],
  };
}

/** @throws InvalidArgument where the answer that it calls right cannot be given. */
function ownCheck(
  check: CheckPlan,
  question: StudyQuestion,
  field: string,
): Pick<Item, 'text' | 'right' | 'answers' | 'emotion'> {
  const { text, right, labels, better, worse } = check;
  const emotion = check.emotion || null;
  if (question.kind === 'comparison')
    return { text, emotion, right: { kind: 'first' }, answers: [better, worse] };
  if (question.scale !== null) {
    const range = right!;
    if (!question.values.some((value) => value >= range.low && value <= range.high))
      throw InvalidArgument.at(
        `${field}.right`,
        `expected a range that holds one of the answers ${question.values.join(', ')}, got ${range.low}..${range.high}`,
      );
    return { text, emotion, right: { kind: 'range', range }, answers: null };
  }
  const unknown = labels.find((label) => !question.labels.includes(label));
  if (unknown !== undefined)
    throw InvalidArgument.at(
      `${field}.labels`,
      `expected labels among ${question.labels.join(', ')}, got ${show(unknown)}`,
    );
  if (labels.length > 1 && !question.multiLabel)
    throw InvalidArgument.at(
      `${field}.labels`,
      `expected one label, since texts have one, got ${show(labels)}`,
    );
  return { text, emotion, right: { kind: 'labels', labels }, answers: null };
}

/**
 * The attention checks of a study, those that come with EmoTune first.
 * @param emotions of the sample, of which one stands in a check about an intensity
 * @throws InvalidArgument
 */
export function checksOf(
  { builtInChecks, checks, seed, language }: StudyPlan,
  question: StudyQuestion,
  emotions: readonly string[],
): Item[] {
  const rest = { example: '', asked: '', model: null, source: 'attention-check', licence: '' };
  const rng = Rng.of(seed, 'attention checks');
  const withEmotion = question.kind === 'rating' && question.task === 'emotion-regression';
  return [
    ...Array.from({ length: builtInChecks }, () => ({
      ...{ ...rest, language: 'en', ...builtIn(question, rng) },
      emotion: withEmotion ? emotions[rng.int(emotions.length)] : null,
    })),
    ...checks.map((check, i) => ({
      ...{ ...rest, language, ...ownCheck(check, question, `spec.attention.own[${i}]`) },
    })),
  ];
}
