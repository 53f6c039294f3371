/** Answers that are numbers, and the feeds of losses that compare them. Pure. */
import { bool, float32, type HostTensor, int64 } from '@emotune/engine';
import type { NumberShape } from '@emotune/models';
import type { Batch, Feeds, Row } from './batches.js';
import type { Candidates } from './candidate-rows.js';

/** What a row's answer means, and every answer that it could have been. */
export interface NumberAnswer {
  /** The right one, on 0..1. */
  readonly value: number;
  readonly choices: NumberChoices;
}

/** Shared by rows of one scale. */
export interface NumberChoices {
  readonly candidates: Candidates;
  /** What each candidate means, on 0..1. */
  readonly values: readonly number[];
  /** By count of digits, from 1: the tokens that are so many digits, and their value with a point after the first. */
  readonly digits: readonly ReadonlyMap<number, number>[];
}

/** A Gaussian around the right value, over the candidates: what ordinal smoothing has in place of a one-hot target. */
export function ordinalTarget({ value, choices }: NumberAnswer, deviation: number): number[] {
  const exponents = choices.values.map((v) => -((v - value) ** 2) / (2 * deviation ** 2));
  const top = Math.max(...exponents);
  const powers = exponents.map((x) => Math.exp(x - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

/** Sizes of what a graph is fed of the digits of `answers` tokens of these rows. */
export function digitShape(rows: readonly Row[], answers: number): NumberShape {
  const sizes = rows.flatMap(({ number }) => number?.choices.digits.map(({ size }) => size) ?? []);
  return { items: answers, choices: Math.max(1, ...sizes) };
}

export interface DigitFeeds {
  readonly shape: NumberShape;
  readonly feeds: Readonly<Record<string, HostTensor>>;
}

/**
 * Feeds of the answers' digits, one item for each answer token, weight 0 where it is none. An error is a choice's value less
 * the right one, absolute unless `signed`; `weight`: the sum over the digits.
 */
export function digitFeeds(
  { rows, answers }: Batch,
  { feeds, rowOfAnswer }: Feeds,
  vocabSize: number,
  { signed, weight }: { readonly signed: boolean; readonly weight: number },
): DigitFeeds {
  const target = feeds['answer_target'].data as BigInt64Array;
  const shape = digitShape(rows, answers);
  const { choices } = shape;
  const choice = new Array<number>(answers * choices).fill(0);
  const present = new Uint8Array(answers * choices);
  const error = new Float32Array(answers * choices);
  const weights = new Float32Array(answers);
  const digits: number[] = [];
  rowOfAnswer.forEach((r, n) => {
    const token = Number(target[n]);
    const group = rows[r].number?.choices.digits.find((tokens) => tokens.has(token));
    if (!group) return;
    digits.push(n);
    const right = group.get(token)!;
    [...group].forEach(([id, value], c) => {
      const at = n * choices + c;
      choice[at] = n * vocabSize + id;
      present[at] = 1;
      error[at] = signed ? value - right : Math.abs(value - right);
    });
  });
  for (const n of digits) weights[n] = weight / digits.length;
  return {
    shape,
    feeds: {
      digit_choice: int64([choice.length], choice),
      digit_present: bool([answers, choices], present),
      digit_error: float32([answers, choices], error),
      digit_weight: float32([answers], weights),
    },
  };
}
