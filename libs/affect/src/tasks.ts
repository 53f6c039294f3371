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

/** A declared numeric range; low < high. */
export interface Scale {
  readonly low: number;
  readonly high: number;
}

/** One question about one text, with its gold answer. */
export interface Example {
  readonly id: string;
  readonly source: string;
  readonly originalId: string;
  /** SPDX identifier. */
  readonly licence: string;
  /** BCP 47. */
  readonly language: string;
  readonly task: Task;
  readonly text: string;
  /** Emotion regression: whose intensity. */
  readonly emotion: string | null;
  /** Regression: the target on 0..1. */
  readonly value: number | null;
  /** Regression: the raters' standard deviation in units of 0..1. */
  readonly spread: number | null;
  /** Classification: the gold labels. */
  readonly labels: readonly string[];
  /** Classification: every label that could be, in canonical order. */
  readonly labelSet: readonly string[];
  readonly multiLabel: boolean;
  /** Regression: the range on which the source declares its labels. */
  readonly scale: Scale | null;
  /** Null where the source has no official splits. */
  readonly split: Split | null;
}
