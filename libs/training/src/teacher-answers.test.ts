import { Rng } from '@emotune/base';
import { evaluate, sizeOf } from '@emotune/graph';
import { lossGraph, type Method, modelParameters, parseConfig, trainGraph } from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { type Batch, feedsOf, type Row } from './batches.js';
import { withCandidates } from './candidate-rows.js';
import {
  type Distillation,
  distillationFeeds,
  distillationLosses,
  entropyOf,
  softened,
} from './teacher-answers.js';

/** Of two tokens at most; some begin others, so that the end (11) tells them apart. */
const ended = [
  [3, 11],
  [3, 4, 11],
  [5, 11],
].map((tokens) => Int32Array.from(tokens));
const open = [[3, 4], [6]].map((tokens) => Int32Array.from(tokens));
const [endedChoices, openChoices] = [
  { candidates: ended, ended: true },
  { candidates: open, ended: false },
];
const probabilities = [Float32Array.of(0.6, 0.25, 0.15), Float32Array.of(0.1, 0.9), Float32Array.of(1, 0)];
const answered = (id: string, prompt: number[], answer: number[], teacher?: Row['teacher']): Row => ({
  id,
  task: 't',
  tokens: Int32Array.from([...prompt, ...answer]),
  answerStart: prompt.length,
  ...(teacher ? { teacher } : {}),
});
const rows = [
  answered('gold', [12, 13], [5, 11], { choices: endedChoices, probabilities: probabilities[0], gold: true }),
  answered('open', [14], [6, 11], { choices: openChoices, probabilities: probabilities[1], gold: false }),
  answered('sure', [15, 16, 12], [3, 4, 11], {
    choices: openChoices,
    probabilities: probabilities[2],
    gold: true,
  }),
  answered('untaught', [13], [7, 11]),
];
const laidOut = withCandidates(rows, ({ teacher }) => teacher?.choices.candidates);
/** Rows 0 and 1 share a line. */
const batch: Batch = { rows: laidOut, starts: [0, 8, 16, 32], batch: 3, sequence: 16, answers: 16 };

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
type Feeds = Record<string, ArrayLike<number>>;
const weights: Feeds = Object.fromEntries(
  modelParameters(config).map(({ name, shape }) => {
    const rng = Rng.of('teacher-answers', name);
    return [name, Float64Array.from({ length: sizeOf(shape) }, () => 0.5 * rng.normal())];
  }),
);
const plainFeeds = (feeds: Readonly<Record<string, { data: ArrayLike<number | bigint> }>>): Feeds =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { data }]) => [name, Array.from(data as ArrayLike<number>, Number)]),
  );

/** −log p of each token behind a prompt, by a row that holds nothing else. */
function nlls(prompt: Int32Array, answer: ArrayLike<number>, given: Feeds): number[] {
  const row = answered('one', [...prompt], Array.from(answer));
  const alone = { rows: [row], starts: [0], batch: 1, sequence: row.tokens.length, answers: answer.length };
  const { answer_weight: _, ...feeds } = plainFeeds(feedsOf(alone).feeds);
  return [...evaluate([lossGraph(config, full, alone).nll], { ...given, ...feeds })[0].data];
}

const sum = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((a, b) => a + b, 0);

/** Hinton's loss and the probability that the candidates lack, from each candidate's likelihood alone. */
function againstTeacher({ tokens, answerStart, teacher }: Row, temperature: number, given: Feeds): number {
  const { choices, probabilities: p } = teacher!;
  const scores = choices.candidates.map((c) => -sum(nlls(tokens.subarray(0, answerStart), c, given)));
  const powers = Array.from(p, (x) => x ** (1 / temperature));
  const target = powers.map((x) => x / sum(powers));
  const normaliser = Math.log(sum(scores.map((s) => Math.exp(s / temperature))));
  const crossEntropy = -sum(target.map((t, c) => t * (scores[c] / temperature - normaliser)));
  return temperature ** 2 * crossEntropy - Math.log(sum(scores.map(Math.exp)));
}

/** The loss of each row as docs/distillation.md has it. */
function expected(row: Row, { temperature, goldWeight }: Distillation, given: Feeds): number {
  const { tokens, answerStart, teacher } = row;
  const own = nlls(tokens.subarray(0, answerStart), tokens.subarray(answerStart), given);
  if (!teacher) return sum(own);
  const w = teacher.gold ? goldWeight : 0;
  const end = own[own.length - 1];
  return (
    w * sum(own) +
    (teacher.choices.ended ? 0 : (1 - w) * end) +
    (1 - w) * againstTeacher(row, temperature, given)
  );
}

describe.each([
  { temperature: 1, goldWeight: 0.5 },
  { temperature: 3, goldWeight: 0.2 },
  { temperature: 0.5, goldWeight: 0 },
])('with %j', (distillation) => {
  const given = feedsOf(batch);
  const { grid, answerWeight } = distillationFeeds(batch, given, config.vocabSize, distillation);
  const options = { grid: { ...grid!.shape, loss: { temperature: distillation.temperature } } };
  const feeds = {
    ...weights,
    ...plainFeeds({ ...given.feeds, ...grid!.feeds, answer_weight: answerWeight }),
  };
  const answerTokens = 9;
  const loss = (moved: Feeds) => sum(rows.map((row) => expected(row, distillation, moved))) / answerTokens;

  it('the loss is what the likelihoods of the candidates, one by one, give, and so is its gradient', () => {
    const graph = trainGraph(config, full, batch, options);
    for (const name of ['model.layers.0.self_attn.k_proj.weight', 'model.embed_tokens.weight']) {
      const [value, gradient] = evaluate([graph['loss'], graph[`grad.${name}`]], feeds).map(
        ({ data }) => data,
      );
      // Targets and weights are float32.
      expect(value[0]).toBeCloseTo(loss(weights), 6);
      for (const i of [3, 25, 50]) {
        const at = (by: number) => {
          const moved = Float64Array.from(weights[name]);
          moved[i] += by;
          return loss({ ...weights, [name]: moved });
        };
        expect(gradient[i]).toBeCloseTo((at(1e-4) - at(-1e-4)) / 2e-4, 6);
      }
    }
  });

  it('validation gives each row’s loss less the entropy of its teacher', () => {
    const { answer_weight: _, candidate_weight: __, ...asked } = feeds as Feeds;
    const graph = lossGraph(config, full, batch, options);
    const [nll, candidates] = evaluate([graph['nll'], graph['candidates']], asked).map(({ data }) => data);
    const losses = distillationLosses(batch, given, { nll, candidates }, distillation);
    const { temperature, goldWeight } = distillation;
    rows.forEach((row, r) => {
      const target = row.teacher && softened(row.teacher.probabilities, temperature);
      const own = target ? temperature ** 2 * entropyOf(target) : 0;
      const share = row.teacher?.gold ? 1 - goldWeight : 1;
      expect(losses[r]).toBeCloseTo(expected(row, distillation, weights) - share * own, 6);
    });
  });
});

it('a temperature softens in proportion to p^(1/T), and leaves none for what had none', () => {
  const of = (temperature: number) => [...softened(Float32Array.of(0.64, 0.36, 0), temperature)];
  for (const [i, p] of [0.64, 0.36, 0].entries()) expect(of(1)[i]).toBeCloseTo(p, 7);
  for (const [i, p] of [8 / 14, 6 / 14, 0].entries()) expect(of(2)[i]).toBeCloseTo(p, 7);
  expect(entropyOf(Float64Array.of(0.5, 0.5, 0))).toBeCloseTo(Math.log(2), 12);
  expect(softened(Float32Array.of(1e-40, 1e-42), 1)[0]).toBeGreaterThan(0.9);
});
