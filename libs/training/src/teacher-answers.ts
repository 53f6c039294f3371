/**
 * Learning from a teacher: rows with what it holds of every answer, as feeds and weights. Candidates are texts, so that teacher
 * and student need no common tokens. Pure.
 */
import { float32, type HostTensor } from '@emotune/engine';
import type { Batch, Feeds, Row } from './batches.js';
import { type Candidates, type GridFeeds, gridFeeds } from './candidate-rows.js';
import type { TrainSpec } from './spec.js';

/** Shared by the rows of a kind. */
export interface TeacherChoices {
  readonly candidates: Candidates;
  /** Candidates hold the end of sequence, too. */
  readonly ended: boolean;
}

export interface TeacherAnswer {
  readonly choices: TeacherChoices;
  /** The teacher's, one for each candidate, adding up to 1. */
  readonly probabilities: Float32Array;
  /** The row's answer is what people gave; else it is the teacher's likeliest, of which the end alone is learnt. */
  readonly gold: boolean;
}

export type Distillation = NonNullable<TrainSpec['distillation']>;

/** Probabilities in proportion to p^(1/temperature). */
export function softened(probabilities: Float32Array, temperature: number): Float64Array {
  const top = probabilities.reduce((most, p) => Math.max(most, p), 0);
  const powers = Float64Array.from(probabilities, (p) => (p / top) ** (1 / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

/** −Σ p·log p, nats. */
export function entropyOf(probabilities: Float64Array): number {
  return -probabilities.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
}

interface Shares {
  /** Of the loss against the teacher. */
  readonly teacher: number;
  /** Of the negative log-likelihood of the row's answer but for its last token. */
  readonly answer: number;
  /** Of that of its last token, the end of sequence, of which a teacher that is not asked for it says nothing. */
  readonly end: number;
}

function sharesOf({ teacher }: Row, { goldWeight }: Distillation): Shares {
  if (!teacher) return { teacher: 0, answer: 1, end: 1 };
  const answer = teacher.gold ? goldWeight : 0;
  return { teacher: 1 - answer, answer, end: teacher.choices.ended ? answer : 1 };
}

/** For each answer token of the batch its share of a row's loss. */
function answerShares({ rows }: Batch, { rowOfAnswer }: Feeds, distillation: Distillation): number[] {
  const shares = rows.map((row) => sharesOf(row, distillation));
  return Array.from(rowOfAnswer, (r, n) => (rowOfAnswer[n + 1] === r ? shares[r].answer : shares[r].end));
}

const targetOf = ({ teacher }: Row, { temperature }: Distillation) =>
  softened(teacher!.probabilities, temperature);

/**
 * What a batch is fed. A row's loss is w·NLL(gold) + (1 − w)·`distillation`, w being `goldWeight`, 0 where there is no gold; their
 * sum is divided by the answer tokens of the batch.
 */
export function distillationFeeds(
  batch: Batch,
  feeds: Feeds,
  vocabSize: number,
  distillation: Distillation,
): { readonly grid: GridFeeds | undefined; readonly answerWeight: HostTensor } {
  const count = feeds.rowOfAnswer.length;
  const grid = gridFeeds(
    batch,
    vocabSize,
    (row) => targetOf(row, distillation),
    batch.rows.map((row) => sharesOf(row, distillation).teacher / count),
  );
  const weight = new Float32Array(batch.answers);
  answerShares(batch, feeds, distillation).forEach((share, n) => {
    weight[n] = share / count;
  });
  return { grid, answerWeight: float32([batch.answers], weight) };
}

/**
 * For each row its loss less the teacher's own entropy, nats: 0 for a student that answers as the teacher does and always ends.
 * `nll` is that of each answer token, `candidates` the loss of each row with a tree against the teacher.
 */
export function distillationLosses(
  batch: Batch,
  feeds: Feeds,
  measured: { readonly nll: ArrayLike<number>; readonly candidates: ArrayLike<number> },
  distillation: Distillation,
): number[] {
  const { temperature } = distillation;
  let item = 0;
  const losses = batch.rows.map((row) => {
    if (!row.tree) return 0;
    const entropy = temperature ** 2 * entropyOf(targetOf(row, distillation));
    return sharesOf(row, distillation).teacher * (measured.candidates[item++] - entropy);
  });
  answerShares(batch, feeds, distillation).forEach((share, n) => {
    losses[feeds.rowOfAnswer[n]] += share * measured.nll[n];
  });
  return losses;
}
