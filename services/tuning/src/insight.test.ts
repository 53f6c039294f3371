import { tuning } from '@emotune/proto';
import { suggest, type TrialRecord } from '@emotune/search';
import { describe, expect, it } from 'vitest';
import { knownAt, leadOf, suggestionOf } from './insight.js';
import { frontOf } from './insight-parts.js';
import { recordsOf } from './records.js';
import { type Plan, planOf } from './spec.js';
import type { Attempt, Taught, Trial } from './state.js';
import { answerTo } from './suggestions.js';
import { experimentSpec } from './testing.js';

const { SuggestionSource } = tuning;
const plan = planOf(experimentSpec());

function row(number: number, changes: Partial<Trial> = {}): Trial {
  return {
    number,
    kind: 'search',
    state: 'succeeded',
    reason: '',
    enqueued: false,
    parameters: { learningRate: 10 ** (-5 + number / 10) },
    objective: 10 - number,
    step: 4,
    folds: [],
    tokensPerSecond: 0,
    modelPrefix: '',
    tokens: 8,
    totalTokens: 8,
    bestTokens: 8,
    examples: 4,
    judgedAt: 0,
    judgement: null,
    origin: null,
    originTokens: 0,
    keepsCheckpoint: false,
    createdAt: 1000 * number,
    startedAt: null,
    endedAt: 1000 * number + 1000,
    attempts: [],
    ...changes,
  };
}

const seen = (of: Plan, trials: readonly Trial[], history: readonly Taught[] = []) => ({
  plan: of,
  trials,
  history,
});

const explained = (experiment: ReturnType<typeof seen>, trial: Trial) =>
  suggestionOf(experiment, trial, (history) =>
    answerTo({ plan: experiment.plan, bases: [], rows: undefined, history, trialNumber: trial.number }),
  );

describe('a suggestion', () => {
  it('is explained by what had ended when it was made', async () => {
    const rows = [
      row(0, { endedAt: 2500 }),
      row(1, { state: 'infeasible', objective: null, reason: 'OutOfMemory: 3 GiB' }),
      row(2, { state: 'cancelled', objective: null }),
      row(3, { createdAt: 2500 }),
      row(4),
    ];
    expect(knownAt(rows[2], rows).map(({ state }) => state)).toEqual(['running', 'infeasible']);
    // What ended at the same moment was known.
    expect(knownAt(rows[3], rows).map(({ number, state }) => [number, state])).toEqual([
      [0, 'succeeded'],
      [1, 'infeasible'],
      [2, 'running'],
    ]);
    expect(await explained(seen(plan, rows), rows[3])).toMatchObject({
      source: SuggestionSource.SUGGESTION_SOURCE_SAMPLER,
      reproduced: false,
      measured: 1,
      infeasible: 1,
      running: 1,
      bestTrial: 0,
      reason: 'auto: 10 trials are drawn at random first, and 2 had ended',
      evidence: [{ parameter: 'learningRate', bestValue: rows[0].parameters['learningRate'] }],
    });
  });

  it('is made again from the record', async () => {
    const before = Array.from({ length: 20 }, (_, number) => row(number));
    const created = 50_000;
    const known = knownAt(row(20, { createdAt: created }), before);
    const parameters = suggest(plan.algorithm, plan.space, known, { seed: 1, trialNumber: 20 });
    const made = row(20, { createdAt: created, parameters });
    const found = await explained(seen(plan, [...before, made]), made);
    expect(found).toMatchObject({ reproduced: true, measured: 20, bestTrial: 19 });
    expect(found.evidence[0].logRatio).toBeGreaterThan(0);
    expect(found.reason).toMatch(
      /^auto, by gp \(a process costs little beside a trial\): from trials known then \(20 measured\), the best being trial 19 with -9; strongest for learningRate: good trials lie [\d.]+ times as dense/,
    );
  });

  it('is made again from what the sampler had been taught by then', async () => {
    const taught = Array.from({ length: 30 }, (_, i) => ({
      number: i - 30,
      state: 'succeeded' as const,
      objective: i % 7,
      parameters: { learningRate: 10 ** (-5 + i / 10) },
      ...(i < 10 ? { taughtAt: 2000 } : {}),
    }));
    const at = (number: number, known: readonly TrialRecord[]) =>
      row(number, {
        parameters: suggest(plan.algorithm, plan.space, known, { seed: 1, trialNumber: number }),
      });
    const before = at(0, taught.slice(10));
    expect(await explained(seen(plan, [before], taught), before)).toMatchObject({
      measured: 20,
      reproduced: true,
    });
    const after = at(2, [...taught, ...knownAt(row(2), [before])]);
    expect(await explained(seen(plan, [before, after], taught), after)).toMatchObject({
      measured: 31,
      reproduced: true,
    });
  });

  it('is made again with what trials cost', async () => {
    const costly = planOf(experimentSpec({ searchAlgorithm: { name: 'tpe', settings: { costPower: 1 } } }));
    const attempt = (seconds: number): Attempt => ({
      number: 1,
      step: 4,
      checkpoint: '',
      checkpointAsks: 0,
      createdAt: 0,
      leaseUntil: 0,
      begunAt: 0,
      outcome: 'succeeded',
      reason: '',
      endedAt: 1000 * seconds,
    });
    const before = Array.from({ length: 20 }, (_, n) => row(n, { attempts: [attempt((1 + n) ** 3)] }));
    const records = recordsOf(before);
    const parameters = suggest(costly.algorithm, costly.space, records, { seed: 1, trialNumber: 20 });
    const free = before.map((trial) => ({ ...trial, attempts: [] }));
    const made = row(20, { createdAt: 50_000, parameters });
    expect((await explained(seen(costly, [...before, made]), made)).reproduced).toBe(true);
    expect((await explained(seen(costly, [...free, made]), made)).reproduced).toBe(false);
  });

  it('of a person, of the defaults and of the winner is said to be so', async () => {
    const rows = [row(0, { enqueued: true }), row(1), row(2, { kind: 'final' })];
    const given = await explained(seen(plan, rows), rows[0]);
    expect(given.source).toBe(SuggestionSource.SUGGESTION_SOURCE_ENQUEUED);
    expect(given.reproduced).toBeUndefined();
    expect(await explained(seen(plan, rows), rows[2])).toMatchObject({
      source: SuggestionSource.SUGGESTION_SOURCE_FINAL,
      reason: 'the parameters of the best trial, 1, trained on train + validation',
    });
    const [learningRate] = experimentSpec().parameters;
    const withDefault = planOf(experimentSpec({ parameters: [{ ...learningRate, default: 1e-3 }] }));
    const first = row(1, { parameters: { learningRate: 1e-3 } });
    expect(await explained(seen(withDefault, [rows[0], first]), first)).toMatchObject({
      source: SuggestionSource.SUGGESTION_SOURCE_DEFAULTS,
    });
  });
});

it('the lead is over folds, or over subtasks where trials have none', async () => {
  const fold = (objective: number) => ({
    objective,
    bestTokens: 1,
    step: 1,
    tokens: 1,
    examples: 1,
    elapsedSeconds: 1,
  });
  const ranked = [row(4, { folds: [1, 2, 3].map(fold) }), row(2, { folds: [1.5, 3, 4.5].map(fold) }), row(3)];
  const subtasks = [
    { number: 3, scores: { joy: 1 } },
    { number: 2, scores: { joy: 0.5 } },
  ];
  expect(leadOf(ranked, subtasks, true)).toEqual({
    best: 4,
    runnerUp: 2,
    difference: 1,
    shared: 3,
    p: 0.125,
    over: 'folds',
  });
  expect(leadOf(ranked, subtasks, false)).toMatchObject({ best: 2, runnerUp: 3, over: 'subtasks' });
  expect(leadOf([row(1)], [], true)).toBeUndefined();
});

it('fronts are over the subtasks that every trial was measured on', async () => {
  const scores = [
    { number: 0, scores: { joy: 1, anger: 4, fear: 1 } },
    { number: 2, scores: { joy: 2, anger: 2 } },
    { number: 5, scores: { joy: 3, anger: 3 } },
  ];
  const front = frontOf(scores);
  expect(front).toMatchObject({
    objectives: ['anger', 'joy'],
    points: [
      { trial: 0, values: [4, 1], optimal: true },
      { trial: 2, values: [2, 2], optimal: true },
      { trial: 5, values: [3, 3], optimal: false },
    ],
  });
  expect(front?.reference[0]).toBeCloseTo(4.4, 12);
  // The part of 4.4 × 3.3 beyond each: (4.4 − 4)(3.3 − 1) + (4 − 2)(3.3 − 2).
  expect(front?.hypervolume).toBeCloseTo(0.4 * 2.3 + 2 * 1.3, 10);
  expect(frontOf([])).toBeUndefined();
  expect(frontOf([{ number: 0, scores: {} }])).toBeUndefined();
});
