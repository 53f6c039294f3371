/** What EmoTune asks about a text, and an example as every part of the platform knows it. */

/** The four subtasks, in the order of the curriculum. */
export const tasks = [
  'sentiment-classification',
  'sentiment-regression',
  'emotion-classification',
  'emotion-regression',
] as const;

export type Task = (typeof tasks)[number];
export const splits = ['train', 'validation', 'test'] as const;
export type Split = (typeof splits)[number];

/** Whether the answer is a number, not labels. */
export function isRegression(task: Task): boolean {
  return task === 'sentiment-regression' || task === 'emotion-regression';
}

/** A declared numeric range: the numbers of least and of most. `low` is the larger where the scale is inverted, as school grades are. */
export interface Scale {
  readonly low: number;
  readonly high: number;
}

/** What an answer says. */
export interface Meaning {
  /** Regression: 0..1. */
  readonly value: number | null;
  /** Classification: sorted. */
  readonly labels: readonly string[];
}

/** The answer that people gave. */
export interface Gold extends Meaning {
  /** Regression: the raters' standard deviation in units of 0..1, where known. */
  readonly spread: number | null;
  /** How many people answered, where known. */
  readonly raters: number | null;
  /** Regression: what each of them answered, on 0..1, rising; empty where not known. */
  readonly ratings: readonly number[];
  /** Classification: how many of them gave each label; empty where not known. */
  readonly votes: Votes;
}

/** Raters by label. Those who gave several labels count for each. */
export type Votes = Readonly<Record<string, number>>;

const unrated: readonly number[] = [];
const unvoted: Votes = {};

/** The gold of a regression: value and spread on 0..1. */
export function numberGold(
  value: number,
  spread: number | null = null,
  raters: number | null = null,
  ratings: readonly number[] = unrated,
): Gold {
  return { value, labels: [], spread, raters, ratings, votes: unvoted };
}

/** The gold of a regression whose every rating is known, on 0..1, one at least. Its spread is the standard deviation of these raters. */
export function ratedGold(value: number, ratings: readonly number[]): Gold {
  const mean = ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length;
  const squares = ratings.reduce((sum, rating) => sum + (rating - mean) ** 2, 0);
  const rising = [...ratings].sort((a, b) => a - b);
  return numberGold(value, Math.sqrt(squares / ratings.length), ratings.length, rising);
}

/** The gold of a classification. */
export function labelGold(
  labels: readonly string[],
  raters: number | null = null,
  votes: Votes = unvoted,
): Gold {
  return { value: null, labels, spread: null, raters, ratings: unrated, votes };
}

/** What is asked, and what the answer has to lie on: everything but the text. */
export interface Inquiry {
  readonly task: Task;
  /** Emotion regression: whose intensity. */
  readonly emotion: string | null;
  /** Regression: the declared range of the answer. */
  readonly scale: Scale | null;
  /** Classification: every label that could be the answer. Regression in words: these, from least to most; in numbers: none. */
  readonly labelSet: readonly string[];
  readonly multiLabel: boolean;
}

/** Several labels: from this probability on a label is part of an answer, where a model does not say another. */
export const multiLabelThreshold = 0.5;

/** A kind of question that a model was trained on. */
export interface TaughtInquiry extends Inquiry {
  /** Train rows that ask so. */
  readonly rows: number;
  /** Several labels: the probability from which on a label is part of an answer, 0..1. */
  readonly threshold: number;
  /** BCP 47, of these rows, in alphabetical order; empty where not known. */
  readonly languages: readonly string[];
  /** What an evaluation on other rows has shown. */
  readonly skill: Skill;
}

/** Whether answers are better than one constant: shown, looked for in vain, or never asked. */
export const skills = ['better', 'none', 'unknown'] as const;

export type Skill = (typeof skills)[number];

/** One inquiry about one text, with its gold answer. */
export interface Example extends Inquiry {
  readonly id: string;
  readonly source: string;
  /** BCP 47. */
  readonly language: string;
  readonly text: string;
  readonly gold: Gold;
}

/** An example with where it comes from; its labels are in canonical order, its scale is the one that the source declares. */
export interface SourceExample extends Example {
  readonly originalId: string;
  /** SPDX identifier. */
  readonly licence: string;
  /** Null where the source has no official splits. */
  readonly split: Split | null;
}
