import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { NotFound } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { expect, it, vi } from 'vitest';
import { patience, testPlatform } from './test-platform.js';
import { usualTrainer } from './testing.js';

const { ExperimentState, TrialKind, TrialState } = tuning;
const platform = await testPlatform();
const { folder, get, reached, runner, sets, submit, trialsOf } = platform;

it('tells what an experiment taught, and why each trial came to be and ended', async () => {
  const { insights } = platform;
  runner.train = async (context) => {
    const { parameters, kind, totalTokens } = context.assignment;
    const rate = Number(parameters['learningRate'] ?? 1e-3);
    if (kind === TrialKind.TRIAL_KIND_SEARCH && rate > 5e-3) {
      await context.finish({ state: TrialState.TRIAL_STATE_INFEASIBLE, reason: 'Diverged: NaN at step 3' });
      return 44;
    }
    const objective = 1 + (Math.log10(rate) + 3) ** 2;
    const values = { 'objective/joy': objective, 'objective/anger': objective + 1, other: 7 };
    await context.heartbeat({ step: 1, tokens: totalTokens / 4, objective, values });
    return usualTrainer(context);
  };
  const learningRate = {
    name: 'learningRate',
    condition: undefined,
    default: 1e-2,
    double: { min: 1e-5, max: 1e-2, log: true, step: 0 },
  };
  await submit({
    name: 'taught',
    parameters: [learningRate],
    limits: { maxTrials: 14, parallelTrials: 2 },
    training: { trialTokens: 1000 },
  });
  await reached('taught', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  const trials = await trialsOf('taught');
  const searched = trials.filter(({ kind }) => kind === TrialKind.TRIAL_KIND_SEARCH);
  const measured = searched.filter(({ objective }) => objective !== undefined);
  const best = measured.reduce((a, b) => (a.objective! <= b.objective! ? a : b));

  const found = await insights.call('getInsight', { experiment: 'taught' });
  expect(found).toMatchObject({ importanceMissing: '', interactions: [] });
  expect(found.importance).toMatchObject([{ parameter: 'learningRate', trials: measured.length }]);
  expect(found.importance[0].fanova).toBeCloseTo(1, 6);
  expect(found.dependence[0]).toMatchObject({ parameter: 'learningRate', log: true });
  expect(found.history.at(-1)?.best).toBe(best.objective);
  expect(found.slices[0].points.map(({ trial }) => trial)).toEqual(measured.map(({ number }) => number));
  expect(found.parallelCoordinates?.lines.at(-1)?.trial).toBe(best.number);
  expect(found.front?.objectives).toEqual(['anger', 'joy']);
  expect(found.front?.points.filter(({ optimal }) => optimal)).toMatchObject([{ trial: best.number }]);
  expect(found.front?.hypervolume).toBeGreaterThan(0);
  expect(found.best).toMatchObject({ best: best.number, shared: 2, p: 0.25 });

  const explain = (number: number) => insights.call('explainTrial', { experiment: 'taught', number });
  const { SuggestionSource } = tuning;
  const first = await explain(0);
  expect(first.suggestion).toMatchObject({
    source: SuggestionSource.SUGGESTION_SOURCE_DEFAULTS,
    measured: 0,
  });
  expect(first.end).toMatchObject({
    reason: 'Diverged: NaN at step 3',
    measured: measured.length,
    attempts: [{ attempt: 1, outcome: 'infeasible', reason: 'Diverged: NaN at step 3' }],
  });
  const late = await explain(13);
  expect(late.suggestion).toMatchObject({
    source: SuggestionSource.SUGGESTION_SOURCE_SAMPLER,
    reason: expect.stringMatching(
      /^auto, by gp .*: from trials known then \(.* measured.*, the best being trial/,
    ),
    reproduced: true,
  });
  expect(late.end?.rank).toBeGreaterThanOrEqual(1);
  expect(late.end?.behind).toBeGreaterThanOrEqual(0);
  const final = await explain(14);
  expect(final.suggestion).toMatchObject({
    source: SuggestionSource.SUGGESTION_SOURCE_FINAL,
    reason: expect.stringContaining(`trial, ${best.number},`),
  });
  await expect(explain(15)).rejects.toThrow(NotFound);
  await expect(insights.call('getInsight', { experiment: 'nowhere' })).rejects.toThrow(NotFound);
});

it('learns from the trials of another program', async () => {
  const { insights } = platform;
  const trials = Array.from({ length: 12 }, (_, number) => ({
    number,
    parameters: { learningRate: 10 ** (-4.9 + number / 4) },
    state: TrialState.TRIAL_STATE_SUCCEEDED,
    objectives: [{ value: 1 + (number / 4 - 2) ** 2 }],
  }));
  const study = { name: 'elsewhere', goals: [tuning.Goal.GOAL_MINIMIZE], trials };
  const request = { experiment: 'learnt', study, teach: true, requestId: 'import-learnt' };
  const importing = async function* (changes: object = {}) {
    yield { ...request, ...changes };
  };
  // In two pieces.
  const teach = () =>
    platform.experiments.send(
      'importStudy',
      (async function* () {
        yield { ...request, study: { ...study, trials: trials.slice(0, 5) } };
        yield { study: { trials: trials.slice(5) } };
      })(),
    );
  await expect(teach()).rejects.toThrow(NotFound);
  await submit({ name: 'learnt', features: 'later-learnt', limits: { maxTrials: 1 } });
  const learnt = { fitting: 12, taught: 12, enqueued: [], known: [], misfits: [] };
  expect(await teach()).toEqual(learnt);
  expect(await teach()).toEqual(learnt);
  // All or nothing: there is room for one trial.
  await expect(
    platform.experiments.send('importStudy', importing({ best: 2, requestId: 'import-too-much' })),
  ).rejects.toThrow('limits.maxTrials (1)');
  const broken = { ...study, trials: [{ ...trials[0], objectives: [] }] };
  expect(await platform.experiments.send('importStudy', importing({ study: broken, requestId: '' }))).toEqual(
    {
      fitting: 0,
      taught: 0,
      enqueued: [],
      known: [],
      misfits: [{ name: 'objective', problem: 'not measured', leftOut: true, trials: 1, example: 0 }],
    },
  );
  sets.set('later-learnt', { ...sets.get('demo'), name: 'later-learnt' });
  await reached('learnt', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  // Out of start-up at its first trial, and near what was good there.
  const { suggestion } = await insights.call('explainTrial', { experiment: 'learnt', number: 0 });
  expect(suggestion).toMatchObject({ measured: 12, reproduced: true });
  expect(suggestion?.evidence[0].logRatio).toBeGreaterThan(0);
  await expect(platform.experiments.send('importStudy', importing({ requestId: '' }))).rejects.toThrow(
    'its search is over, its sampler has nothing left to learn',
  );
});

it('answers other calls while a thread computes an insight, once for the trials that have ended', async () => {
  const [gate, started, go] = ['gate.mjs', 'started', 'go'].map((name) => join(folder, name));
  await writeFile(
    gate,
    `import { existsSync, writeFileSync } from 'node:fs';
     writeFileSync(${JSON.stringify(started)}, '');
     while (!existsSync(${JSON.stringify(go)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);`,
  );
  platform.threadArguments.push('--import', pathToFileURL(gate).href);
  const { insights } = platform;
  const call = () => insights.call('getInsight', { experiment: 'learnt' });
  const answered: string[] = [];
  const insight = call().then((found) => {
    answered.push('insight');
    return found;
  });
  await vi.waitFor(() => expect(existsSync(started)).toBe(true), patience);
  for (let i = 0; i < 3; i++) {
    await get('learnt');
    answered.push('experiment');
  }
  await writeFile(go, '');
  const found = await insight;
  expect(answered).toEqual(['experiment', 'experiment', 'experiment', 'insight']);
  expect(found).toMatchObject({ history: [{ trial: 0 }], importance: [] });
  expect(found.importanceMissing).toContain('expected at least 4 measured trials');
  // Another thread would wait for ever.
  await rm(go);
  expect(await call()).toEqual(found);
  platform.threadArguments.splice(-2);
});
