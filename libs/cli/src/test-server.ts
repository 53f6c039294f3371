/** A small server of the whole contract, for tests of the command line. */
import {
  AlreadyExists,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  sha256,
  systemClock,
} from '@emotune/base';
import { MemoryBus } from '@emotune/events';
import { FolderStore } from '@emotune/objects';
import { common, data, evaluation, events, featurization, inference, tuning } from '@emotune/proto';
import { filesModule, Host, jsonLog, requestsOf, type ServerStreamCall, streamOf } from '@emotune/service';
import { Controller, Module } from '@nestjs/common';

const { BUILD_STATE_BUILDING, BUILD_STATE_FAILED, BUILD_STATE_READY } = common.BuildState;
const created = { seconds: 1_700_000_000, nanos: 0 };

type Stream<T> = ReturnType<typeof streamOf<T>>;

/** What the server was asked last, by method. */
export const asked = new Map<string, unknown>();
/** What the server answers where only a test can say it. */
export const answers = {
  importStudy: async (
    _request: tuning.ImportStudyRequest,
    _experiment: tuning.Experiment,
  ): Promise<tuning.ImportStudyResponse> => ({ fitting: 0, taught: 0, enqueued: [], known: [], misfits: [] }),
  async *readTrialLog(request: tuning.ReadTrialLogRequest): AsyncGenerator<tuning.TrialLogPiece> {
    const { number, attempt, follow } = request;
    if (number === 7) throw new NotFound('expected a trial of first, got number 7');
    if (number === 8) return;
    if (number === 9) {
      const steering = '\x1b]0;owned\x07\x9b2J\u202egpj';
      const data = Buffer.from(`raw ${steering}\n${JSON.stringify({ time: '', message: steering })}\n`);
      yield { attempt: 1, offset: 0, data };
      return;
    }
    const piece = (attempt: number, offset: number, text: string) => ({
      attempt,
      offset,
      data: Buffer.from(text),
    });
    const entry = {
      time: '2026-01-02T03:04:05.678Z',
      level: 'error',
      service: 'trainer',
      message: 'training failed',
    };
    const cause = { name: 'Error', message: 'no room', stack: 'Error: no room\n    at b.js:1' };
    const error = { name: 'Full', message: 'no more', stack: 'Full: no more\n    at a.js:1', cause };
    const emoji = Buffer.from('ends 🙂\nlast');
    if (attempt < 2) {
      yield piece(1, 0, `${JSON.stringify({ ...entry, step: 3, error })}\n{"time": br`);
      yield piece(1, 300_000, 'oken\n');
    }
    if (attempt === 1 && !follow) return;
    yield { attempt: 2, offset: 0, data: emoji.subarray(0, 7) };
    yield { attempt: 2, offset: 7, data: emoji.subarray(7) };
  },
};
let store: FolderStore;
/** Streams of experiments that are being sent. */
export let watched = 0;

function note<T>(method: string, request: T): T {
  asked.set(method, request);
  return request;
}

/** Looks at a dataset or feature set so far: it is ready at the third. */
const looks = new Map<string, number>();

const manifest = {
  rows: { train: 80, validation: 10, test: 10 },
  sources: [
    {
      name: 'emotune-demo',
      licence: 'Apache-2.0',
      rows: 100,
      url: '',
      sha256: 'ab12',
      skipped: { 'no label': 2 },
    },
  ],
  tasks: [
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      rows: { train: 80, validation: 10, test: 10 },
      labels: [],
    },
    {
      task: common.Task.TASK_EMOTION_CLASSIFICATION,
      rows: { train: 30, validation: 1, test: 2 },
      labels: [
        { label: 'joy', rows: { train: 1200, validation: 1, test: 2 } },
        { label: 'fear', rows: { train: 7, validation: 0, test: 0 } },
      ],
    },
  ],
  duplicatesRemoved: 3,
  leaksRemoved: 1,
  conflicts: {
    texts: 1,
    rows: 3,
    examples: [
      {
        text: 'tea is tea',
        task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
        emotion: '',
        answers: { positive: 2, neutral: 1 },
      },
    ],
  },
  files: [],
  notices: ['emobank was replaced by demonstration data'],
};

function dataset(name: string): data.Dataset {
  const look = (looks.get(name) ?? 0) + 1;
  looks.set(name, look);
  const base = { name, spec: undefined, failure: '', createTime: created, readyTime: undefined };
  if (look < 3)
    return {
      ...base,
      state: BUILD_STATE_BUILDING,
      progress: { phase: 'writing', done: 50, total: 100, unit: 'rows' },
    } as unknown as data.Dataset;
  if (name === 'fails' || name === 'fails-now')
    return {
      ...base,
      state: BUILD_STATE_FAILED,
      failure: 'no source could be had',
      retryable: name === 'fails-now',
    } as unknown as data.Dataset;
  return { ...base, version: '0123456789ab', state: BUILD_STATE_READY, manifest } as unknown as data.Dataset;
}

@Controller()
@data.DatasetServiceControllerMethods()
class Datasets implements data.DatasetServiceController {
  createDataset(request: data.CreateDatasetRequest): data.Dataset {
    const { spec } = note('createDataset', request);
    if (spec?.name === 'Refused')
      throw new InvalidArgument([
        { field: 'spec.name', description: 'expected lower-case letters, got "Refused"' },
        { field: 'spec.sources[0]', description: 'expected "corpus" or "file", got neither' },
      ]);
    if (spec?.name === 'taken') throw new AlreadyExists('a dataset "taken" with another spec exists');
    return dataset(spec!.name);
  }
  getDataset({ name }: data.GetDatasetRequest): data.Dataset {
    if (name === 'missing') throw new NotFound('expected a dataset, got "missing"');
    return dataset(name);
  }
  listDatasets({ pageToken }: data.ListDatasetsRequest): data.ListDatasetsResponse {
    for (let i = 0; i < 2; i++) for (const name of ['first', 'second']) dataset(name);
    return pageToken === ''
      ? { datasets: [dataset('first')], nextPageToken: 'more' }
      : { datasets: [dataset('second')], nextPageToken: '' };
  }
  previewDataset(
    request: data.PreviewDatasetRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<data.Example> {
    return streamOf(call!, async function* () {
      for (let i = 0; i < note('previewDataset', request).rows; i++)
        yield {
          id: `r${i}`,
          source: 'emotune-demo',
          task: common.Task.TASK_SENTIMENT_REGRESSION,
          text: `Text\n${i}`,
          value: 0.25 * i,
          scale: { low: 0, high: 1 },
        } as data.Example;
    });
  }
  deleteDataset({ name }: data.DeleteDatasetRequest): data.DeleteDatasetResponse {
    if (name === 'missing') throw new NotFound('expected a dataset, got "missing"');
    return {};
  }
  listLexicons(): data.ListLexiconsResponse {
    return {
      lexicons: [
        {
          name: 'emotag',
          title: 'EmoTag1200',
          language: 'und',
          licence: 'MIT',
          obligations: ['name its authors and its licence'],
          redistributable: true,
          url: 'https://example.org/emotag',
          sha256: ['ef56'],
          location: '',
          entries: 150,
        },
      ],
    };
  }
  provideLexicon({ name }: data.ProvideLexiconRequest): data.ProvideLexiconResponse {
    return { lexicon: undefined, key: `lexicons/${name}/1.json` };
  }
  listSources(): data.ListSourcesResponse {
    return {
      sources: [
        {
          name: 'emobank',
          title: 'EmoBank',
          licence: 'CC-BY-SA-4.0',
          url: 'https://example.org/emobank',
          sha256: 'cd34',
          location: '',
          tasks: [common.Task.TASK_SENTIMENT_REGRESSION],
          language: 'en',
        },
      ],
    };
  }
}

function featureSet(name: string): featurization.FeatureSet {
  return {
    name,
    version: 'fedcba987654',
    spec: { name, dataset: 'first', baseModels: ['emotune-opt-4m'] },
    datasetVersion: '0123456789ab',
    state: BUILD_STATE_READY,
    failure: '',
    tokenized: [
      {
        tokenizer: 'aa',
        baseModels: ['emotune-opt-4m'],
        prefix: `features/${name}/fedcba987654/aa`,
        splits: [
          {
            split: 'train',
            rows: 1200,
            tokens: 34_000,
            answerTokens: 2400,
            longest: 60,
            cut: 1,
            files: ['train-00000.arrow'],
            rowsByTask: { 'sentiment-regression': 1200 },
            rowsByDerivation: {},
            labels: [],
          },
        ],
      },
    ],
    createTime: created,
    readyTime: created,
    prefix: `features/${name}/fedcba987654`,
  } as unknown as featurization.FeatureSet;
}

const cue = {
  text: 'very good',
  lexicon: 'vader',
  dimension: 'valence',
  score: 2.2,
  start: 0,
  end: 9,
  modifier: 'very',
};

@Controller()
@featurization.FeatureServiceControllerMethods()
class Features implements featurization.FeatureServiceController {
  createFeatureSet(request: featurization.CreateFeatureSetRequest): featurization.FeatureSet {
    return featureSet(note('createFeatureSet', request).spec!.name);
  }
  getFeatureSet({ name }: featurization.GetFeatureSetRequest): featurization.FeatureSet {
    if (name === 'missing') throw new NotFound('expected a feature set, got "missing"');
    return featureSet(name);
  }
  deleteFeatureSet(request: featurization.DeleteFeatureSetRequest): featurization.DeleteFeatureSetResponse {
    note('deleteFeatureSet', request);
    return {};
  }
  listFeatureSets(): featurization.ListFeatureSetsResponse {
    return { featureSets: [featureSet('first')], nextPageToken: '' };
  }
  previewFeatureSet(
    request: featurization.PreviewFeatureSetRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<featurization.FeatureExample> {
    note('previewFeatureSet', request);
    return streamOf(call!, async function* () {
      yield {
        id: 'demo/1',
        task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
        source: 'demo',
        prompt: 'How is this?\nA fine day',
        answer: 'good',
        tokens: ['How', 'Ġis', '\n', 'Ġfine', 'good', '</s>'].map((text, id) => ({ id, text })),
        promptTokens: 4,
        derivedFrom: '',
        derivedBy: '',
      };
    });
  }
  explainText({ text }: featurization.ExplainTextRequest): featurization.ExplainTextResponse {
    return text === 'plain'
      ? { cues: [], cueText: '', vader: 0, afinn: 0 }
      : { cues: [cue], cueText: 'very good +2.2', vader: 0.49, afinn: 3 };
  }
}

function experiment(name: string, changes: Partial<tuning.Experiment> = {}): tuning.Experiment {
  return {
    name,
    spec: {
      name,
      features: 'first',
      model: name,
      seed: 1,
      baseModels: [{ architecture: 'opt', model: 'emotune-opt-4m' }],
      parameters: [
        { name: 'learningRate', double: { min: 1e-5, max: 1e-2, log: true, step: 0 } },
        { name: 'replay', double: { min: 0, max: 0.5, log: false, step: 0 } },
      ],
    },
    state: tuning.ExperimentState.EXPERIMENT_STATE_RUNNING,
    reason: '',
    trialsSucceeded: 0,
    trialsRunning: 1,
    trialsFailed: 0,
    trialsTotal: 2,
    createTime: created,
    ...changes,
  } as unknown as tuning.Experiment;
}

function trial(changes: Partial<tuning.Trial> = {}): tuning.Trial {
  return {
    experiment: 'first',
    number: 0,
    kind: tuning.TrialKind.TRIAL_KIND_SEARCH,
    state: tuning.TrialState.TRIAL_STATE_RUNNING,
    reason: '',
    parameters: { architecture: 'opt', learningRate: 0.00123456 },
    attempt: 1,
    totalTokens: 100_000,
    createTime: created,
    ...changes,
  } as tuning.Trial;
}

const won = trial({
  state: tuning.TrialState.TRIAL_STATE_SUCCEEDED,
  objective: 2.5,
  objectiveError: 0.125,
  tokens: 100_000,
  tokensPerSecond: 1234.5,
});

const ends: Record<string, Partial<tuning.Experiment>> = {
  first: {
    state: tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED,
    trialsSucceeded: 1,
    trialsFailed: 1,
    trialsRunning: 0,
    bestObjective: 2.5,
    bestTrial: 0,
    modelVersion: 'first@aa11',
  },
  hopeless: { state: tuning.ExperimentState.EXPERIMENT_STATE_FAILED, reason: 'more than 1 trial failed' },
};

@Controller()
@tuning.ExperimentServiceControllerMethods()
class Experiments implements tuning.ExperimentServiceController {
  private found(name: string): tuning.Experiment {
    if (name === 'missing') throw new NotFound('expected an experiment, got "missing"');
    return experiment(name);
  }
  createExperiment(request: tuning.CreateExperimentRequest): tuning.Experiment {
    return experiment(note('createExperiment', request).spec!.name, {
      state: tuning.ExperimentState.EXPERIMENT_STATE_WAITING,
    });
  }
  getExperiment({ name }: tuning.GetExperimentRequest): tuning.Experiment {
    return this.found(name);
  }
  listExperiments(): tuning.ListExperimentsResponse {
    return { experiments: [experiment('first', ends['first'])], nextPageToken: '' };
  }
  watchExperiment(
    { name }: tuning.WatchExperimentRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.ExperimentUpdate> {
    this.found(name);
    const settled = [
      won,
      trial({ number: 1, state: tuning.TrialState.TRIAL_STATE_FAILED, reason: 'Diverged: not finite' }),
    ];
    return streamOf(call!, async function* (signal) {
      watched++;
      try {
        yield { experiment: experiment(name), trials: [trial()] };
        if (name === 'endless') await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield { experiment: experiment(name), trials: [trial({ tokens: 4096, tokensPerSecond: 1200 })] };
        yield { experiment: experiment(name), trials: settled };
        yield { experiment: experiment(name, ends[name]), trials: [] };
      } finally {
        watched--;
      }
    });
  }
  readTrialLog(
    request: tuning.ReadTrialLogRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.TrialLogPiece> {
    this.found(request.experiment);
    return streamOf(call!, () => answers.readTrialLog(note('readTrialLog', request)));
  }
  pauseExperiment({ name }: tuning.PauseExperimentRequest): tuning.Experiment {
    return { ...this.found(name), state: tuning.ExperimentState.EXPERIMENT_STATE_PAUSED };
  }
  resumeExperiment({ name }: tuning.ResumeExperimentRequest): tuning.Experiment {
    return this.found(name);
  }
  cancelExperiment({ name }: tuning.CancelExperimentRequest): tuning.Experiment {
    return { ...this.found(name), state: tuning.ExperimentState.EXPERIMENT_STATE_CANCELLED };
  }
  deleteExperiment({ name }: tuning.DeleteExperimentRequest): tuning.DeleteExperimentResponse {
    note('deleteExperiment', this.found(name));
    return {};
  }
  enqueueTrial(request: tuning.EnqueueTrialRequest): tuning.EnqueueTrialResponse {
    const { parameters } = note('enqueueTrial', request);
    const added = parameters['learningRate'] !== 1e-3;
    return { trial: trial({ number: 7, state: tuning.TrialState.TRIAL_STATE_QUEUED, parameters }), added };
  }
  listTrials(request: tuning.ListTrialsRequest): tuning.ListTrialsResponse {
    note('listTrials', request);
    return { trials: [won], nextPageToken: '' };
  }
  importStudy(
    requests: Parameters<tuning.ExperimentServiceController['importStudy']>[0],
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.ImportStudyResponse> {
    return streamOf(call!, async function* (signal) {
      const pieces: tuning.ImportStudyRequest[] = [];
      for await (const piece of requestsOf(requests, call!, signal)) pieces.push(piece);
      const [request] = pieces;
      const trials = pieces.flatMap(({ study }) => study?.trials ?? []);
      const whole = { ...request, study: { ...request.study!, trials } };
      note('importStudyPieces', pieces.length);
      yield await answers.importStudy(note('importStudy', whole), experiment(request.experiment));
    });
  }
  raiseLimits(request: tuning.RaiseLimitsRequest): tuning.Experiment {
    return experiment(note('raiseLimits', request).name);
  }
  estimateExperiment(request: tuning.EstimateExperimentRequest): tuning.Estimate {
    note('estimateExperiment', request);
    return {
      trials: 8,
      folds: 5,
      tokens: 240_000,
      gpuHours: 1.5,
      cost: 3,
      seconds: 2700,
      finalGpuHours: 0.25,
      finalCost: 0.5,
      basis: tuning.EstimateBasis.ESTIMATE_BASIS_MEASURED,
      measuredTrials: 4,
      limitedBy: 'limits.maxTrials',
      tokensPerSecond: { opt: 44 },
    };
  }
  listOptimalTrials(): tuning.ListOptimalTrialsResponse {
    return { trials: [won] };
  }
}

function model(name: string): tuning.Model {
  return {
    name,
    version: 'aa11',
    kind: tuning.ModelKind.MODEL_KIND_TUNED,
    state: tuning.ModelState.MODEL_STATE_REGISTERED,
    family: 'opt',
    parameters: 4_000_000,
    prefix: `models/${name}/aa11`,
    promoted: true,
    lineage: {
      experiment: 'first',
      trial: 0,
      baseModel: 'emotune-opt-4m',
      baseVersion: 'bb22',
      parameters: { learningRate: 0.001 },
      tokens: 200_000,
    },
    createTime: created,
  } as unknown as tuning.Model;
}

@Controller()
@tuning.ModelServiceControllerMethods()
class Models implements tuning.ModelServiceController {
  getModel({ name }: tuning.GetModelRequest): tuning.Model {
    if (name === 'missing') throw new NotFound('expected a model, got "missing"');
    return model(name);
  }
  listModels(): tuning.ListModelsResponse {
    return { models: [model('first')], nextPageToken: '' };
  }
  deleteModel({ name }: tuning.DeleteModelRequest): tuning.DeleteModelResponse {
    note('deleteModel', name);
    return { deleted: [`${name}@aa11`, `${name}@bb22`] };
  }
  deleteExport(request: tuning.DeleteExportRequest): tuning.DeleteExportResponse {
    note('deleteExport', request);
    return { deleted: request.format === '' ? ['peft', 'safetensors'] : [request.format] };
  }
  promoteModel({ name }: tuning.PromoteModelRequest): tuning.Model {
    return model(name);
  }
  exportModel(request: tuning.ExportModelRequest): tuning.ExportModelResponse {
    note('exportModel', request);
    const artifact = (path: string, content: string) => ({
      path,
      bytes: content.length,
      sha256: sha256(content),
      name: `exports/first/${path}`,
    });
    return { files: [artifact('config.json', '{}'), artifact('model.safetensors', 'weights')] };
  }
  async importModel(request: tuning.ImportModelRequest): Promise<tuning.Model> {
    const { files, name } = note('importModel', request);
    for (const { path, sha256: hash } of files)
      if (!(await store.exists(`uploads/${hash}`)))
        throw new FailedPrecondition(`the content of ${path} is not here`);
    return { ...model(name), notices: ['config.json: spare: not read'] };
  }
  importHubModel(
    request: tuning.ImportHubModelRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Stream<tuning.ImportHubModelResponse> {
    const { name } = note('importHubModel', request);
    const progress = { phase: 'downloading model.safetensors', done: 1, total: 2, unit: 'bytes' };
    return streamOf(call!, async function* () {
      yield { progress };
      yield { model: model(name) };
    });
  }
}

const evaluated = {
  id: 'e1',
  model: 'first@aa11',
  dataset: 'first@0123456789ab',
  failure: '',
  tasks: [
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      n: 120,
      valid: 1,
      metrics: { pearson: 0.75, rmse: 0.125 },
      intervals: { pearson: { low: 0.5, high: 0.875 } },
      constant: { rmse: 0.25 },
      vader: { pearson: 0.5, rmse: 0.25 },
      humanCeiling: 0.875,
      pConstant: 0.03125,
    },
    {
      task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
      n: 40,
      cut: 10,
      valid: 1,
      metrics: { accuracy: 0.75 },
      intervals: {},
      constant: { accuracy: 0.5 },
      vader: {},
      confusion: { labels: ['bad', 'good'], counts: [15, 5, 5, 15] },
    },
  ],
  slices: [{ task: common.Task.TASK_SENTIMENT_REGRESSION, slice: 'negation', n: 12, metrics: { rmse: 0.5 } }],
  hardest: [
    {
      task: common.Task.TASK_SENTIMENT_REGRESSION,
      id: 'r1',
      text: 'Oh, great.',
      gold: '0.1',
      answer: '0.9',
      error: 0.8,
    },
  ],
  prefix: 'evaluations/e1',
  artifacts: [
    { path: 'report.html', bytes: 15, sha256: sha256('<h1>report</h1>'), name: 'evaluations/e1/report.html' },
  ],
} as unknown as evaluation.Evaluation;

const unused = (): never => {
  throw new Error('the command line does not call this');
};

@Controller()
@evaluation.EvaluationServiceControllerMethods()
class Evaluations implements evaluation.EvaluationServiceController {
  evaluate(request: evaluation.EvaluateRequest): evaluation.Evaluation {
    const { model: name } = note('evaluate', request);
    if (name === 'missing') throw new NotFound('expected a model, got "missing"');
    return { ...evaluated, id: name === 'weak' ? 'e2' : 'e1', state: BUILD_STATE_BUILDING };
  }
  watchEvaluation(
    { id }: evaluation.WatchEvaluationRequest,
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<evaluation.Evaluation> {
    return streamOf(call!, async function* () {
      const progress = { phase: 'asking', done: 10, total: 160, unit: 'examples' };
      yield { ...evaluated, id, tasks: [], state: BUILD_STATE_BUILDING, progress };
      yield id === 'e2'
        ? { ...evaluated, id, tasks: [], state: BUILD_STATE_FAILED, failure: 'its files are gone' }
        : { ...evaluated, id, state: BUILD_STATE_READY };
    });
  }
  getEvaluation(): never {
    return unused();
  }
  listEvaluations(): evaluation.ListEvaluationsResponse {
    const waiting = { ...evaluated, id: 'e3', state: BUILD_STATE_BUILDING, upload: 'c'.repeat(64) };
    return {
      evaluations: [{ ...evaluated, id: 'e1', state: BUILD_STATE_READY }, waiting],
      nextPageToken: '',
    };
  }
  deleteEvaluation(request: evaluation.DeleteEvaluationRequest): evaluation.DeleteEvaluationResponse {
    note('deleteEvaluation', request);
    return {};
  }
  compareEvaluations(): never {
    return unused();
  }
  createStudy(): never {
    return unused();
  }
  submitJudgement(): never {
    return unused();
  }
}

const {
  TASK_SENTIMENT_CLASSIFICATION,
  TASK_SENTIMENT_REGRESSION,
  TASK_EMOTION_CLASSIFICATION,
  TASK_EMOTION_REGRESSION,
} = common.Task;

function answerTo({
  task,
  scale = { low: 0, high: 1 },
  emotion,
}: inference.AnalyzeRequest): inference.Answer {
  const classification = (labels: string[]) =>
    ({
      task,
      labels,
      distribution: [
        { answer: 'joy', probability: 0.75 },
        { answer: 'fear', probability: 0.25 },
      ],
      cut: labels.length > 1,
    }) as inference.Answer;
  if (task === TASK_SENTIMENT_CLASSIFICATION) return classification(['joy']);
  if (task === TASK_EMOTION_CLASSIFICATION) return classification(['fear', 'joy']);
  return {
    task,
    emotion: task === TASK_EMOTION_REGRESSION ? emotion || 'joy' : '',
    scale,
    value: 0.5,
    low: 0.25,
    high: 0.75,
    labels: [],
    distribution: [
      { answer: '0.25', probability: 0.5 },
      { answer: '0.75', probability: 0.5 },
    ],
    cut: false,
  };
}

@Controller()
@inference.AnalysisServiceControllerMethods()
class Analyses implements inference.AnalysisServiceController {
  analyzeStream(
    requests: Parameters<inference.AnalysisServiceController['analyzeStream']>[0],
    _?: unknown,
    call?: ServerStreamCall,
  ): Stream<inference.Analysis> {
    return streamOf(call!, async function* (signal) {
      for await (const request of requestsOf(requests, call!, signal)) {
        if (note('analyzeStream', request).model === 'missing')
          throw new NotFound('expected a model, got "missing"');
        const tasks = [
          TASK_SENTIMENT_CLASSIFICATION,
          TASK_SENTIMENT_REGRESSION,
          TASK_EMOTION_CLASSIFICATION,
          TASK_EMOTION_REGRESSION,
        ].filter((task) => request.task === common.Task.TASK_UNSPECIFIED || request.task === task);
        const answers = tasks.map((task) =>
          answerTo({ ...request, scale: request.scale ?? undefined, task }),
        );
        yield { text: request.text, model: 'first@aa11', answers, cues: [cue] };
      }
    });
  }
  analyze(): never {
    return unused();
  }
  analyzeBatch(): never {
    return unused();
  }
}

@Controller()
@tuning.InsightServiceControllerMethods()
class Insights implements tuning.InsightServiceController {
  getInsight({ experiment }: tuning.GetInsightRequest): tuning.Insight {
    if (experiment === 'missing') throw new NotFound('expected an experiment, got "missing"');
    const learningRate = { parameter: 'learningRate', log: true };
    return {
      experiment,
      importance: [{ parameter: 'learningRate', fanova: 0.75, permutation: 0.8, trials: 12 }],
      importanceMissing: '',
      interactions: [{ first: 'learningRate', second: 'replay', fanova: 0.05 }],
      dependence: [
        {
          ...learningRate,
          points: [
            { value: 0.01, mean: 4, standardDeviation: 0.1 },
            { value: 0.001, mean: 2, standardDeviation: 0.1 },
          ],
        },
      ],
      history: [{ trial: 0, objective: 2.5, best: 2.5 }],
      slices: [{ ...learningRate, points: [{ trial: 0, value: 0.001, objective: 2.5 }] }],
      parallelCoordinates: {
        axes: ['learningRate'],
        lines: [{ trial: 0, objective: 2.5, places: [{ place: 0 }] }],
      },
      front: {
        objectives: ['joy'],
        points: [{ trial: 0, values: [2.5], optimal: true }],
        hypervolume: 0.25,
        reference: [2.75],
      },
      best: { best: 0, runnerUp: 1, difference: 0.5, shared: 4, p: 0.0625, over: 'folds' },
    };
  }
  explainTrial({ experiment, number }: tuning.ExplainTrialRequest): tuning.TrialExplanation {
    if (number > 1) throw new NotFound(`expected a trial of ${experiment}, got number ${number}`);
    return {
      trial: won,
      suggestion: {
        source: tuning.SuggestionSource.SUGGESTION_SOURCE_SAMPLER,
        reason: 'tpe: from trials known then',
        measured: 12,
        infeasible: 1,
        running: 2,
        bestTrial: 3,
        reproduced: true,
        evidence: [
          {
            parameter: 'learningRate',
            value: 0.001,
            bestValue: 0.002,
            logRatio: Math.log(3),
          },
        ],
      },
      end: {
        reason: 'it ended: succeeded',
        rank: 1,
        measured: 13,
        behind: 0,
        attempts: [
          { attempt: 1, outcome: 'lost', reason: 'LostLease: silent' },
          { attempt: 2, outcome: 'succeeded', reason: '' },
        ],
      },
    };
  }
}

const letter: events.DeadLetter = {
  ...{ id: 'evaluation/e-1', topic: 'emotune.model.trained.v1', group: 'evaluation', key: 'first' },
  ...{
    eventId: 'e-1',
    reason: 'Error: no\x1b room',
    time: created,
    messageType: 'emotune.tuning.v1.ModelTrained',
  },
  ...{ messageJson: '', payload: Buffer.from([8, 255]), headers: { 'event-id': 'e-1' } },
};

@Controller()
@events.DeadLetterServiceControllerMethods()
class DeadLetters implements events.DeadLetterServiceController {
  async listDeadLetters(request: events.ListDeadLettersRequest): Promise<events.ListDeadLettersResponse> {
    note('listDeadLetters', request);
    const second = { ...letter, id: 'evaluation/e-2' };
    if (request.pageToken === 'more') return { deadLetters: [second], nextPageToken: '' };
    return { deadLetters: [letter], nextPageToken: 'more' };
  }

  async getDeadLetter({ id }: events.GetDeadLetterRequest): Promise<events.DeadLetter> {
    if (id === 'evaluation/e-2') return { ...letter, id, messageJson: '{"name":"first"}' };
    if (id !== letter.id) throw new NotFound(`there is no dead letter ${id}`);
    return letter;
  }

  async replayDeadLetters(
    request: events.ReplayDeadLettersRequest,
  ): Promise<events.ReplayDeadLettersResponse> {
    note('replayDeadLetters', request);
    return { deadLetters: request.ids.map((id) => ({ ...letter, id })) };
  }
}

@Module({
  controllers: [Datasets, Features, Experiments, Insights, Models, Evaluations, Analyses, DeadLetters],
})
class EveryServiceModule {}

/** Serves the contract. What users send lies in `folder`. */
export async function startServer(folder: string): Promise<Host> {
  const objects = await FolderStore.open(folder);
  store = objects;
  const log = jsonLog((line) => process.stderr.write(line));
  await objects.put('exports/first/config.json', '{}');
  await objects.put('exports/first/model.safetensors', 'weights');
  await objects.put('evaluations/e1/report.html', '<h1>report</h1>');
  await objects.put('evaluations/deleted/report.html', '<h1>report</h1>');
  const host = await Host.create({
    database: unused,
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log,
    listen: '127.0.0.1:0',
  });
  await host.start([
    { module: EveryServiceModule },
    filesModule({ objects, clock: systemClock, log, work: 'builds', channel: host.channel }),
  ]);
  return host;
}
