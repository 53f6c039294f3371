/**
 * Mixup (Zhang et al. 2018) of token embeddings: λ·e₁ + (1 − λ)·e₂ with the loss λ·L(answer₁) + (1 − λ)·L(answer₂), λ ~ Beta(α, α)
 * for each row. Partners are rows of one task with answers of equal length, aligned where the answers begin, so that every
 * mixed position has one label of each; tokens without a counterpart stay as they are. One run.
 */
import type { Rng } from '@emotune/base';
import { float32, type HostTensor, int64 } from '@emotune/engine';
import { z } from 'zod';
import type { Batch, Feeds } from '../batches.js';
import type { Perturbation } from './method.js';
import { symmetricBeta } from './stream.js';

export const mixupSettings = z.strictObject({
  name: z.literal('mixup'),
  alpha: z
    .number()
    .positive()
    .max(16)
    .default(0.2)
    .meta({ description: 'the α of Beta(α, α), from which shares are drawn' }),
});

export interface Mix {
  /** For each row its partner; itself where there is no other. */
  readonly partner: readonly number[];
  /** For each row its own share, λ. */
  readonly share: readonly number[];
}

/** Partners within each task and length of answer: the next row in a random order. */
export function drawMix({ rows }: Batch, alpha: number, rng: Rng): Mix {
  const groups = Map.groupBy(rows.keys(), (r) =>
    JSON.stringify([rows[r].task, rows[r].tokens.length - rows[r].answerStart]),
  );
  const partner = rows.map((_, r) => r);
  const share = rows.map(() => 1);
  for (const group of groups.values()) {
    if (group.length < 2) continue;
    const order = rng.shuffle(group);
    order.forEach((r, i) => {
      partner[r] = order[(i + 1) % order.length];
      share[r] = symmetricBeta(rng, alpha);
    });
  }
  return { partner, share };
}

/** The feeds of the mixed batch. */
export function mixedFeeds(
  { rows, starts, batch, sequence }: Batch,
  { feeds, rowOfAnswer }: Feeds,
  { partner, share }: Mix,
): Record<string, HostTensor> {
  const index = Array.from({ length: batch * sequence }, (_, at) => at);
  const own = new Float32Array(batch * sequence).fill(1);
  rows.forEach((row, r) => {
    const other = rows[partner[r]];
    const shift = other.answerStart - row.answerStart;
    for (let t = Math.max(0, -shift); t < row.tokens.length && t + shift < other.tokens.length; t++) {
      index[starts[r] + t] = starts[partner[r]] + t + shift;
      own[starts[r] + t] = share[r];
    }
  });
  const target = feeds['answer_target'].data as BigInt64Array;
  const weight = feeds['answer_weight'].data as Float32Array;
  const first = rows.map((_, r) => rowOfAnswer.indexOf(r));
  const mixedTarget = target.slice();
  const ownWeight = weight.slice();
  const otherWeight = new Float32Array(weight.length);
  rowOfAnswer.forEach((r, n) => {
    mixedTarget[n] = target[first[partner[r]] + n - first[r]];
    ownWeight[n] = share[r] * weight[n];
    otherWeight[n] = (1 - share[r]) * weight[n];
  });
  return {
    mix_index: int64([index.length], index),
    mix_share: float32([own.length, 1], own),
    mix_target: { ...feeds['answer_target'], data: mixedTarget },
    answer_weight: float32([ownWeight.length], ownWeight),
    mix_weight: float32([otherWeight.length], otherWeight),
  };
}

export const mixup: Perturbation<z.output<typeof mixupSettings>> = {
  needs: { mixup: true },
  async pass(pass, { alpha }) {
    const mix = drawMix(pass.batch, alpha, pass.random('mixup'));
    return (await pass.learn({ feeds: mixedFeeds(pass.batch, pass.feeds, mix) })).loss;
  },
};
