import { Rng } from '@emotune/base';
import { evaluate, sizeOf } from '@emotune/graph';
import {
  candidateTree,
  lossGraph,
  type Method,
  modelParameters,
  parseConfig,
  trainGraph,
} from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { feedsOf, type Row } from './batches.js';
import { gridFeeds, withCandidates } from './candidate-rows.js';
import { digitFeeds, ordinalTarget } from './number-answers.js';

/** Tokens 0 to 9 are digits, 10 the point, 11 the end: numbers of which some begin others. */
const candidates = [
  [0, 10, 5, 11],
  [0, 10, 9, 11],
  [1, 11],
  [1, 0, 11],
].map((tokens) => Int32Array.from(tokens));
const choices = {
  candidates,
  values: [0.05, 0.09, 0.1, 1],
  digits: [new Map(Array.from({ length: 10 }, (_, d) => [d, d]))],
};
const row = (prompt: number[], right: number): Row => ({
  id: `r${prompt}`,
  task: 'regression',
  tokens: Int32Array.from([...prompt, ...candidates[right]]),
  answerStart: prompt.length,
  number: { value: choices.values[right], choices },
});
const rows = [row([12, 13, 14], 1), row([15, 12], 3)];
const plain: Row = { id: 'p', task: 'other', tokens: Int32Array.of(16, 3, 11), answerStart: 1 };

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 17,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 12,
  bos_token_id: 1,
  eos_token_id: 11,
  pad_token_id: 0,
});
const full: Method = { name: 'full' };
const weights = Object.fromEntries(
  modelParameters(config).map(({ name, shape }) => {
    const rng = Rng.of('number-answers', name);
    return [name, Float64Array.from({ length: sizeOf(shape) }, () => 0.5 * rng.normal())];
  }),
);
type Feeds = Record<string, ArrayLike<number>>;
const plainFeeds = (feeds: Readonly<Record<string, { data: ArrayLike<number | bigint> }>>): Feeds =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { data }]) => [name, Array.from(data as ArrayLike<number>, Number)]),
  );

/** log p(candidate | prompt), by a row for each. */
function likelihood(prompt: Int32Array, candidate: Int32Array, given: Feeds): number {
  const tokens = Int32Array.from([...prompt, ...candidate]);
  const batch = {
    rows: [{ id: 'c', task: 'c', tokens, answerStart: prompt.length }],
    starts: [0],
    batch: 1,
    sequence: tokens.length,
    answers: candidate.length,
  };
  const { answer_weight: _, ...feeds } = plainFeeds(feedsOf(batch).feeds);
  const { nll } = lossGraph(config, full, batch);
  return -evaluate([nll], { ...given, ...feeds })[0].data.reduce((a, x) => a + x, 0);
}

const softmax = (x: number[]) => {
  const sum = x.reduce((a, v) => a + Math.exp(v), 0);
  return x.map((v) => Math.exp(v) / sum);
};
const distribution = (r: Row, given: Feeds) =>
  softmax(candidates.map((candidate) => likelihood(r.tokens.subarray(0, r.answerStart), candidate, given)));

const extended = withCandidates([...rows, plain], ({ number }) => number?.choices.candidates);
/** Two rows share the first line. */
const batch = { rows: extended, starts: [0, 20, 12], batch: 2, sequence: 20, answers: 12 };

describe('candidates', () => {
  it('are a trie behind the answer, which it does not repeat', () => {
    const tree = candidateTree(candidates, candidates[1]);
    // After 0 and the point of the answer: 5; apart from it: 1, and 0 after that.
    expect(tree.tokens).toEqual([5, 1, 0]);
    expect(tree.parents).toEqual([2, 0, 6]);
    expect(tree.paths.map((path) => path.map((edge) => tree.edges[edge].token))).toEqual(
      candidates.map((candidate) => [...candidate]),
    );
    expect(extended[2]).toBe(plain);
  });

  it('leave the likelihood of the answers as it is', () => {
    const apart = { rows: [...rows, plain], starts: [0, 20, 12], batch: 2, sequence: 20, answers: 12 };
    const nll = (given: typeof batch) => {
      const { answer_weight: _, ...feeds } = plainFeeds(feedsOf(given).feeds);
      return evaluate([lossGraph(config, full, given).nll], { ...weights, ...feeds })[0].data;
    };
    expect([...feedsOf(batch).rowOfAnswer]).toEqual([...feedsOf(apart).rowOfAnswer]);
    nll(batch).forEach((got, i) => {
      if (i < feedsOf(apart).rowOfAnswer.length) expect(got).toBeCloseTo(nll(apart)[i], 10);
    });
  });

  it('have the squared error of the expected value that scoring them one by one gives, and its gradient', () => {
    const rowWeights = [0.3, 0.7, 0];
    const error = (given: Feeds) =>
      rows.reduce((sum, r, i) => {
        const expected = distribution(r, given).reduce((a, p, c) => a + p * choices.values[c], 0);
        return sum + rowWeights[i] * (expected - r.number!.value) ** 2;
      }, 0);
    const grid = gridFeeds(
      batch,
      config.vocabSize,
      ({ number }) => choices.values.map((v) => v - number!.value),
      rowWeights,
    )!;
    const graph = trainGraph(config, full, batch, { grid: { ...grid.shape, loss: 'squaredError' } });
    const feeds = {
      ...weights,
      ...plainFeeds(feedsOf(batch).feeds),
      ...plainFeeds(grid.feeds),
      answer_weight: new Float64Array(12),
    };
    const name = 'model.layers.0.self_attn.k_proj.weight';
    const [loss, gradient] = evaluate([graph['loss'], graph[`grad.${name}`]], feeds).map(({ data }) => data);
    // Values and weights are float32.
    expect(loss[0]).toBeCloseTo(error(weights), 7);
    for (const i of [0, 13, 40, 63]) {
      const at = (by: number) => {
        const moved = weights[name].slice();
        moved[i] += by;
        return error({ ...weights, [name]: moved });
      };
      expect(gradient[i]).toBeCloseTo((at(1e-4) - at(-1e-4)) / 2e-4, 7);
    }
  });

  it('have the cross-entropy against a Gaussian on their values', () => {
    const [p, q] = [ordinalTarget(rows[0].number!, 0.05), ordinalTarget(rows[1].number!, 0.05)];
    expect(p.reduce((a, x) => a + x, 0)).toBeCloseTo(1, 12);
    expect(p[0] / p[1]).toBeCloseTo(Math.exp(-((0.04 / 0.05) ** 2) / 2), 12);
    const grid = gridFeeds(
      batch,
      config.vocabSize,
      ({ number }) => ordinalTarget(number!, 0.05),
      [0.5, 0.5, 0],
    )!;
    const graph = trainGraph(config, full, batch, { grid: { ...grid.shape, loss: 'crossEntropy' } });
    const feeds = { ...plainFeeds(feedsOf(batch).feeds), ...plainFeeds(grid.feeds) };
    const [{ data }] = evaluate([graph['loss']], {
      ...weights,
      ...feeds,
      answer_weight: new Float64Array(12),
    });
    const want = [p, q].map((target, i) =>
      distribution(rows[i], weights).reduce((a, x, c) => a - target[c] * Math.log(x), 0),
    );
    expect(data[0]).toBeCloseTo((want[0] + want[1]) / 2, 6);
  });
});

describe('digits', () => {
  it.each([
    { signed: false, squared: false },
    { signed: true, squared: true },
  ])('have an error over the digits alone, a mean over those of the answers: %j', ({ signed, squared }) => {
    const { feeds } = digitFeeds(batch, feedsOf(batch), config.vocabSize, { signed, weight: 0.3 });
    const fed = plainFeeds(feeds);
    // 0.9 has two digits, 10 two; the third row's digit is no number's.
    const weighted = Array.from(fed['digit_weight']).flatMap((w, n) => (w > 0 ? [n] : []));
    expect(weighted).toEqual([0, 2, 4, 5]);
    expect(fed['digit_weight'][0]).toBeCloseTo(0.075, 7);
    const options = { digits: { items: 12, choices: 10, squared } };
    const base = { ...weights, ...plainFeeds(feedsOf(batch).feeds), answer_weight: new Float64Array(12) };
    const graph = trainGraph(config, full, batch, options);
    const [{ data }] = evaluate([graph['loss']], { ...base, ...fed });
    // Each digit in turn as the answer, renormalised over the ten.
    const likelihoods = Array.from({ length: 10 }, (_, d) => {
      const target = Array.from({ length: 12 }, () => d);
      return evaluate([trainGraph(config, full, batch)['nll']], { ...base, answer_target: target })[0].data;
    });
    const gold = [0, 9, 1, 0];
    const want = weighted.map((n, i) => {
      const p = softmax(likelihoods.map((nll) => -nll[n]));
      const error = p.reduce((a, x, d) => a + x * (signed ? d - gold[i] : Math.abs(d - gold[i])), 0);
      return squared ? error ** 2 : error;
    });
    expect(data[0]).toBeCloseTo(0.3 * (want.reduce((a, x) => a + x, 0) / 4), 5);
  });
});
