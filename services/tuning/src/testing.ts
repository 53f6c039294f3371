/** What tests of this service need: specs, tiny checkpoints, feature sets, and a runner whose trainers are functions. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endingExitCodes, NotFound, ResourceExhausted, systemClock, Unavailable } from '@emotune/base';
import {
  type JobSpec,
  type JobStatus,
  type LogOptions,
  type LogPiece,
  readEnvironment,
  type TrialRunner,
} from '@emotune/jobs';
import { type Family, initialTensors, parseConfig, saveModel } from '@emotune/models';
import type { ObjectStore } from '@emotune/objects';
import { common, featurization, type PlainValue, tuning } from '@emotune/proto';
import { Channel, type Client } from '@emotune/service';
import { Tokenizer, trainBpe } from '@emotune/text';
import { Controller, type DynamicModule, Module } from '@nestjs/common';
import type { Features } from './state.js';

type Changes = Partial<
  Omit<
    tuning.ExperimentSpec,
    'limits' | 'training' | 'objective' | 'searchAlgorithm' | 'earlyStopping' | 'cost'
  >
> & {
  limits?: Partial<tuning.Limits>;
  /** Settings stand beside the other fields, as users write them. */
  training?: Partial<Omit<tuning.TrainingSpec, 'settings'>> & Readonly<Record<string, PlainValue>>;
  objective?: Partial<tuning.Objective>;
  searchAlgorithm?: Partial<tuning.SearchAlgorithm>;
  earlyStopping?: Partial<tuning.EarlyStopping>;
  cost?: Partial<tuning.Cost>;
};

/** Of a base model that may be trained on any machine. */
export const anywhere = { nodeSelector: {}, tolerations: [], priorityClass: '', gpus: 0, gpuResource: '' };

export function experimentSpec({ training = {}, ...changes }: Changes = {}): tuning.ExperimentSpec {
  const {
    trialTokens = 0,
    finalScale = 0,
    threads = 0,
    memoryLimitMib = 0,
    folds = 0,
    ...settings
  } = training;
  const { limits, objective, searchAlgorithm, earlyStopping, cost, ...rest } = changes;
  return {
    name: 'run',
    features: 'demo',
    baseModels: [{ architecture: 'opt', model: 'base-opt', ...anywhere }],
    parameters: [
      {
        name: 'learningRate',
        double: { min: 1e-5, max: 1e-2, log: true, step: 0 },
        condition: undefined,
        default: undefined,
      },
    ],
    seed: 1,
    model: '',
    warmStart: [],
    termination: undefined,
    ...rest,
    objective: { metric: '', goal: tuning.Goal.GOAL_UNSPECIFIED, ...objective },
    searchAlgorithm: { name: '', settings: {}, ...searchAlgorithm },
    earlyStopping: { name: '', settings: {}, variant: '', strata: [], compareAll: false, ...earlyStopping },
    cost: { gpusPerTrial: 0, pricePerGpuHour: 0, ...cost },
    limits: {
      maxTrials: 0,
      parallelTrials: 0,
      maxFailedTrials: 0,
      maxDurationSeconds: 0,
      maxAttempts: 0,
      maxTokens: 0,
      maxGpuHours: 0,
      maxCost: 0,
      maxInterruptions: 0,
      maxAttemptSeconds: 0,
      ...limits,
    },
    training: {
      trialTokens,
      finalScale,
      threads,
      memoryLimitMib,
      folds,
      settings,
    },
  };
}

/** Features that were bound. */
export const boundFeatures: Features = {
  state: 'ready',
  bound: { version: 'f1', dataset: 'demo', datasetVersion: 'd1', prefixes: {} },
};

const vocabSize = 264;

/** A checkpoint of one tiny layer with a tokenizer, at a folder that does not exist yet. Gives the tokenizer's hash. */
export async function tinyCheckpoint(folder: string, family: Family, seed = 1): Promise<string> {
  const sizes = { num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 32 };
  const config = parseConfig({
    model_type: family,
    vocab_size: vocabSize,
    hidden_size: 8,
    ...(family === 'bloom' ? { n_layer: 1, n_head: 2 } : sizes),
    ...(family === 'opt' ? { ffn_dim: 16 } : {}),
    ...(family === 'llama' ? { intermediate_size: 16 } : {}),
  });
  const json = trainBpe(['a glad cat'], { vocabSize, specialTokens: ['<s>', '</s>'] });
  const tokenizer = `${folder}-tokenizer.json`;
  await writeFile(tokenizer, JSON.stringify(json));
  await saveModel(folder, { config, tensors: initialTensors(config, seed) }, { tokenizer });
  await rm(tokenizer);
  return Tokenizer.parse(json).hash;
}

/** A feature service that knows what it is told. */
export function featureSets(known: Map<string, Partial<featurization.FeatureSet>>): DynamicModule {
  @Controller()
  @featurization.FeatureServiceControllerMethods()
  class Features implements featurization.FeatureServiceController {
    createFeatureSet(): never {
      throw new Unavailable('not in this test');
    }
    deleteFeatureSet(): never {
      throw new Unavailable('not in this test');
    }
    getFeatureSet({ name }: featurization.GetFeatureSetRequest): featurization.FeatureSet {
      const set = known.get(name);
      if (!set) throw new NotFound(`no feature set ${name}`);
      return {
        name,
        version: '',
        spec: undefined,
        datasetVersion: '',
        prefix: '',
        failure: '',
        state: common.BuildState.BUILD_STATE_BUILDING,
        progress: undefined,
        tokenized: [],
        createTime: undefined,
        readyTime: undefined,
        ...set,
      };
    }
    listFeatureSets(): featurization.ListFeatureSetsResponse {
      return {
        featureSets: [...known.keys()].map((name) => this.getFeatureSet({ name })),
        nextPageToken: '',
      };
    }
    previewFeatureSet(): never {
      throw new Unavailable('not in this test');
    }
    explainText(): never {
      throw new Unavailable('not in this test');
    }
  }
  @Module({ controllers: [Features] })
  class FeaturesModule {}
  return { module: FeaturesModule };
}

/** What a trainer of a test has at hand. */
export interface TrainerContext {
  readonly assignment: tuning.Assignment;
  readonly reference: tuning.TrialReference;
  readonly trials: Client<tuning.TrialServiceClient>;
  readonly token: string;
  readonly objects: ObjectStore;
  /** Aborts at SIGTERM. */
  readonly signal: AbortSignal;
  /** Adds to its log. */
  write(text: string): void;
  heartbeat(
    measurement: Partial<tuning.Measurement>,
    folds?: readonly tuning.FoldResult[],
  ): Promise<tuning.HeartbeatResponse>;
  finish(report: Partial<tuning.FinishTrialRequest>): Promise<void>;
}

/** Trains; gives its exit code. */
export type Trainer = (context: TrainerContext) => Promise<number>;

interface Job {
  status: JobStatus;
  log: Buffer;
  readonly signal: AbortController;
}

/**
 * Runs trainers as functions of this process that reach the service over gRPC, as their processes would. Outlives the
 * platform unless told that it does not.
 */
export class TestRunner implements TrialRunner {
  /** Every job that was ever started, in order. */
  readonly started: string[] = [];
  /** Thrown by the next start. */
  failNext: Error | undefined;
  private readonly jobs = new Map<string, Job>();
  private readonly listeners = new Set<(status: JobStatus) => void>();

  constructor(
    private readonly objects: ObjectStore,
    public train: Trainer,
  ) {}

  async start(spec: JobSpec): Promise<void> {
    if (this.failNext) {
      const error = this.failNext;
      this.failNext = undefined;
      throw error;
    }
    if (this.jobs.has(spec.name)) return;
    const { name, labels } = spec;
    const job: Job = {
      status: { name, labels, phase: 'running' },
      log: Buffer.alloc(0),
      signal: new AbortController(),
    };
    this.jobs.set(name, job);
    this.started.push(name);
    void this.run(spec, job).then((exitCode) =>
      this.end(name, { phase: exitCode === 0 ? 'succeeded' : 'failed', exitCode }),
    );
  }

  private async run({ environment, token }: JobSpec, job: Job): Promise<number> {
    const { signal } = job.signal;
    const { tuning: address, trial: reference } = readEnvironment(environment);
    const channel = Channel.connect(address);
    const trials = channel.client<tuning.TrialServiceClient>('TrialService');
    // While the platform restarts a trainer waits for it.
    const patiently = async <T>(call: () => Promise<T>): Promise<T> => {
      for (;;) {
        signal.throwIfAborted();
        try {
          return await call();
        } catch (error) {
          const restarts = error instanceof Unavailable || (error as Error).name === 'Internal';
          if (!restarts) throw error;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    };
    try {
      const assignment = await patiently(() => trials.call('getAssignment', { trial: reference }, { token }));
      return await this.train({
        assignment,
        reference,
        trials,
        token,
        objects: this.objects,
        signal,
        write: (text) => {
          job.log = Buffer.concat([job.log, Buffer.from(text)]);
        },
        heartbeat: (measurement, folds = []) =>
          patiently(() =>
            trials.call(
              'heartbeat',
              { trial: reference, measurements: [measurement], folds: [...folds] },
              { token },
            ),
          ),
        finish: async (report) => {
          await patiently(() => trials.call('finishTrial', { trial: reference, ...report }, { token }));
        },
      });
    } catch (error) {
      return signal.aborted || error instanceof ResourceExhausted
        ? endingExitCodes.Interrupted
        : endingExitCodes.Crashed;
    } finally {
      channel.close();
    }
  }

  private end(name: string, end: Pick<JobStatus, 'phase' | 'exitCode' | 'cause'>): void {
    const job = this.jobs.get(name);
    if (job?.status.phase !== 'running') return;
    job.status = { ...job.status, ...end };
    for (const listener of this.listeners) listener(job.status);
  }

  /** As when the machine goes down with everything on it. */
  loseAll(): void {
    for (const [name, job] of this.jobs) {
      job.signal.abort();
      this.end(name, { phase: 'failed', cause: 'NodeLost' });
    }
  }

  async list(): Promise<JobStatus[]> {
    return [...this.jobs.values()].map(({ status }) => status);
  }

  async stop(name: string): Promise<void> {
    this.jobs.get(name)?.signal.abort();
  }

  async *log(name: string, { from = 0, follow = false, signal }: LogOptions = {}): AsyncGenerator<LogPiece> {
    const job = this.jobs.get(name);
    if (!job) throw new NotFound(`no job ${name}`);
    for (let position = from; ; ) {
      const last = !follow || job.status.phase !== 'running';
      const { log } = job;
      if (position < log.length) yield { offset: position, bytes: log.subarray(position) };
      position = Math.max(position, log.length);
      if (last || signal?.aborted) return;
      await systemClock.sleep(10, signal).catch(() => {});
    }
  }

  async remove(name: string): Promise<void> {
    this.jobs.delete(name);
  }

  onChange(listener: (status: JobStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async detach(): Promise<void> {}

  async close(): Promise<void> {
    this.loseAll();
  }
}

/** Trains in three steps; the objective falls to 1 as the learning rate nears 1e-3. The final model is the base's. */
export const usualTrainer: Trainer = async ({ assignment, objects, heartbeat, finish }) => {
  const rate = Number(assignment.parameters['learningRate'] ?? 1e-3);
  const objective = 1 + (Math.log10(rate) + 3) ** 2;
  const total = assignment.totalTokens;
  const state = tuning.TrialState.TRIAL_STATE_SUCCEEDED;
  for (let step = 1; step <= 3; step++) {
    const { directive } = await heartbeat({
      step,
      tokens: (total * step) / 4,
      trainLoss: objective + 1 / step,
      tokensPerSecond: 100,
      ...(step === 3 && assignment.validationSplit !== '' ? { objective } : {}),
    });
    if (directive === tuning.Directive.DIRECTIVE_STOP) return 0;
  }
  const done = { state, step: 4, tokens: total, tokensPerSecond: 100 };
  if (assignment.kind === tuning.TrialKind.TRIAL_KIND_SEARCH) {
    await finish({ ...done, objective, bestTokens: total / 2 });
    return 0;
  }
  const modelPrefix = join(assignment.outputPrefix, 'model');
  await using base = await objects.folder(assignment.baseModelPrefix);
  await objects.putFolder(modelPrefix, base.path, 'config.json');
  await finish({ ...done, modelPrefix });
  return 0;
};

/** A trainer that waits until it is let go, or asked to end; what comes after is another's. */
export function held(then: Trainer = usualTrainer): {
  train: Trainer;
  release: () => void;
  waiting: TrainerContext[];
} {
  const waiting: TrainerContext[] = [];
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    waiting,
    release: () => release(),
    train: async (context) => {
      waiting.push(context);
      const ended = new Promise<number>((resolve) => {
        context.signal.addEventListener('abort', () => resolve(endingExitCodes.Interrupted));
      });
      return Promise.race([ended, released.then(() => then(context))]);
    },
  };
}
