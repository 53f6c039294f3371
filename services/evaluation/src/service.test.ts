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
import {
  DataLoss,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  Rng,
  sha256,
  systemClock,
} from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { emit, MemoryBus, topics } from '@emotune/events';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import { damageObject, EvictingStore, putUpload } from '@emotune/objects/testing';
import { common, type data, type evaluation, type featurization, tuning } from '@emotune/proto';
import { decodePredictions, encodeExamples, encodeShard, type FeatureRow } from '@emotune/records';
import { type Client, Host, jsonLog, type ServiceContext } from '@emotune/service';
import { Tokenizer, trainBpe } from '@emotune/text';
import { Controller, type DynamicModule, Module } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { evaluationMigrations } from './evaluations.js';
import { evaluationModule } from './module.js';

const { BuildState } = common;
const folder = mkdtempSync(join(tmpdir(), 'emotune-evaluation-'));
const completed: evaluation.EvaluationCompleted[] = [];
let objects: EvictingStore;
let context: ServiceContext;
let host: Host;
let evaluations: Client<evaluation.EvaluationServiceClient>;

/** What the doubles of the remote services answer with. */
const models = new Map<string, tuning.Model>();
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

const moods = [
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

const train = examplesOf('train', 30);
const test = examplesOf('test', 24);
const tokenizerJson = trainBpe(
  [...train, ...test].map(({ text }) => text),
  { vocabSize: 320, specialTokens: ['<pad>', '</s>'] },
);
const tokenizer = Tokenizer.parse(tokenizerJson);

function model(name: string, more: Partial<tuning.Model> = {}): tuning.Model {
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

async function start(): Promise<void> {
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

async function finished(id: string): Promise<evaluation.Evaluation> {
  let last: evaluation.Evaluation | undefined;
  for await (const update of evaluations.stream('watchEvaluation', { id }, { deadlineMs: 250_000 }))
    last = update;
  return last!;
}

async function eventually<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 200_000; Date.now() < deadline; await systemClock.sleep(20)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error('it did not happen in time');
}

const noUpload = { sha256: '0'.repeat(64), name: 'mine.tsv' };
const onFeatures = { dataset: { features: 'letters-features' } };

it('evaluates a base model on a feature set: results, predictions, report and event', async () => {
  const accepted = await evaluations.call('evaluate', { model: 'base', ...onFeatures });
  expect(accepted).toMatchObject({
    model: 'base@base-v1',
    dataset: 'letters',
    state: BuildState.BUILD_STATE_PENDING,
  });
  const phases = new Set<string>();
  let done = accepted;
  for await (const update of evaluations.stream('watchEvaluation', { id: accepted.id })) {
    if (update.progress) phases.add(update.progress.phase);
    done = update;
  }
  expect(done.failure).toBe('');
  expect(done.state).toBe(BuildState.BUILD_STATE_READY);
  expect(phases.size).toBeGreaterThan(0);
  expect(done.tasks.map(({ task, n, valid }) => [task, n, valid])).toEqual([
    ['TASK_SENTIMENT_CLASSIFICATION', 24, 1],
    ['TASK_SENTIMENT_REGRESSION', 24, 1],
    ['TASK_EMOTION_CLASSIFICATION', 24, 1],
    ['TASK_EMOTION_REGRESSION', 24, 1],
  ]);
  const [classes, numbers, several, intensity] = done.tasks;
  // The constant knows only train rows: 10 of 30 are of each sentiment, so it answers the first, right in 8 of 24.
  expect(classes.constant['accuracy']).toBeCloseTo(1 / 3);
  const sentiments = train.filter((e) => e.task === 'sentiment-regression').map((e) => e.gold.value!);
  const mean = sentiments.reduce((a, b) => a + b, 0) / sentiments.length;
  const golds = test.filter((e) => e.task === 'sentiment-regression').map((e) => e.gold.value!);
  const error = Math.sqrt(golds.reduce((sum, gold) => sum + (gold - mean) ** 2, 0) / golds.length);
  expect(numbers.constant['rmse']).toBeCloseTo(error, 10);
  expect(numbers.constant['skill']).toBeCloseTo(0, 10);
  expect(numbers.metrics['skill']).toBeCloseTo(1 - (numbers.metrics['rmse'] / error) ** 2, 10);
  for (const name of ['pearson', 'spearman', 'ccc', 'rmse', 'mae', 'skill', 'nll'])
    expect(numbers.intervals[name].low).toBeLessThanOrEqual(numbers.intervals[name].high);
  for (const name of ['accuracy', 'macroF1', 'microF1', 'jaccard', 'ece', 'nll'])
    expect(several.metrics).toHaveProperty(name);
  expect(classes.vader).toHaveProperty('accuracy');
  expect(several.vader).toEqual({});
  expect(several.confusion?.labels).toEqual(expect.arrayContaining(['anger', 'fear', 'joy']));
  expect(intensity.humanCeiling).toBeGreaterThan(0.9);
  expect(numbers.humanCeiling).toBeUndefined();
  expect(numbers.pConstant).toBeGreaterThan(0);
  expect(done.slices.filter((s) => s.slice === 'source notes').map((s) => s.n)).toEqual([12, 12, 12, 12]);
  expect(done.hardest.length).toBeGreaterThan(20);

  const encoded = await objects.get(`${done.prefix}/predictions.arrow`);
  const predictions = decodePredictions(encoded);
  expect(predictions.map((p) => p.id).sort()).toEqual(test.map((e) => e.id).sort());
  for (const p of predictions.filter((row) => row.value !== null)) {
    expect(p.low!).toBeLessThanOrEqual(p.high!);
    expect(p.nll!).toBeGreaterThan(0);
  }
  // Damaged ones are named, not compared.
  damageObject(objects, `${done.prefix}/predictions.arrow`);
  const compared = evaluations.call('compareEvaluations', { first: done.id, second: done.id });
  await expect(compared).rejects.toThrow(DataLoss);
  await objects.put(`${done.prefix}/predictions.arrow`, encoded);
  const document = JSON.parse(Buffer.from(await objects.get(`${done.prefix}/results.json`)).toString());
  expect(document).toMatchObject({ model: 'base@base-v1', dataset: 'letters', split: 'test' });
  expect(document.tasks[1]).toMatchObject({
    task: 'sentiment-regression',
    n: 24,
    valid: 1,
    baselines: { constant: numbers.constant, vader: numbers.vader },
  });
  expect(done.artifacts.map(({ path, name }) => [path, name])).toEqual(
    ['predictions.arrow', 'results.json', 'report.html'].map((path) => [path, `${done.prefix}/${path}`]),
  );
  const page = Buffer.from(await objects.get(`${done.prefix}/report.html`)).toString();
  expect(done.artifacts[2].sha256).toBe(sha256(page));
  expect(page).toContain('base@base-v1');
  expect(page).not.toContain('Search');
  const event = await eventually(() => completed.find((e) => e.id === done.id));
  const questions = done.tasks.flatMap((result) => result.questions);
  expect(questions.map(({ n, skill }) => [n, skill])).toEqual(
    new Array(4).fill([24, common.Skill.SKILL_NONE]),
  );
  expect(event).toMatchObject({
    id: done.id,
    model: 'base',
    version: 'base-v1',
    prefix: done.prefix,
    failure: '',
    questions,
  });
});

it('asks a calibrated model as it is served, and shows what calibration has changed', async () => {
  const task = common.Task.TASK_SENTIMENT_REGRESSION;
  const numbers = {
    temperature: 1,
    // Whatever the model says is the middle.
    curve: { method: 'linear', x: [0, 1], y: [0.5, 0.5] },
    margin: 1,
    margins: [],
  };
  const calibration = {
    task,
    emotion: '',
    labelSet: [],
    multiLabel: false,
    n: 40,
    numbers,
    labels: undefined,
  };
  const teaching = { cues: true, inquiries: [], calibrations: [calibration] };
  models.set('calibrated', model('calibrated', { prefix: 'models/base/v1', teaching }));
  const { id } = await evaluations.call('evaluate', { model: 'calibrated', ...onFeatures });
  const done = await finished(id);
  expect(done.failure).toBe('');
  const before = await evaluations.call('evaluate', { model: 'base', ...onFeatures });
  const { tasks: uncalibrated } = await finished(before.id);
  const [classes, valence] = done.tasks;
  expect(valence.metrics).toMatchObject({ coverage: 1, width: 1 });
  expect(valence.raw).toEqual(uncalibrated[1].metrics);
  expect(valence.raw['coverage']).toBeLessThan(1);
  expect(classes.raw).toEqual({});
  const [source] = done.slices.filter(({ slice, task: of }) => slice.startsWith('source') && of === task);
  expect([source.metrics['coverage'], source.raw['coverage'] < 1]).toEqual([1, true]);
  const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
  for (const { value } of predictions.filter((p) => p.task === 'sentiment-regression'))
    expect(value).toBeCloseTo(0.5, 9);
  const page = Buffer.from(await objects.get(`${done.prefix}/report.html`)).toString();
  expect(page).toContain('<h3>Coverage</h3>');
});

it('evaluates a trained model once, with its base and its search in the report', async () => {
  for (const key of ['first', 'second']) {
    await context.database.transaction((sql) =>
      emit(sql, topics.modelTrained, key, { name: 'tuned', version: 'tuned-v1' }),
    );
    context.outbox.wake();
  }
  const event = await eventually(() => completed.find((e) => e.model === 'tuned'));
  expect(event.failure).toBe('');
  await expect(evaluations.call('deleteEvaluation', { id: event.id })).rejects.toThrow(
    `evaluation ${event.id} is that of model tuned@tuned-v1`,
  );
  const { evaluations: all } = await evaluations.call('listEvaluations', { model: 'tuned' });
  expect(all.map((e) => e.id)).toEqual([event.id]);
  const page = Buffer.from(await objects.get(`${event.prefix}/report.html`)).toString();
  for (const wanted of ['Untuned base', 'Loss curves', 'Objective by trial', 'search-1, trial 2'])
    expect(page).toContain(wanted);
  // Both pages of trials.
  expect(page).toContain('<i class="c1"></i>opt');
  // The best of them first.
  expect(page).toMatch(/What the search teaches.*trial 1 was drawn at random.*trial 0 was drawn at random/s);
});

it('compares two evaluations on the examples they share', async () => {
  const { evaluations: all } = await evaluations.call('listEvaluations', {});
  const tuned = all.find((e) => e.model.startsWith('tuned'))!;
  const base = all.find((e) => e.model.startsWith('base'))!;
  const { tasks } = await evaluations.call('compareEvaluations', { first: tuned.id, second: base.id });
  expect(tasks.map(({ task, metric, n }) => [task, metric, n])).toEqual([
    ['TASK_SENTIMENT_CLASSIFICATION', 'accuracy', 24],
    ['TASK_SENTIMENT_REGRESSION', 'rmse', 24],
    ['TASK_EMOTION_CLASSIFICATION', 'jaccard', 24],
    ['TASK_EMOTION_REGRESSION', 'rmse', 24],
  ]);
  expect(tasks[1].first).toBeCloseTo(tuned.tasks[1].metrics['rmse'], 12);
  expect(tasks[1].second).toBeCloseTo(base.tasks[1].metrics['rmse'], 12);
  const same = await evaluations.call('compareEvaluations', { first: base.id, second: base.id });
  expect(same.tasks.map((t) => t.pValue)).toEqual([1, 1, 1, 1]);
  await expect(
    evaluations.call('compareEvaluations', { first: base.id, second: 'absent' }),
  ).rejects.toBeInstanceOf(NotFound);
  // By model: the two that asked the same rows.
  const named = await evaluations.call('compareEvaluations', { first: 'tuned@tuned-v1', second: 'base' });
  expect([named.first, named.second]).toEqual([tuned.id, base.id]);
  expect(named.tasks).toEqual(tasks);
  for (const { pAdjusted, pValue } of tasks) expect(pAdjusted).toBeGreaterThanOrEqual(pValue);
  models.set('unasked', model('unasked'));
  await expect(evaluations.call('compareEvaluations', { first: 'unasked', second: 'base' })).rejects.toThrow(
    'expected evaluations of "unasked" and "base" on the same rows, got none',
  );
});

it('asks a file of the user’s own, at most as many rows as wanted, and has no constant for it', async () => {
  const hash = await putUpload(
    objects,
    `id\ttext\tlabel\temotion\n${moods.map((text, i) => `${i}\t${text}\t${10 * i}\tfear`).join('\n')}\n`,
  );
  const upload = { sha256: hash, name: 'data/mine.tsv' };
  const file = { upload, task: common.Task.TASK_EMOTION_REGRESSION, scale: { low: 0, high: 100 } };
  const { id } = await evaluations.call('evaluate', { model: 'base', file, limit: 3 });
  const done = await finished(id);
  expect(done).toMatchObject({ failure: '', dataset: 'mine.tsv' });
  const [task] = done.tasks;
  expect([task.n, task.valid, task.constant]).toEqual([3, 1, {}]);
  expect(task.pConstant).toBeUndefined();
  expect(task.metrics).not.toHaveProperty('skill');
  expect(done.hardest[0].gold).toMatch(/^fear \d+$/);
  const other = (await evaluations.call('listEvaluations', {})).evaluations.find((e) => e.id !== id)!;
  await expect(evaluations.call('compareEvaluations', { first: other.id, second: id })).rejects.toThrow(
    /second: expected an evaluation of the same examples/,
  );
});

const untold = { rows: 9, languages: [], skill: common.Skill.SKILL_UNKNOWN };

it('a file is asked on the labels that the model was taught, where none are given, from the columns that it has', async () => {
  const rows = `text\tlabel\n${moods.map((text, i) => `${text}\t${i % 2 ? 'gloomy|calm' : 'calm'}`).join('\n')}\n`;
  const upload = { sha256: await putUpload(objects, rows), name: 'own.tsv' };
  const file = { upload, task: common.Task.TASK_EMOTION_CLASSIFICATION };
  const [inquiry] = [
    { task: file.task, emotion: '', scale: undefined, labels: ['gloomy', 'calm', 'wild'], multiLabel: true },
  ];
  const teaching = { cues: false, inquiries: [{ ...inquiry, ...untold, threshold: 0.5 }], calibrations: [] };
  models.set('taught', model('taught', { prefix: 'models/base/v1', teaching }));
  const { id } = await evaluations.call('evaluate', { model: 'taught', file });
  const done = await finished(id);
  expect(done.failure).toBe('');
  const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
  expect(predictions[0]).toMatchObject({ labelSet: ['gloomy', 'calm', 'wild'], multiLabel: true });
  const named = rows.replaceAll('|', ' / ').replace('text\tlabel', 'review\tmood');
  const divided = { sha256: await putUpload(objects, named), name: 'own.tsv' };
  const again = await evaluations.call('evaluate', {
    model: 'taught',
    file: { ...file, upload: divided, labelSeparator: '/', textColumn: 'review', labelColumn: 'mood' },
  });
  expect((await finished(again.id)).tasks).toEqual(done.tasks);
  const known = { ...teaching, inquiries: [{ ...teaching.inquiries[0], languages: ['en'] }] };
  models.set('english', model('english', { prefix: 'models/base/v1', teaching: known }));
  const warningsIn = async (language: string) => {
    const asked = await evaluations.call('evaluate', { model: 'english', file: { ...file, language } });
    const { warnings, slices } = await finished(asked.id);
    return [warnings, slices.filter(({ slice }) => slice.startsWith('language')).map(({ slice }) => slice)];
  };
  expect(await warningsIn('')).toEqual([[], ['language en']]);
  expect(await warningsIn('ro')).toEqual([
    [`the model saw no text in ro (${moods.length} of ${moods.length} rows): it was trained on en`],
    ['language ro'],
  ]);
  await expect(
    evaluations.call('evaluate', { model: 'english', file: { ...file, language: 'romanian' } }),
  ).rejects.toThrow(/file\.language: expected a language as BCP 47 names it.*did you mean "ro"/);
  await expect(evaluations.call('evaluate', { model: 'base', file })).rejects.toThrow(
    /file\.labels: expected every label .* does not tell what it was taught for emotion-classification/,
  );
});

it('asks the plain sentences, whatever the model was taught, and shows every wrong answer', async () => {
  const asked = common.Task.TASK_EMOTION_CLASSIFICATION;
  const labels = ['surprise', 'sadness', 'neutral', 'joy', 'fear', 'disgust', 'anger'];
  const inquiry = { task: asked, emotion: '', scale: undefined, labels, multiLabel: true };
  const teaching = { cues: true, inquiries: [{ ...inquiry, ...untold, threshold: 0.01 }], calibrations: [] };
  models.set('plain', model('plain', { prefix: 'models/base/v1', teaching }));
  for (const [name, multiLabel] of [
    ['base', false],
    ['plain', true],
  ] as const) {
    const { id, dataset } = await evaluations.call('evaluate', { model: name, plain: {} });
    expect(dataset).toBe('plain-sentences');
    const done = await finished(id);
    expect(done.failure).toBe('');
    expect(done.tasks.map(({ n, valid, constant }) => [n, valid, constant])).toEqual([
      [100, 1, {}],
      [100, 1, {}],
    ]);
    const [sentiment, emotion] = done.tasks;
    expect(sentiment.labels.map((row) => row.label)).toEqual(['negative', 'neutral', 'positive']);
    expect(emotion.labels.map((row) => row.label)).toEqual([...labels].sort());
    const right = (task: evaluation.TaskResult) => task.labels.reduce((sum, row) => sum + row.right, 0);
    for (const task of done.tasks) {
      expect(right(task)).toBeCloseTo(100 * task.metrics['accuracy'], 9);
      expect(task.labels.reduce((sum, { answered }) => sum + answered, 0)).toBe(100);
    }
    // VADER sees nothing in half of them.
    expect(sentiment.vader['accuracy']).toBeGreaterThan(0.4);
    expect(done.hardest).toHaveLength(200 - right(sentiment) - right(emotion));
    const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
    expect(new Set(predictions.map((p) => p.labels.length))).toEqual(new Set([1]));
    expect(predictions[1]).toMatchObject({ multiLabel, labelSet: multiLabel ? labels : [...labels].sort() });
  }
});

it('asks the behavioural checks, and tells by capability what passed', async () => {
  const { id, dataset } = await evaluations.call('evaluate', { model: 'base', checks: {} });
  expect(dataset).toBe('behavioural-checks');
  const done = await finished(id);
  expect([done.failure, done.tasks]).toEqual(['', []]);
  const found = new Map(done.checks.map((check) => [check.capability, check]));
  for (const wanted of ['negation', 'sarcasm', 'a typing error', 'upper case', 'pronouns', 'dialect'])
    expect(found.get(wanted)!.n).toBeGreaterThan(5);
  for (const { n, passed, failures } of done.checks) expect(failures).toHaveLength(Math.min(10, n - passed));
  // An untrained model hardly reads: what should change nothing changes little.
  expect(found.get('pronouns')!.size).toBeLessThan(0.1);
  expect(found.get('sarcasm')!.shift).toBeUndefined();
  const page = Buffer.from(await objects.get(`${done.prefix}/report.html`)).toString();
  expect(page).toContain('Behavioural checks');
  expect(page).not.toContain('Summary');
});

it('asks the rows of a dataset', async () => {
  const dataset = { dataset: 'letters', split: 'train' };
  const { id } = await evaluations.call('evaluate', { model: 'base', dataset, limit: 5 });
  const done = await finished(id);
  expect(done.failure).toBe('');
  expect(done.tasks.map((t) => t.n)).toEqual([5, 5, 5, 5]);
  const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
  expect(predictions.every((p) => p.id.startsWith('train-'))).toBe(true);
});

it('is idempotent by request id', async () => {
  const request = { model: 'base', ...onFeatures, limit: 1, requestId: 'once' };
  const made = await Promise.all([
    evaluations.call('evaluate', request),
    evaluations.call('evaluate', request),
  ]);
  expect(made[0].id).toBe(made[1].id);
  await expect(evaluations.call('evaluate', { ...request, limit: 2 })).rejects.toThrow(/requestId/);
  await finished(made[0].id);
});

it.each([
  [{ ...onFeatures }, InvalidArgument, /model: expected the name/],
  [{ model: 'base' }, InvalidArgument, /expected "dataset", "file", "plain" or "checks", got none of them/],
  [{ model: 'base', checks: {}, limit: 3 }, InvalidArgument, /limit: expected 0 beside "checks"/],
  [{ model: 'base', plain: {}, limit: 3 }, InvalidArgument, /limit: expected 0 beside "plain", got 3/],
  [{ model: 'base', dataset: {} }, InvalidArgument, /dataset: expected "features" or "dataset"/],
  [
    { model: 'base', dataset: { features: 'letters-features', split: 'tset' } },
    InvalidArgument,
    /dataset\.split: expected one of train, validation, test, got "tset"/,
  ],
  [{ model: 'base', ...onFeatures, limit: -1 }, InvalidArgument, /limit: expected 0 or more/],
  [{ model: 'absent', ...onFeatures }, NotFound, /absent/],
  [{ model: 'base', dataset: { features: 'absent' } }, NotFound, /absent/],
  [{ model: 'base', dataset: { features: 'unready' } }, FailedPrecondition, /unready cannot be asked/],
  [
    { model: 'base', file: { upload: { sha256: 'mine.tsv', name: 'm' }, labels: ['a'] } },
    InvalidArgument,
    /file\.upload\.sha256: expected a SHA-256.*file\.task: expected one of/,
  ],
  [
    {
      model: 'base',
      file: { upload: noUpload, task: common.Task.TASK_EMOTION_REGRESSION, scale: { low: 1, high: 1 } },
    },
    InvalidArgument,
    /file\.scale: expected low and high/,
  ],
  [
    {
      model: 'base',
      file: { upload: noUpload, task: common.Task.TASK_EMOTION_CLASSIFICATION, labels: ['a|b', 'c', 'c'] },
    },
    InvalidArgument,
    /file\.labels\[0\]: expected a label without.*file\.labels\[2\]: expected each label once/,
  ],
  [
    {
      model: 'base',
      file: {
        upload: noUpload,
        task: common.Task.TASK_EMOTION_CLASSIFICATION,
        labels: ['a b', 'c,d'],
        labelSeparator: ' ',
      },
    },
    InvalidArgument,
    /file\.labels\[1\]: expected a label without.*file\.labelSeparator: expected a text that is in no label, got " ", which is in "a b"/,
  ],
  [
    {
      model: 'base',
      file: {
        upload: noUpload,
        task: common.Task.TASK_EMOTION_REGRESSION,
        scale: { low: 0, high: 1 },
      },
    },
    FailedPrecondition,
    /file\.upload: the content of "mine\.tsv" is not here/,
  ],
])('refuses %j', async (request, type, message) => {
  const error = await evaluations.call('evaluate', request).catch((e) => e);
  expect(error).toBeInstanceOf(type);
  expect(error.message).toMatch(message);
});

it('records why an evaluation failed, tells it, and cannot compare it', async () => {
  const { id } = await evaluations.call('evaluate', { model: 'broken', ...onFeatures });
  const failed = await finished(id);
  expect(failed.state).toBe(BuildState.BUILD_STATE_FAILED);
  expect(failed.failure).toContain('models/absent/v1');
  expect(await objects.list(`evaluations/${id}/`)).toEqual([]);
  const event = await eventually(() => completed.find((e) => e.id === id));
  expect(event).toMatchObject({ model: 'broken', prefix: '', failure: failed.failure });
  await expect(evaluations.call('compareEvaluations', { first: id, second: id })).rejects.toThrow(
    /first: evaluation .* cannot be compared: it failed/,
  );
  await expect(evaluations.call('compareEvaluations', { first: id, second: id })).rejects.toBeInstanceOf(
    FailedPrecondition,
  );

  // A model that does not tell its features cannot be evaluated on them.
  await context.database.transaction((sql) =>
    emit(sql, topics.modelTrained, 'orphan', { name: 'orphan', version: 'orphan-v1' }),
  );
  context.outbox.wake();
  const orphan = await eventually(() => completed.find((e) => e.model === 'orphan'));
  expect(orphan.failure).toContain('does not tell its feature set');
});

it('pages, newest first, of all models or one', async () => {
  const ids: string[] = [];
  let pageToken = '';
  do {
    const page = await evaluations.call('listEvaluations', { model: 'base', pageSize: 2, pageToken });
    expect(page.evaluations.length).toBeLessThanOrEqual(2);
    ids.push(...page.evaluations.map((e) => e.id));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  const { evaluations: all } = await evaluations.call('listEvaluations', { model: 'base@base-v1' });
  expect(ids).toEqual(all.map((e) => e.id));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(3);
  await expect(evaluations.call('listEvaluations', { pageToken: 'no token!' })).rejects.toThrow(/pageToken/);
});

it('goes on after a restart with what was not done, and gives the same numbers', async () => {
  const { evaluations: all } = await evaluations.call('listEvaluations', { model: 'tuned' });
  const [before] = all;
  await host.close();
  // What a process leaves that was killed while it worked.
  const database = await Database.connect(await testDatabaseUrl(), 'evaluation');
  await database.query(
    "update evaluations set state = 'BUILD_STATE_BUILDING', result = null, ended_at = null where id = $1",
    [before.id],
  );
  await database.close();
  await objects.delete(before.prefix);
  await start();
  const again = await finished(before.id);
  expect(again.state).toBe(BuildState.BUILD_STATE_READY);
  expect(again.tasks).toEqual(before.tasks);
  expect((await objects.list(`${before.prefix}/`)).map(({ key }) => key.split('/').pop())).toEqual([
    'predictions.arrow',
    'report.html',
    'results.json',
  ]);
});

it('an evaluation that a stop interrupts is not failed', async () => {
  const { id } = await evaluations.call('evaluate', { model: 'base', dataset: { dataset: 'letters' } });
  await host.close();
  await start();
  const done = await finished(id);
  expect(done).toMatchObject({ state: BuildState.BUILD_STATE_READY, failure: '' });
});

it('is deleted with its files, also while it is worked on, and the next is worked on', async () => {
  const request = { model: 'base', dataset: { dataset: 'letters' } };
  const remove = (id: string) => evaluations.call('deleteEvaluation', { id });
  const { id } = await evaluations.call('evaluate', request);
  await finished(id);
  expect((await objects.list(`evaluations/${id}/`)).length).toBeGreaterThan(0);
  const running = await evaluations.call('evaluate', request);
  for (const gone of [id, running.id]) {
    await remove(gone);
    await expect(evaluations.call('getEvaluation', { id: gone })).rejects.toBeInstanceOf(NotFound);
    await expect(remove(gone)).rejects.toBeInstanceOf(NotFound);
    expect(await objects.list(`evaluations/${gone}/`)).toEqual([]);
  }
  const next = await evaluations.call('evaluate', request);
  expect(await finished(next.id)).toMatchObject({ state: BuildState.BUILD_STATE_READY });
});
