/** The main job: data, features, search, final training, evaluation and analyses on this machine, through the services. */
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Internal, Unavailable } from '@emotune/base';
import { type Progress, untilEnded } from '@emotune/cli/command';
import { experimentEnded, stageOf } from '@emotune/cli/format';
import {
  common,
  type data,
  type evaluation,
  type featurization,
  type inference,
  tuning,
} from '@emotune/proto';
import { type Channel, type Client, downloadFolder, everyPage } from '@emotune/service/client';
import { baseModels } from '../base-models.js';
import { type Budget, type StartPlan, startPlan } from './plan.js';
import type { StartResult } from './summary.js';

export interface StartOptions {
  /** auto: real corpora where they can be had, else demonstration data. */
  readonly corpora: 'auto' | 'demo' | 'given';
  readonly budget: Budget;
  readonly seed: number;
  readonly dataDir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const { BuildState } = common;
const { EXPERIMENT_STATE_FINALIZING, EXPERIMENT_STATE_SUCCEEDED } = tuning.ExperimentState;

/** Shown at the end; written for this. */
const sentences = [
  "I can't believe they cancelled the show. Absolutely gutted.",
  'What a wonderful surprise, thank you so much!',
  'The delivery was late and the box arrived torn.',
  'Walking home alone last night, I heard footsteps behind me.',
];

class Job {
  private readonly datasets: Client<data.DatasetServiceClient>;
  private readonly features: Client<featurization.FeatureServiceClient>;
  private readonly experiments: Client<tuning.ExperimentServiceClient>;
  private readonly models: Client<tuning.ModelServiceClient>;
  private readonly evaluations: Client<evaluation.EvaluationServiceClient>;
  private readonly analyses: Client<inference.AnalysisServiceClient>;
  private readonly seconds: { phase: string; seconds: number }[] = [];

  constructor(
    private readonly channel: Channel,
    private readonly options: StartOptions,
  ) {
    this.datasets = channel.client('DatasetService');
    this.features = channel.client('FeatureService');
    this.experiments = channel.client('ExperimentService');
    this.models = channel.client('ModelService');
    this.evaluations = channel.client('EvaluationService');
    this.analyses = channel.client('AnalysisService');
  }

  private async timed<T>(phase: string, work: () => Promise<T>): Promise<T> {
    const before = performance.now();
    try {
      return await work();
    } finally {
      this.seconds.push({ phase, seconds: (performance.now() - before) / 1000 });
    }
  }

  /** What was asked for a first time waits to be built. */
  private tellKept(what: string, state: common.BuildState): void {
    if (state !== BuildState.BUILD_STATE_PENDING)
      this.options.progress.line(`going on with the ${what} of an earlier run`);
  }

  private plan(real: boolean): StartPlan {
    const { budget, seed } = this.options;
    return startPlan({ real, budget, seed, baseModels, processors: availableParallelism() });
  }

  private async dataset(plan: StartPlan): Promise<data.Dataset> {
    const { name } = plan.dataset;
    const { state } = await this.datasets.call('createDataset', { spec: plan.dataset });
    this.tellKept('data', state);
    return untilEnded(
      this.options,
      () => 'data',
      () => this.datasets.call('getDataset', { name }),
    );
  }

  /** Real corpora, or demonstration data where they cannot be had. */
  private async data(): Promise<{ plan: StartPlan; dataset: data.Dataset }> {
    const { corpora, progress } = this.options;
    if (corpora !== 'demo') {
      const plan = this.plan(true);
      const dataset = await this.dataset(plan);
      if (dataset.state === BuildState.BUILD_STATE_READY) return { plan, dataset };
      if (corpora === 'given') throw new Unavailable(dataset.failure);
      progress.line(`real corpora cannot be had: ${dataset.failure}`);
      progress.line(
        'going on with the bundled demonstration data: its scores say nothing about quality on real text. ' +
          'Name a folder of corpora by EMOTUNE_CORPORA or --corpora DIR.',
      );
    }
    const plan = this.plan(false);
    const dataset = await this.dataset(plan);
    if (dataset.state !== BuildState.BUILD_STATE_READY) throw new Internal(dataset.failure);
    return { plan, dataset };
  }

  private async featureSet(plan: StartPlan): Promise<featurization.FeatureSet> {
    const { name } = plan.features;
    const { state } = await this.features.call('createFeatureSet', { spec: plan.features });
    this.tellKept('features', state);
    const found = await untilEnded(
      this.options,
      () => 'features',
      () => this.features.call('getFeatureSet', { name }),
    );
    if (found.state !== BuildState.BUILD_STATE_READY) throw new Internal(found.failure);
    return found;
  }

  /** The run to go on with, if one was interrupted, else a new one. */
  private async experiment(plan: StartPlan): Promise<string> {
    const { progress } = this.options;
    const known = await everyPage(
      (pageToken) => this.experiments.call('listExperiments', { pageToken }),
      (page) => page.experiments,
    );
    let number = 1;
    for (const { name, state } of known) {
      if (!name.startsWith(`${plan.runPrefix}-`)) continue;
      if (!experimentEnded(state)) {
        progress.line(`going on with ${name}, which was interrupted`);
        return name;
      }
      number = Math.max(number, Number(name.slice(plan.runPrefix.length + 1)) + 1);
    }
    const name = `${plan.runPrefix}-${number}`;
    await this.experiments.call('createExperiment', { spec: { ...plan.experiment, name }, requestId: name });
    return name;
  }

  private async search(
    plan: StartPlan,
    features: featurization.FeatureSet,
  ): Promise<{ experiment: tuning.Experiment; untuned: string }> {
    const { progress, signal } = this.options;
    const name = await this.experiment(plan);
    let latest = await this.experiments.call('getExperiment', { name });
    const before = performance.now();
    let searched: number | undefined;
    let untuned: string | undefined;
    let final: tuning.Trial | undefined;
    for await (const { experiment, trials } of this.experiments.stream(
      'watchExperiment',
      { name },
      { signal },
    )) {
      latest = experiment ?? latest;
      for (const trial of trials) showTrial(trial, progress);
      final = trials.find(({ kind }) => kind === tuning.TrialKind.TRIAL_KIND_FINAL) ?? final;
      if (latest.state === EXPERIMENT_STATE_FINALIZING || latest.state === EXPERIMENT_STATE_SUCCEEDED) {
        searched ??= (performance.now() - before) / 1000;
        untuned ??= await this.askUntuned(await this.architecture(latest), features);
      }
      const { phase, done, total, unit, detail } = stageOf(latest, final);
      progress.update(phase, done, total, unit, detail);
    }
    progress.end();
    const whole = (performance.now() - before) / 1000;
    this.seconds.push({ phase: 'search', seconds: searched ?? whole });
    this.seconds.push({ phase: 'final training and its evaluation', seconds: whole - (searched ?? whole) });
    if (latest.state !== EXPERIMENT_STATE_SUCCEEDED || untuned === undefined)
      throw new Internal(`experiment ${name} ended without a model: ${latest.reason}`);
    return { experiment: latest, untuned };
  }

  /** The architecture of the best trial. */
  private async architecture({ name, bestTrial }: tuning.Experiment): Promise<string> {
    const trials = await this.trials(name);
    return String(trials.find(({ number }) => number === bestTrial)?.parameters['architecture'] ?? '');
  }

  private trials(experiment: string): Promise<tuning.Trial[]> {
    return everyPage(
      (pageToken) =>
        this.experiments.call('listTrials', { experiment, pageToken, withoutMeasurements: true }),
      (page) => page.trials,
    );
  }

  private async evaluation(id: string): Promise<evaluation.Evaluation> {
    const found = await untilEnded(
      this.options,
      () => 'evaluation',
      () => this.evaluations.call('getEvaluation', { id }),
    );
    if (found.state !== BuildState.BUILD_STATE_READY) throw new Internal(found.failure);
    return found;
  }

  /** Asks for the evaluation of the untuned winner: before the tuned one, whose report then shows both. */
  private async askUntuned(architecture: string, features: featurization.FeatureSet): Promise<string> {
    const base = baseModels.find((choice) => choice.architecture === architecture) ?? baseModels[0];
    const { name, version } = await this.models.call('getModel', { name: base.model });
    const { id } = await this.evaluations.call('evaluate', {
      model: `${name}@${version}`,
      dataset: { features: features.name, split: 'test' },
      requestId: `untuned ${name}@${version} ${features.version}`,
    });
    return id;
  }

  private async tuned(model: string): Promise<evaluation.Evaluation> {
    const { evaluations } = await this.evaluations.call('listEvaluations', { model });
    const [newest] = evaluations;
    if (!newest) throw new Internal(`${model} was registered without an evaluation`);
    return this.evaluation(newest.id);
  }

  /** A plain folder with the model and its report, for people and other programs. */
  private async export(model: tuning.Model, { artifacts }: evaluation.Evaluation): Promise<string> {
    const { dataDir, signal } = this.options;
    const directory = join(dataDir, 'models', `${model.name}-${model.version}`);
    // What an interrupted run left is written anew.
    await rm(directory, { recursive: true, force: true });
    const list = async () => {
      const request = { name: `${model.name}@${model.version}`, format: 'safetensors' };
      const { files } = await this.models.call('exportModel', request);
      return [...files, ...artifacts.filter(({ path }) => path === 'report.html')];
    };
    await downloadFolder(this.channel, list, { folder: directory, field: '--data-dir' }, { signal });
    return directory;
  }

  async run(): Promise<StartResult> {
    const { plan, dataset } = await this.timed('data', () => this.data());
    const features = await this.timed('features', () => this.featureSet(plan));
    const { experiment, untuned: untunedId } = await this.search(plan, features);
    const trials = await this.trials(experiment.name);
    const model = await this.models.call('getModel', { name: experiment.modelVersion });
    const untuned = await this.evaluation(untunedId);
    const tuned = await this.tuned(experiment.modelVersion);
    const directory = await this.export(model, tuned);
    const { analyses } = await this.timed('analyses', () =>
      this.analyses.call('analyzeBatch', {
        requests: sentences.map((text) => ({ text, model: experiment.modelVersion })),
      }),
    );
    return {
      dataset,
      features,
      experiment,
      trials,
      model,
      tuned,
      untuned,
      directory,
      analyses,
      seconds: this.seconds,
    };
  }
}

/** A line when a trial ends. */
function showTrial(trial: tuning.Trial, progress: Progress): void {
  const { TRIAL_STATE_QUEUED, TRIAL_STATE_RUNNING } = tuning.TrialState;
  if (trial.state === TRIAL_STATE_QUEUED || trial.state === TRIAL_STATE_RUNNING) return;
  const what = trial.kind === tuning.TrialKind.TRIAL_KIND_FINAL ? 'final training' : `trial ${trial.number}`;
  const state = trial.state.replace('TRIAL_STATE_', '').toLowerCase();
  const objective = trial.objective === undefined ? '' : `, answer NLL ${trial.objective.toFixed(3)}`;
  progress.line(`${what} ${state}${objective}${trial.reason ? ` (${trial.reason})` : ''}`);
}

/** @throws Unavailable when a named folder lacks a corpus; the signal's reason when it aborts: call again to go on. */
export function start(channel: Channel, options: StartOptions): Promise<StartResult> {
  return new Job(channel, options).run();
}
