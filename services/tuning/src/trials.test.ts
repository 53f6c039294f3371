import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Unavailable } from '@emotune/base';
import { parseConfig } from '@emotune/models';
import { tuning } from '@emotune/proto';
import { MemoryForecast, parseSettings } from '@emotune/training';
import { describe, expect, it, vi } from 'vitest';
import { patience, testPlatform } from './test-platform.js';
import { experimentSpec, held, usualTrainer } from './testing.js';

const { ExperimentState, TrialKind, TrialState } = tuning;
const platform = await testPlatform();
const { folder, objects, reached, runner, sets, submit, trialsOf } = platform;

describe('trials that go wrong', () => {
  it('are told apart: infeasible at once, crashed after every attempt; the experiment goes on', async () => {
    const codes = [42, 44, 1];
    runner.train = async (context) => {
      const { number } = context.reference;
      if (number < codes.length) return codes[number];
      if (number === 3) {
        const state = TrialState.TRIAL_STATE_INFEASIBLE;
        await context.finish({ state, reason: 'InvalidConfiguration: loraRank is larger than the model' });
        return 43;
      }
      return usualTrainer(context);
    };
    await submit({ name: 'wrong', limits: { maxTrials: 5, maxAttempts: 2 } });
    const experiment = await reached('wrong', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment).toMatchObject({ trialsFailed: 4, trialsSucceeded: 1, bestTrial: 4 });
    expect((await trialsOf('wrong')).map(({ state, attempt, reason }) => [state, attempt, reason])).toEqual([
      [TrialState.TRIAL_STATE_INFEASIBLE, 1, 'OutOfMemory: the trainer ran out of memory'],
      [TrialState.TRIAL_STATE_INFEASIBLE, 1, 'Diverged: the loss is not finite'],
      [TrialState.TRIAL_STATE_FAILED, 2, 'Crashed: exit code 1 (2 attempts)'],
      [TrialState.TRIAL_STATE_INFEASIBLE, 1, 'InvalidConfiguration: loraRank is larger than the model'],
      [TrialState.TRIAL_STATE_SUCCEEDED, 1, ''],
      [TrialState.TRIAL_STATE_SUCCEEDED, 1, ''],
    ]);
  });

  it('end the experiment when they are too many, with what happened', async () => {
    runner.train = async () => 1;
    await submit({ name: 'hopeless', limits: { maxFailedTrials: 1, maxAttempts: 1 } });
    expect(await reached('hopeless', ExperimentState.EXPERIMENT_STATE_FAILED)).toMatchObject({
      reason: '2 trials failed, more than limits.maxFailedTrials (1); 2 of 2 with: Crashed: exit code 1',
      trialsTotal: 2,
    });
  });

  it('are tried again when no trainer could be started', async () => {
    runner.failNext = new Unavailable('no trainer can be started: fork failed');
    await submit({ name: 'restarted', limits: { maxTrials: 1 } });
    await reached('restarted', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect((await trialsOf('restarted'))[0].attempt).toBe(2);
  });

  it('a failed evaluation still registers the model and says so', async () => {
    platform.evaluationFailure = 'no test rows';
    await submit({ name: 'unmeasured', limits: { maxTrials: 1 }, seed: 5 });
    const experiment = await reached('unmeasured', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment.reason).toBe(
      `${experiment.modelVersion} is registered without metrics: its evaluation failed: no test rows`,
    );
  });

  it('a final training whose model cannot be loaded fails the experiment', async () => {
    runner.train = async (context) => {
      const { assignment, finish } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_SEARCH) return usualTrainer(context);
      const modelPrefix = `${assignment.outputPrefix}/model`;
      await objects.put(`${modelPrefix}/config.json`, '{"model_type":"gpt2"}');
      await finish({ state: TrialState.TRIAL_STATE_SUCCEEDED, modelPrefix });
      return 0;
    };
    await submit({ name: 'unusable', limits: { maxTrials: 1 } });
    const { reason } = await reached('unusable', ExperimentState.EXPERIMENT_STATE_FAILED);
    expect(reason).toContain('the trained model cannot be used: model_type: expected llama, opt or bloom');
  });
});

describe('trials that go on from each other', () => {
  const checkpoints = async (name: string) =>
    (await objects.list(`trials/${name}/`))
      .map(({ key }) => key)
      .filter((key) => key.includes('/checkpoints/'));

  it('are told from where, and their checkpoints stay as long as others need them', async () => {
    const told: string[] = [];
    runner.train = async (context) => {
      const { assignment, reference } = context;
      const { originPrefix, originTokens, lineageTokens, outputPrefix } = assignment;
      const there = originPrefix === '' || (await objects.exists(`${originPrefix}/step-1/manifest.json`));
      told.push([reference.number, originPrefix, originTokens, lineageTokens, there].join(' '));
      await objects.put(`${outputPrefix}/checkpoints/step-1/manifest.json`, '{}');
      if (reference.number !== 3) return usualTrainer(context);
      const reason = "LostOrigin: there is no checkpoint in the origin's folder";
      await context.finish({ state: TrialState.TRIAL_STATE_FAILED, reason });
      return 1;
    };
    await submit({
      name: 'lineages',
      searchAlgorithm: { name: 'pbt', settings: { population: 2 } },
      limits: { maxTrials: 6, parallelTrials: 2, maxAttempts: 2 },
      training: { trialTokens: 3000 },
    });
    const experiment = await reached('lineages', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const trials = await trialsOf('lineages');
    expect(trials.map(({ state, attempt }) => [state, attempt])).toEqual(
      trials.map(({ number }) =>
        number === 3 ? [TrialState.TRIAL_STATE_FAILED, 2] : [TrialState.TRIAL_STATE_SUCCEEDED, 1],
      ),
    );
    expect(trials[3].reason).toMatch(/^LostOrigin: .*2 attempts/);
    // Its place is the next trial's: lost checkpoints are no fault of the parameters.
    expect(trials.map(({ originTokens }) => originTokens)).toEqual(
      [0, 0, 3000, 3000, 3000, 6000, 9000].map((tokens, i) =>
        i === 6 ? trials[experiment.bestTrial!].originTokens + 3000 : tokens,
      ),
    );
    for (const { number, origin, originTokens, attempt } of trials) {
      const prefix = origin === undefined ? '' : `trials/lineages/${origin}/checkpoints`;
      const line = [number, prefix, originTokens, 9000, true].join(' ');
      expect(told.filter((one) => one === line)).toHaveLength(attempt);
    }
    expect(trials[6]).toMatchObject({ kind: TrialKind.TRIAL_KIND_FINAL, origin: experiment.bestTrial });
    expect(experiment.reason).toBe('');
    const model = await platform.models.call('getModel', { name: experiment.modelVersion });
    expect(model.lineage?.tokens).toBe(trials[6].originTokens + trials[6].tokens);
    await vi.waitFor(async () => expect(await checkpoints('lineages')).toEqual([]), patience);
  });

  it('leave nothing when the experiment is cancelled', async () => {
    runner.train = async (context) => {
      await objects.put(`${context.assignment.outputPrefix}/checkpoints/step-1/manifest.json`, '{}');
      return usualTrainer(context);
    };
    const then = held();
    const first = runner.train;
    runner.train = (context) => (context.reference.number < 2 ? first(context) : then.train(context));
    await submit({
      name: 'cut',
      searchAlgorithm: { name: 'pbt', settings: { population: 2 } },
      limits: { maxTrials: 4 },
      training: { trialTokens: 3000 },
    });
    await vi.waitFor(() => expect(then.waiting).toHaveLength(1), patience);
    expect(await checkpoints('cut')).toHaveLength(2);
    await platform.experiments.call('cancelExperiment', { name: 'cut' });
    await vi.waitFor(async () => expect(await checkpoints('cut')).toEqual([]), patience);
  });
});

describe('the memory of trials', () => {
  const numbers = (name: string, min: number, max: number) => ({
    name,
    integer: { min, max, log: true, step: 0 },
    condition: undefined,
    default: undefined,
  });
  const split = {
    rows: 100,
    tokens: 2400,
    answerTokens: 300,
    longest: 30,
    cut: 0,
    files: [],
    rowsByTask: {},
    rowsByDerivation: {},
    labels: [],
  };
  const splits = ['train', 'validation'].map((name) => ({ split: name, ...split }));
  const spec = (name: string, memoryLimitMib: number) => ({
    name,
    features: 'measured-rows',
    limits: { maxTrials: 16, parallelTrials: 3 },
    parameters: [...experimentSpec().parameters, numbers('batchTokens', 1024, 262_144)],
    training: { memoryLimitMib },
  });
  const limit = 240;
  const config = async () => parseConfig(JSON.parse(await readFile(join(folder, 'opt/config.json'), 'utf8')));

  it('is kept to by what is suggested, as far as the plan of their training tells', async () => {
    sets.set('measured-rows', {
      ...sets.get('demo'),
      name: 'measured-rows',
      tokenized: [{ tokenizer: platform.tokenizer, baseModels: [], prefix: 'features/demo/f1/t', splits }],
    });
    const limits: number[] = [];
    runner.train = (context) => {
      limits.push(context.assignment.training?.memoryLimitMib ?? 0);
      return usualTrainer(context);
    };
    const forecast = new MemoryForecast(await config(), { longest: 30, answerShare: 0.125 });
    const tooLarge = async (name: string) => {
      await reached(name, ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
      return (await trialsOf(name)).filter(({ parameters }) => {
        const settings = parseSettings({ batchTokens: parameters['batchTokens'] });
        return forecast.shortage(settings, limit * 2 ** 20) !== undefined;
      });
    };
    await submit(spec('roomy-memory', 0));
    await submit(spec('tight-memory', limit));
    expect((await tooLarge('roomy-memory')).length).toBeGreaterThan(2);
    expect(await tooLarge('tight-memory')).toEqual([]);
    expect(new Set(limits)).toEqual(new Set([0, limit]));
    const { insights } = platform;
    const { suggestion } = await insights.call('explainTrial', { experiment: 'tight-memory', number: 14 });
    expect(suggestion?.reproduced).toBe(true);
  });

  it('is refused where nothing fits: at once, or when the rows are known', async () => {
    const refused =
      /training\.memoryLimitMib: expected at least \d+, which the smallest .*, got 100: the run would/;
    await expect(submit(spec('no-memory', 100))).rejects.toThrow(refused);
    await expect(
      platform.experiments.call('estimateExperiment', { spec: experimentSpec(spec('no-memory', 100)) }),
    ).rejects.toThrow(refused);
    await expect(submit({ ...spec('no-memory', 100), features: 'later-rows' })).rejects.toThrow(refused);
    const large = [...experimentSpec().parameters, numbers('batchTokens', 131_072, 262_144)];
    await submit({ ...spec('small-memory', limit), features: 'later-rows', parameters: large });
    sets.set('later-rows', { ...sets.get('measured-rows'), name: 'later-rows' });
    const { reason } = await reached('small-memory', ExperimentState.EXPERIMENT_STATE_FAILED);
    expect(reason).toMatch(/^its features failed: training\.memoryLimitMib: expected at least \d+, /);
    expect(await trialsOf('small-memory')).toEqual([]);
  });
});
