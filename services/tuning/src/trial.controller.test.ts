import { Aborted, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { describe, expect, it, vi } from 'vitest';
import { patience, testPlatform } from './test-platform.js';
import { held, usualTrainer } from './testing.js';

const { Directive, ExperimentState, TrialKind, TrialState } = tuning;
const platform = await testPlatform();
const { get, reached, runner, submit, trialsOf } = platform;

describe('trainers', () => {
  it('must show their own token, and own the trial', async () => {
    const { train, release, waiting } = held();
    runner.train = train;
    await submit({ name: 'owned', limits: { maxTrials: 1 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    const [{ reference: trial, token, assignment }] = waiting;
    expect(assignment).toMatchObject({
      kind: TrialKind.TRIAL_KIND_SEARCH,
      architecture: 'opt',
      featuresPrefix: 'features/demo/f1/t',
      trainSplits: ['train'],
      validationSplit: 'validation',
      totalTokens: 100_000,
      leaseSeconds: 30,
      outputPrefix: 'trials/owned/0',
      seed: 1,
      training: { trialTokens: 100_000, settings: { method: 'full' } },
    });
    for (const wrong of ['', 'guess', `${token}x`])
      await expect(platform.trials.call('heartbeat', { trial }, { token: wrong })).rejects.toBeInstanceOf(
        PermissionDenied,
      );
    await expect(
      platform.trials.call('heartbeat', { trial: { ...trial, attempt: 2 } }, { token }),
    ).rejects.toBeInstanceOf(PermissionDenied);
    for (const unknown of [{ number: 9 }, { experiment: 'nobody' }])
      await expect(
        platform.trials.call('heartbeat', { trial: { ...trial, ...unknown } }, { token }),
      ).rejects.toBeInstanceOf(NotFound);
    await expect(
      platform.trials.call('finishTrial', { trial, state: TrialState.TRIAL_STATE_QUEUED }, { token }),
    ).rejects.toBeInstanceOf(InvalidArgument);
    const elsewhere = { trial, state: TrialState.TRIAL_STATE_SUCCEEDED, modelPrefix: 'trials/other/0/model' };
    await expect(platform.trials.call('finishTrial', elsewhere, { token })).rejects.toBeInstanceOf(
      InvalidArgument,
    );

    // A repeated measurement is one measurement, completed by what the repetition adds.
    const measurement = { step: 7, tokens: 50, trainLoss: 2, tokensPerSecond: 10 };
    for (const m of [measurement, measurement, { ...measurement, objective: 1.5 }])
      await platform.trials.call('heartbeat', { trial, measurements: [m] }, { token });
    const [row] = await trialsOf('owned');
    expect(row).toMatchObject({ objective: 1.5, bestTokens: 50, step: 7, tokensPerSecond: 10 });
    expect(row.measurements).toMatchObject([{ step: 7, trainLoss: 2, objective: 1.5 }]);

    // NaN, ±Infinity, 0 and nothing are five things.
    const odd = [Number.NaN, Infinity, -Infinity, 2, undefined].map((objective, i) => ({
      step: 8 + i,
      tokens: 50,
      examples: 5,
      values: { 'objective/a': objective ?? 0 },
      ...(objective === undefined ? {} : { objective }),
    }));
    await platform.trials.call('heartbeat', { trial, measurements: odd }, { token });
    const [{ measurements, objective: best }] = await trialsOf('owned');
    expect(measurements.slice(1).map(({ objective }) => objective)).toEqual(
      odd.map(({ objective }) => objective),
    );
    expect(measurements.slice(1).map(({ values }) => values['objective/a'])).toEqual([
      Number.NaN,
      Infinity,
      -Infinity,
      2,
      0,
    ]);
    expect(best).toBe(1.5);
    const backwards = { trial, measurements: [{ ...measurement, step: 3 }] };
    await expect(platform.trials.call('heartbeat', backwards, { token })).rejects.toBeInstanceOf(
      FailedPrecondition,
    );
    const impossible = { trial, measurements: [{ ...measurement, step: 20, elapsedSeconds: Number.NaN }] };
    await expect(platform.trials.call('heartbeat', impossible, { token })).rejects.toThrow(
      'measurements[0].elapsedSeconds: expected a number of at least 0, got NaN',
    );

    const report = {
      trial,
      state: TrialState.TRIAL_STATE_SUCCEEDED,
      objective: 1.25,
      tokens: 90,
      bestTokens: 60,
    };
    await platform.trials.call('finishTrial', report, { token });
    await platform.trials.call('finishTrial', { ...report, objective: 9 }, { token });
    await expect(platform.trials.call('heartbeat', { trial }, { token })).rejects.toBeInstanceOf(Aborted);
    release();
    await reached('owned', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const trials = await trialsOf('owned');
    expect(trials[0]).toMatchObject({ objective: 1.25, tokens: 90, bestTokens: 60 });
    expect(trials[1]).toMatchObject({ kind: TrialKind.TRIAL_KIND_FINAL, totalTokens: 60 });
  });

  it('are told to stop when the experiment is cancelled, which ends its trials', async () => {
    const { train, waiting } = held();
    runner.train = train;
    await submit({ name: 'cancelled', limits: { parallelTrials: 2 } });
    await platform.experiments.call('enqueueTrial', {
      experiment: 'cancelled',
      parameters: { learningRate: 1e-3 },
    });
    await vi.waitFor(() => expect(waiting).toHaveLength(2), patience);
    const cancelled = await platform.experiments.call('cancelExperiment', { name: 'cancelled' });
    expect(cancelled.state).toBe(ExperimentState.EXPERIMENT_STATE_CANCELLED);
    const [{ reference: trial, token }] = waiting;
    expect(await platform.trials.call('heartbeat', { trial }, { token })).toMatchObject({
      directive: Directive.DIRECTIVE_STOP,
      reason: 'the experiment has ended: cancelled',
    });
    await platform.trials.call('finishTrial', { trial, state: TrialState.TRIAL_STATE_STOPPED }, { token });
    await vi.waitFor(async () => {
      for (const { state } of await trialsOf('cancelled'))
        expect(state).toBe(TrialState.TRIAL_STATE_CANCELLED);
      expect((await runner.list()).filter(({ name }) => name.startsWith('cancelled-'))).toEqual([]);
    }, patience);
    expect((await platform.experiments.call('cancelExperiment', { name: 'cancelled' })).state).toBe(
      ExperimentState.EXPERIMENT_STATE_CANCELLED,
    );
    for (const method of ['pauseExperiment', 'resumeExperiment'] as const)
      await expect(platform.experiments.call(method, { name: 'cancelled' })).rejects.toBeInstanceOf(
        FailedPrecondition,
      );
  });

  it('are stopped by the pruner with its reason, and their best objective counts after whole trials', async () => {
    runner.train = async (context) => {
      const { assignment, reference, heartbeat, finish } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const objective = reference.number === 0 ? 9 : 2;
      for (let step = 1; step <= 4; step++) {
        const { directive } = await heartbeat({ step, tokens: 10 * step, examples: step, objective });
        if (directive !== Directive.DIRECTIVE_STOP) continue;
        await finish({ state: TrialState.TRIAL_STATE_STOPPED, objective, step, tokens: 10 * step });
        return 0;
      }
      await finish({
        state: TrialState.TRIAL_STATE_SUCCEEDED,
        objective,
        step: 4,
        tokens: 40,
        bestTokens: 40,
      });
      return 0;
    };
    await submit({
      name: 'pruned',
      limits: { maxTrials: 2 },
      earlyStopping: { name: 'threshold', settings: { upper: 5, warmUp: 2 } },
    });
    const experiment = await reached('pruned', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment).toMatchObject({ trialsSucceeded: 2, bestTrial: 1, bestObjective: 2 });
    const [stopped, whole] = await trialsOf('pruned');
    expect(stopped).toMatchObject({
      state: TrialState.TRIAL_STATE_STOPPED,
      objective: 9,
      step: 2,
      reason: 'Pruned: threshold: objective 9 at 2 examples: expected at most 5',
    });
    expect(whole).toMatchObject({ state: TrialState.TRIAL_STATE_SUCCEEDED, step: 4 });
    expect(whole.measurements.map(({ examples }) => examples)).toEqual([1, 2, 3, 4]);
  });

  it('train folds one by one, none twice, and are stopped when they lose on the folds of the best', async () => {
    const began: string[] = [];
    const assigned: tuning.Assignment[] = [];
    const losses = (trial: number, fold: number) => 1 + trial + fold / 10;
    runner.train = async (context) => {
      const { assignment, reference, heartbeat, finish } = context;
      assigned.push(assignment);
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const folds = [...assignment.finishedFolds];
      const { number, attempt } = reference;
      for (let fold = folds.length; fold < 4; fold++) {
        began.push(`${number}/${attempt}: ${fold}`);
        const step = 2 * fold + 1;
        await heartbeat({ step, tokens: 100 * step, fold });
        if (number === 0 && attempt === 1 && fold === 2) return 1;
        const objective = losses(number, fold);
        const end = { step: step + 1, tokens: 100 * (step + 1), examples: step + 1, elapsedSeconds: step };
        folds.push({ ...end, objective, bestTokens: 150 + fold });
        const values = { 'objective/joy': objective, 'objective/fear': 2 };
        const { directive } = await heartbeat({ ...end, objective, fold, values }, folds);
        if (directive === Directive.DIRECTIVE_STOP) {
          await finish({ ...end, folds, state: TrialState.TRIAL_STATE_STOPPED });
          return 0;
        }
      }
      await finish({ step: 8, tokens: 800, folds, state: TrialState.TRIAL_STATE_SUCCEEDED });
      return 0;
    };
    await submit({
      name: 'folded',
      limits: { maxTrials: 2 },
      training: { folds: 4, trialTokens: 200 },
      earlyStopping: { name: 'wilcoxon', settings: { pThreshold: 0.3 }, compareAll: true },
    });
    await reached('folded', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(began).toEqual(['0/1: 0', '0/1: 1', '0/1: 2', '0/2: 2', '0/2: 3', '1/1: 0', '1/1: 1']);
    const search = { validationSplit: '', trainSplits: ['train'], totalTokens: 800 };
    // The winner's folds were at their best after 150 to 153 tokens, 151.5 on average.
    expect(assigned).toMatchObject([
      { ...search, finishedFolds: [], training: { folds: 4 } },
      {
        ...search,
        finishedFolds: [
          { step: 2, objective: 1 },
          { step: 4, tokens: 400 },
        ],
      },
      { ...search, finishedFolds: [] },
      { training: { folds: 0 }, validationSplit: '', totalTokens: 152, finishedFolds: [] },
    ]);
    const [whole, stopped] = await trialsOf('folded');
    expect(whole).toMatchObject({
      state: TrialState.TRIAL_STATE_SUCCEEDED,
      attempt: 2,
      tokens: 800,
      bestTokens: 152,
    });
    expect(whole.folds.map(({ objective }) => objective)).toEqual([1, 1.1, 1.2, 1.3]);
    expect(whole.objective).toBeCloseTo(1.15, 12);
    // The sample variance of 1, 1.1, 1.2 and 1.3 is 1/60.
    expect(whole.objectiveError).toBeCloseTo(Math.sqrt(1 / 60 / 4), 12);
    expect(whole.measurements.map(({ step, fold }) => [step, fold])).toEqual(
      [0, 0, 1, 1, 2, 2, 3, 3].map((fold, i) => [i + 1, fold]),
    );
    const reason = 'Pruned: wilcoxon: mean 2.05 over 2 folds against 1.15 of trial 0, p = 0.25 over 2';
    expect(stopped).toMatchObject({ state: TrialState.TRIAL_STATE_STOPPED, reason, tokens: 400 });
    expect(stopped.objective).toBeCloseTo(2.05, 12);
    const { insights } = platform;
    const { best, front } = await insights.call('getInsight', { experiment: 'folded' });
    expect(best).toMatchObject({ best: 0, runnerUp: 1, shared: 2, p: 0.25, over: 'folds' });
    expect(best!.difference).toBeCloseTo(1, 12);
    expect(front!.objectives).toEqual(['fear', 'joy']);
    expect(front!.points.flatMap(({ values }) => values).map((v) => v.toFixed(6))).toEqual(
      [2, 1.15, 2, 2.05].map((v) => v.toFixed(6)),
    );
    const explained = await insights.call('explainTrial', { experiment: 'folded', number: 1 });
    expect(explained.end).toMatchObject({ reason, rank: 2 });
  });

  it('are paused at a rung with their checkpoint, and go on when they are promoted', async () => {
    const rungs = new Map<number, number>();
    runner.train = async (context) => {
      const { assignment, reference, heartbeat, finish, signal } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const { number } = reference;
      const objective = 5 - number;
      for (let step = (rungs.get(number) ?? 0) + 1; step <= 2; step++) {
        const { reason } = await heartbeat({ step, tokens: 10 * step, examples: 5 + 5 * step, objective });
        rungs.set(number, step);
        if (!reason.startsWith('Paused: asha')) continue;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return 75;
      }
      await finish({
        state: TrialState.TRIAL_STATE_SUCCEEDED,
        objective,
        step: 2,
        tokens: 20,
        bestTokens: 20,
      });
      return 0;
    };
    const settings = { minExamples: 10, warmUp: 0, reductionFactor: 2 };
    await submit({
      name: 'halved',
      limits: { maxTrials: 4, parallelTrials: 2 },
      searchAlgorithm: { name: 'random' },
      earlyStopping: { name: 'asha', settings, variant: 'promote', compareAll: true },
    });
    await reached('halved', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const trials = (await trialsOf('halved')).slice(0, 4);
    const { TRIAL_STATE_STOPPED, TRIAL_STATE_SUCCEEDED } = TrialState;
    expect(trials[3]).toMatchObject({ state: TRIAL_STATE_SUCCEEDED, step: 2 });
    expect(trials[0]).toMatchObject({
      state: TRIAL_STATE_STOPPED,
      step: 1,
      reason: 'Pruned: it never was among the best of its rung',
    });
    // Whoever went beyond the rung after a pause did so in another attempt, without training a step twice.
    for (const { attempt, step } of trials) expect(attempt).toBeLessThanOrEqual(step);
    expect(trials.reduce((sum, { measurements }) => sum + measurements.length, 0)).toBe(
      trials.reduce((sum, { step }) => sum + step, 0),
    );
  });

  it('are asked for a checkpoint when the experiment is paused', async () => {
    const { train, release, waiting } = held();
    runner.train = train;
    await submit({ name: 'resting', limits: { maxTrials: 1 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    await platform.experiments.call('pauseExperiment', { name: 'resting' });
    const [{ reference: trial, token }] = waiting;
    const beat = (checkpoint: string) => platform.trials.call('heartbeat', { trial, checkpoint }, { token });
    const { DIRECTIVE_CHECKPOINT, DIRECTIVE_CONTINUE } = Directive;
    expect((await beat('')).directive).toBe(DIRECTIVE_CHECKPOINT);
    expect((await beat('')).directive).toBe(DIRECTIVE_CHECKPOINT);
    expect((await beat('trials/resting/0/checkpoints/step-1')).directive).toBe(DIRECTIVE_CONTINUE);
    await platform.experiments.call('resumeExperiment', { name: 'resting' });
    release();
    await reached('resting', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  });

  it('go on while the experiment is paused; no other starts until it is resumed', async () => {
    const { train, release, waiting } = held();
    runner.train = train;
    await submit({ name: 'paused', limits: { maxTrials: 2 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    await platform.experiments.call('pauseExperiment', { name: 'paused' });
    release();
    await vi.waitFor(async () => {
      expect(await get('paused')).toMatchObject({
        state: ExperimentState.EXPERIMENT_STATE_PAUSED,
        trialsSucceeded: 1,
        trialsTotal: 1,
      });
    }, patience);
    await platform.experiments.call('resumeExperiment', { name: 'paused' });
    expect(await reached('paused', ExperimentState.EXPERIMENT_STATE_SUCCEEDED)).toMatchObject({
      trialsTotal: 2,
    });
  });
});
