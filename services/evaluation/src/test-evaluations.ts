/** The evaluation service over small models and data, with doubles of its peers, for its tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  answerTokens,
  type Example,
  explain,
  labelGold,
  numberGold,
  questionOf,
  questionTokens,
  ratedGold,
  renderAnswer,
  renderPrompt,
  type SourceExample,
} from '@emotune/affect';
import { NotFound, Rng, systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { MemoryBus, topics } from '@emotune/events';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import { EvictingStore } from '@emotune/objects/testing';
import { common, type data, type evaluation, type featurization, tuning } from '@emotune/proto';
import { encodeExamples, encodeShard, type FeatureRow } from '@emotune/records';
import { type Client, Host, jsonLog, type ServiceContext } from '@emotune/service';
import { Tokenizer, trainBpe } from '@emotune/text';
import { Controller, type DynamicModule, Module } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import { afterAll, beforeAll, expect } from 'vitest';
import { evaluationMigrations } from './evaluations.js';
import { evaluationModule } from './module.js';

const { BuildState } = common;
const folder = mkdtempSync(join(tmpdir(), 'emotune-evaluation-'));
export const completed: evaluation.EvaluationCompleted[] = [];
export let objects: EvictingStore;
export let context: ServiceContext;
export let host: Host;
export let evaluations: Client<evaluation.EvaluationServiceClient>;

/** What the doubles of the remote services answer with. */
export const models = new Map<string, tuning.Model>();
const featureSets = new Map<string, featurization.FeatureSet>();
const datasets = new Map<string, data.Dataset>();
const trials: tuning.Trial[] = [];

function known<T>(all: ReadonlyMap<string, T>, name: string): T {
  const found = all.get(name);
  if (!found) throw new NotFound(`expected a resource, got ${name}`);
  return found;
}

@Controller()
class PeerDoubles {
  @GrpcMethod('ModelService', 'getModel')
  getModel({ name }: tuning.GetModelRequest): tuning.Model {
    return known(models, name.split('@')[0]);
  }

  @GrpcMethod('FeatureService', 'getFeatureSet')
  getFeatureSet({ name }: featurization.GetFeatureSetRequest): featurization.FeatureSet {
    return known(featureSets, name);
  }

  @GrpcMethod('DatasetService', 'getDataset')
  getDataset({ name }: data.GetDatasetRequest): data.Dataset {
    return known(datasets, name);
  }

  /** Two pages, so that paging is seen to be followed. */
  @GrpcMethod('ExperimentService', 'listTrials')
  listTrials({ pageToken }: tuning.ListTrialsRequest): tuning.ListTrialsResponse {
    return pageToken === ''
      ? { trials: trials.slice(0, 1), nextPageToken: 'rest' }
      : { trials: trials.slice(1), nextPageToken: '' };
  }

  @GrpcMethod('InsightService', 'getInsight')
  getInsight({ experiment }: tuning.GetInsightRequest): Partial<tuning.Insight> {
    const history = trials
      .filter(({ objective }) => objective !== undefined)
      .map(({ number, objective }) => ({ trial: number, objective: objective!, best: objective }));
    return { experiment, importanceMissing: 'expected at least 4 measured trials', history };
  }

  @GrpcMethod('InsightService', 'explainTrial')
  explainTrial({ number }: tuning.ExplainTrialRequest): unknown {
    const reason = `trial ${number} was drawn at random`;
    return {
      trial: trials.find((t) => t.number === number),
      suggestion: { reason },
      end: { reason: 'done' },
    };
  }
}

@Module({})
class PeersModule {}
const peers: DynamicModule = { module: PeersModule, controllers: [PeerDoubles] };

export const moods = [
  'a grey and tired morning',
  'the best news in years!',
  'nothing much on Tuesday',
  "it isn't fair",
];

/** Three people who differ a little. */
function ratedBy(rng: Rng) {
  const truth = rng.uniform();
  const ratings = [0, 1, 2].map(() => 0.9 * truth + 0.1 * rng.uniform());
  return ratedGold(truth, ratings);
}

/** Examples of all four subtasks, `n` of each. */
function examplesOf(split: 'train' | 'test', n: number): SourceExample[] {
  const rng = Rng.of('examples', split);
  return Array.from({ length: n }, (_, i) => {
    const common = {
      source: i % 2 ? 'letters' : 'notes',
      licence: 'MIT',
      language: 'en',
      text: `${moods[i % 4]}, ${split} ${i}`,
      emotion: null,
      labelSet: [],
      multiLabel: false,
      scale: null,
      split,
    };
    const named = (task: Example['task']) => ({
      id: `${split}-${task}-${i}`,
      originalId: `${i}`,
      task,
    });
    const sentiments = ['negative', 'neutral', 'positive'];
    const emotions = ['anger', 'fear', 'joy'];
    return [
      {
        ...common,
        ...named('sentiment-classification'),
        gold: labelGold([sentiments[i % 3]]),
        labelSet: sentiments,
      },
      {
        ...common,
        ...named('sentiment-regression'),
        gold: numberGold(rng.uniform()),
        scale: { low: -4, high: 4 },
      },
      {
        ...common,
        ...named('emotion-classification'),
        gold: labelGold(i % 4 ? [emotions[i % 3]] : ['anger', 'fear']),
        labelSet: emotions,
        multiLabel: true,
      },
      {
        ...common,
        ...named('emotion-regression'),
        emotion: 'joy',
        gold: ratedBy(rng),
        scale: { low: 0, high: 1 },
      },
    ] as SourceExample[];
  }).flat();
}

function featureRow(example: Example, tokenizer: Tokenizer): FeatureRow {
  const question = questionOf(example, { cues: explain(example.text).cueText, paraphrase: 0 });
  const { tokens } = questionTokens(tokenizer, question, 200);
  const answer = renderAnswer(question, example.gold);
  return {
    id: example.id,
    task: example.task,
    source: example.source,
    language: example.language,
    text: example.text,
    emotion: example.emotion,
    prompt: renderPrompt(question),
    answer,
    tokens: Int32Array.from([...tokens, ...answerTokens(tokenizer, answer)]),
    answerStart: tokens.length,
    gold: example.gold,
    labelSet: example.labelSet,
    multiLabel: example.multiLabel,
    scale: question.scale,
    decimals: question.decimals,
  };
}

export const train = examplesOf('train', 30);
export const test = examplesOf('test', 24);
const tokenizerJson = trainBpe(
  [...train, ...test].map(({ text }) => text),
  { vocabSize: 320, specialTokens: ['<pad>', '</s>'] },
);
const tokenizer = Tokenizer.parse(tokenizerJson);

export function model(name: string, more: Partial<tuning.Model> = {}): tuning.Model {
  return {
    name,
    version: `${name}-v1`,
    kind: tuning.ModelKind.MODEL_KIND_BASE,
    state: tuning.ModelState.MODEL_STATE_REGISTERED,
    family: 'llama',
    parameters: 12_345,
    tokenizer: tokenizer.hash,
    prefix: `models/${name}/v1`,
    basePrefix: '',
    promoted: false,
    lineage: undefined,
    evaluation: '',
    createTime: undefined,
    teaching: undefined,
    source: '',
    licence: '',
    notices: [],
    ...more,
  };
}

const lineage: tuning.Lineage = {
  experiment: 'search-1',
  trial: 2,
  baseModel: 'base',
  baseVersion: 'base-v1',
  dataset: 'letters',
  datasetVersion: 'd1',
  features: 'letters-features',
  featuresVersion: 'f1',
  parameters: { architecture: 'llama' },
  seed: 1,
  tokens: 1000,
  tokensPerSecond: 10,
  codeVersion: '0.1.0',
  sources: [],
  baseLicence: '',
  baseSource: '',
};

async function storeModels(): Promise<void> {
  const path = join(folder, 'tokenizer.json');
  writeFileSync(path, JSON.stringify(tokenizerJson));
  const config = parseConfig({
    model_type: 'llama',
    vocab_size: 320,
    hidden_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 512,
  });
  for (const [name, seed] of [
    ['base', 1],
    ['tuned', 2],
  ] as const) {
    const tensors = initialTensors(config, seed);
    await saveModel(join(folder, name), { config, tensors }, { tokenizer: path });
    await objects.putFolder(`models/${name}/v1`, join(folder, name));
  }
}

async function storeData(): Promise<void> {
  const shards = 'features/letters-features/f1/tokens-a';
  const rows = (examples: readonly Example[]) => encodeShard(examples.map((e) => featureRow(e, tokenizer)));
  await objects.put(`${shards}/train-00000.arrow`, rows(train));
  await objects.put(`${shards}/test-00000.arrow`, rows(test.slice(0, 50)));
  await objects.put(`${shards}/test-00001.arrow`, rows(test.slice(50)));
  await objects.put('datasets/letters/d1/train.parquet', encodeExamples(train));
  await objects.put('datasets/letters/d1/test.parquet', encodeExamples(test));
}

function describeResources(): void {
  models.set('base', model('base'));
  models.set('tuned', model('tuned', { kind: tuning.ModelKind.MODEL_KIND_TUNED, lineage }));
  models.set('broken', model('broken', { prefix: 'models/absent/v1' }));
  models.set('orphan', model('orphan', { prefix: 'models/base/v1' }));
  const spec: featurization.FeatureSetSpec = {
    name: 'letters-features',
    dataset: 'letters',
    baseModels: ['base'],
    withoutCues: false,
    inducedLexicon: false,
    lexicons: [],
    varyScales: false,
    untaughtScales: [],
    maxTokens: 0,
    seed: 0,
    limitTrain: 0,
    limitValidation: 0,
    limitTest: 0,
    augmentations: [],
  };
  const set: featurization.FeatureSet = {
    name: spec.name,
    version: 'f1',
    spec,
    datasetVersion: 'd1',
    state: BuildState.BUILD_STATE_READY,
    failure: '',
    progress: undefined,
    tokenized: [
      {
        tokenizer: tokenizer.hash,
        baseModels: ['base'],
        prefix: 'features/letters-features/f1/tokens-a',
        splits: [],
      },
    ],
    createTime: undefined,
    readyTime: undefined,
    prefix: 'features/letters-features/f1',
  };
  featureSets.set(spec.name, set);
  featureSets.set('unready', { ...set, name: 'unready', state: BuildState.BUILD_STATE_BUILDING });
  datasets.set('letters', {
    name: 'letters',
    version: 'd1',
    spec: undefined,
    state: BuildState.BUILD_STATE_READY,
    failure: '',
    progress: undefined,
    manifest: undefined,
    prefix: 'datasets/letters/d1',
    createTime: undefined,
    readyTime: undefined,
    retryable: false,
  });
  for (const number of [0, 1]) {
    trials.push({
      experiment: 'search-1',
      number,
      kind: tuning.TrialKind.TRIAL_KIND_SEARCH,
      state: tuning.TrialState.TRIAL_STATE_SUCCEEDED,
      reason: '',
      parameters: { architecture: number ? 'opt' : 'llama' },
      attempt: 1,
      objective: 2 - number / 4,
      step: 10,
      tokens: 1000,
      totalTokens: 1000,
      tokensPerSecond: 100,
      bestTokens: 1000,
      gpuHours: 0,
      folds: [],
      originTokens: 0,
      createTime: undefined,
      startTime: undefined,
      endTime: undefined,
      measurements: [1, 2, 3].map((k) => ({
        step: k,
        tokens: 300 * k,
        elapsedSeconds: k,
        trainLoss: 3 / k,
        objective: k === 3 ? 2 - number / 4 : undefined,
        stage: 0,
        learningRate: 0.001,
        tokensPerSecond: 100,
        values: {},
        examples: 0,
      })),
    });
  }
}

let bus: MemoryBus;

export async function start(): Promise<void> {
  bus = new MemoryBus(systemClock);
  await bus.subscribe('test', [topics.evaluationCompleted.name], async (event) => {
    completed.push(topics.evaluationCompleted.decode(event.payload));
  });
  const url = await testDatabaseUrl();
  host = await Host.create({
    database: (schema) => Database.connect(url, schema),
    objects,
    bus,
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
  });
  context = await host.context('evaluation', evaluationMigrations);
  await host.start([
    evaluationModule({
      ...context,
      threads: 1,
      page: { listen: undefined, url: undefined, required: false },
    }),
    peers,
  ]);
  evaluations = host.channel.client('EvaluationService');
}

/** A service of its own for the tests of a file. */
export function withService(): void {
  beforeAll(async () => {
    objects = new EvictingStore(await FolderStore.open(join(folder, 'objects')));
    describeResources();
    await storeModels();
    await storeData();
    await start();
  });

  afterAll(async () => {
    await host.close();
    expect(objects.held).toBe(0);
    rmSync(folder, { recursive: true, force: true });
  });
}

export async function finished(id: string): Promise<evaluation.Evaluation> {
  let last: evaluation.Evaluation | undefined;
  for await (const update of evaluations.stream('watchEvaluation', { id }, { deadlineMs: 250_000 }))
    last = update;
  return last!;
}

export async function eventually<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 200_000; Date.now() < deadline; await systemClock.sleep(20)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error('it did not happen in time');
}

export const onFeatures = { dataset: { features: 'letters-features' } };
