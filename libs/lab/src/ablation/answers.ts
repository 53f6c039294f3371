/** What is kept of a run's answers: enough to measure them again. */
import { isRegression, type OtherKind, type Task } from '@emotune/affect';
import type { Prediction } from '@emotune/records';

export interface KeptAnswer {
  readonly task: Task;
  readonly id: string;
  /** How it was asked, where otherwise than usual. */
  readonly kind?: OtherKind;
  /** Values on 0..1, or labels. */
  readonly gold: number | readonly string[];
  readonly answer: number | readonly string[];
  /** Classification: those of the example's own question. */
  readonly labelSet?: readonly string[];
}

/** Values as they are needed for measures. */
const digits = 5;
const rounded = (value: number | null) => Number((value ?? 0.5).toFixed(digits));

export function keptAnswer(
  { task, id, gold, value, labels, labelSet }: Prediction,
  kind?: OtherKind,
): KeptAnswer {
  const asked = { task, id, ...(kind === undefined ? {} : { kind }) };
  return isRegression(task)
    ? { ...asked, gold: rounded(gold.value), answer: rounded(value) }
    : { ...asked, gold: gold.labels, answer: labels, labelSet: [...labelSet].sort() };
}

/** Of the rows that defaults are chosen by, and of those that are reported. */
export type Part = 'validation' | 'test';

/** Answers to the rows' own questions, and to ones that training never asks. */
export interface PartAnswers {
  readonly usual: readonly KeptAnswer[];
  readonly otherwise: readonly KeptAnswer[];
}
