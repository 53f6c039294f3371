/** Requests of every method of the contract: valid ones, those with one field changed, random ones, and bytes that are none. */
import { Rng } from '@emotune/base';
import { contract } from '@emotune/proto';
import protobuf from 'protobufjs';
import { type Message, oneOf, randomMessage, randomValue } from './fuzz-values.js';

/** What there is to ask about. Nothing that is sent deletes or ends it. */
export interface World {
  /** The platform's. */
  readonly token: string;
  readonly model: string;
  readonly evaluation: string;
  /** Of a file that was uploaded. */
  readonly sha256: string;
  readonly bytes: number;
  /** Of a rater of the study that is kept, who consented. */
  readonly rater: string;
  /** A trial that runs now, and its trainer's token. */
  running(): { readonly trial: Message; readonly token: string };
}

export interface Probe {
  /** ModelService/GetModel */
  readonly method: string;
  /** The field that was changed; `bytes`, `all` where none is as in a valid request. */
  readonly what: string;
  /** Several only where the method takes a stream. Bytes that are no message stand for themselves. */
  readonly messages: readonly (Message | Buffer)[];
  /** That who may ask shows. */
  readonly token: string;
}

export interface Method {
  readonly name: string;
  readonly path: string;
  readonly request: protobuf.Type;
  readonly response: protobuf.Type;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

function servicesIn(namespace: protobuf.NamespaceBase): protobuf.Service[] {
  return namespace.nestedArray.flatMap((each) => {
    if (each instanceof protobuf.Service) return [each];
    return each instanceof protobuf.Namespace ? servicesIn(each) : [];
  });
}

/** By their names. */
export const methods: ReadonlyMap<string, Method> = new Map(
  servicesIn(contract()).flatMap((service) =>
    service.methodsArray.map((method): [string, Method] => {
      const name = `${service.name}/${method.name}`;
      const { resolvedRequestType: request, resolvedResponseType: response } = method;
      const [requestStream, responseStream] = [method.requestStream === true, method.responseStream === true];
      const path = `/${service.fullName.slice(1)}/${method.name}`;
      return [name, { name, path, request: request!, response: response!, requestStream, responseStream }];
    }),
  ),
);

export const kept = 'kept';
const spares = ['spare-0', 'spare-1', 'spare-2'];

const file = ({ sha256 }: World, more: Message): Message => ({
  upload: { sha256, name: 'mine.csv' },
  task: 'TASK_SENTIMENT_REGRESSION',
  scale: { low: 0, high: 5 },
  textColumn: 'text',
  labelColumn: 'label',
  ...more,
});

export function experimentSpec(world: World, name: string): Message {
  return {
    name,
    features: kept,
    baseModels: [{ architecture: 'llama', model: world.model, nodeSelector: { zone: 'a' } }],
    objective: { metric: 'answer-nll', goal: 'GOAL_MINIMIZE' },
    searchAlgorithm: { name: 'random', settings: {} },
    earlyStopping: { name: 'median', settings: { warmUp: 10 } },
    parameters: [
      { name: 'learningRate', double: { min: 1e-5, max: 1e-2, log: true }, default: 1e-3 },
      {
        name: 'loraRank',
        integer: { min: 2, max: 8, step: 2 },
        condition: { parameter: 'method', values: ['lora'] },
      },
      { name: 'method', categorical: { values: ['full', 'lora'] } },
    ],
    limits: { maxTrials: 10_000, parallelTrials: 4, maxFailedTrials: 10_000 },
    training: { settings: { weightDecay: 0.1 }, trialTokens: 1000, folds: 1 },
    cost: { gpusPerTrial: 1, pricePerGpuHour: 2 },
    termination: { error: 0, minTrials: 20 },
    warmStart: [],
    seed: 1,
  };
}

export function studySpec(name: string, evaluation: string): Message {
  return {
    name,
    title: 'How does it feel?',
    instructions: 'Judge the writer.',
    consent: 'Your answers are kept.',
    licence: 'CC-BY-4.0',
    language: 'en',
    sample: { evaluation, split: '', items: 2 },
    rating: {
      task: 'TASK_SENTIMENT_CLASSIFICATION',
      step: 0,
      labels: ['negative', 'neutral', 'positive'],
      question: 'How?',
    },
    raters: ['ada', 'ben'],
    anybody: true,
    mostRaters: 5,
    judgements: 2,
    attention: { builtIn: 1, own: [{ text: 'The best day of my life!', labels: ['positive'] }], pass: 0.5 },
    revisable: true,
    seed: 1,
  };
}

const measurement: Message = {
  step: 1,
  tokens: 10,
  elapsedSeconds: 1,
  trainLoss: 2,
  objective: 2,
  learningRate: 1e-3,
  tokensPerSecond: 10,
  examples: 1,
  values: { joy: 1 },
};

const analysis = ({ model }: World): Message => ({
  text: 'What a day.',
  model,
  task: 'TASK_EMOTION_REGRESSION',
  scale: { low: 0, high: 1 },
  labels: [],
  emotion: 'joy',
});

type Valid = (world: World, rng: Rng) => Message | readonly Message[];

const page = { pageSize: 10, pageToken: '' };
const id = (rng: Rng): string => `request-${rng.int(50)}`;

/** A valid request of each method: of a stream, its messages. */
const valid: Readonly<Record<string, Valid>> = {
  'DatasetService/CreateDataset': (world, rng) => ({
    spec: {
      name: oneOf(rng, spares),
      sources: [{ corpus: 'emotune-demo', limit: 10 }, { file: file(world, { name: 'mine' }) }],
      split: { validation: 0.1, test: 0.1, seed: 1 },
      tasks: ['TASK_SENTIMENT_REGRESSION'],
    },
    requestId: id(rng),
  }),
  'DatasetService/GetDataset': () => ({ name: kept }),
  'DatasetService/ListDatasets': () => page,
  'DatasetService/PreviewDataset': () => ({ name: kept, split: 'train', rows: 3 }),
  'DatasetService/DeleteDataset': (_, rng) => ({ name: oneOf(rng, spares) }),
  'DatasetService/ListSources': () => ({}),
  'FileService/GetUpload': ({ sha256 }) => ({ sha256 }),
  'FileService/Upload': ({ bytes }, rng) => [
    { header: { sha256: rng.int(16).toString(16).repeat(64), bytes, offset: 0 } },
    { chunk: Buffer.alloc(bytes, 1) },
  ],
  'FileService/Download': ({ evaluation }) => ({
    artifact: `evaluations/${evaluation}/results.json`,
    offset: 1,
  }),
  'FileService/CollectGarbage': () => ({ dryRun: true, minAgeSeconds: 3600 }),
  'FeatureService/CreateFeatureSet': ({ model }, rng) => ({
    spec: {
      name: oneOf(rng, spares),
      dataset: kept,
      baseModels: [model],
      maxTokens: 64,
      seed: 1,
      limitTrain: 4,
    },
    requestId: id(rng),
  }),
  'FeatureService/GetFeatureSet': () => ({ name: kept }),
  'FeatureService/ListFeatureSets': () => page,
  'FeatureService/DeleteFeatureSet': (_, rng) => ({ name: oneOf(rng, spares) }),
  'FeatureService/PreviewFeatureSet': ({ model }) => ({
    name: kept,
    split: 'train',
    rows: 2,
    baseModel: model,
  }),
  'FeatureService/ExplainText': () => ({ text: 'Not very good, alas.' }),
  'ExperimentService/CreateExperiment': (world, rng) => ({
    spec: {
      ...experimentSpec(world, oneOf(rng, spares)),
      limits: { maxTrials: 4, parallelTrials: 1 },
      warmStart: [{ experiment: kept, best: 2 }],
    },
    requestId: id(rng),
  }),
  'ExperimentService/GetExperiment': () => ({ name: kept }),
  'ExperimentService/ListExperiments': () => page,
  'ExperimentService/WatchExperiment': () => ({ name: kept }),
  'ExperimentService/PauseExperiment': (_, rng) => ({ name: oneOf(rng, spares) }),
  'ExperimentService/ResumeExperiment': (_, rng) => ({ name: oneOf(rng, spares) }),
  'ExperimentService/CancelExperiment': (_, rng) => ({ name: oneOf(rng, spares) }),
  'ExperimentService/DeleteExperiment': (_, rng) => ({ name: oneOf(rng, spares) }),
  'ExperimentService/EnqueueTrial': (_, rng) => ({
    experiment: kept,
    parameters: { learningRate: 1e-3 * rng.uniform(), method: 'lora', loraRank: 4 },
    requestId: id(rng),
  }),
  'ExperimentService/ImportStudy': () => ({
    experiment: kept,
    study: {
      name: 'study',
      goals: ['GOAL_MINIMIZE'],
      trials: [
        {
          number: 3,
          state: 'TRIAL_STATE_SUCCEEDED',
          parameters: { learningRate: 2e-3, method: 'full' },
          objectives: [{ value: 1.5 }],
          last: { step: 3, value: 1.5 },
        },
      ],
    },
    objective: 0,
    goal: 'GOAL_MINIMIZE',
    fixed: { method: 'full' },
    best: 1,
    teach: true,
    failuresTeach: true,
    requestId: '',
  }),
  'ExperimentService/RaiseLimits': (_, rng) => ({ name: oneOf(rng, spares), limits: { maxTrials: 5 } }),
  'ExperimentService/EstimateExperiment': (world) => ({ spec: experimentSpec(world, 'estimated') }),
  'ExperimentService/ListTrials': () => ({ experiment: kept, ...page, withoutMeasurements: true }),
  'ExperimentService/ReadTrialLog': () => ({ experiment: kept, number: 0, attempt: 1, follow: false }),
  'ExperimentService/ListOptimalTrials': () => ({ experiment: kept }),
  'InsightService/GetInsight': () => ({ experiment: kept }),
  'InsightService/ExplainTrial': () => ({ experiment: kept, number: 0 }),
  'ModelService/GetModel': ({ model }) => ({ name: model }),
  'ModelService/ListModels': () => ({ kind: 'MODEL_KIND_BASE', ...page }),
  'ModelService/PromoteModel': ({ model }) => ({ name: model }),
  'ModelService/DeleteModel': (_, rng) => ({ name: oneOf(rng, spares) }),
  'ModelService/ExportModel': ({ model }) => ({ name: model, format: 'safetensors' }),
  'ModelService/ImportModel': ({ sha256 }, rng) => ({
    name: oneOf(rng, spares),
    files: [
      { path: 'config.json', sha256 },
      { path: 'model.safetensors', sha256 },
    ],
    source: '/somewhere',
    base: '',
  }),
  'ModelService/ImportHubModel': (_, rng) => ({
    name: oneOf(rng, spares),
    source: 'hf:org/name@main',
    base: '',
  }),
  'TrialService/GetAssignment': ({ running }) => ({ trial: running().trial }),
  'TrialService/Heartbeat': ({ running }) => ({
    trial: running().trial,
    measurements: [measurement],
    checkpoint: 'a',
    folds: [],
  }),
  'TrialService/FinishTrial': ({ running }) => ({
    trial: running().trial,
    state: 'TRIAL_STATE_SUCCEEDED',
    reason: '',
    objective: 2,
    bestTokens: 10,
    tokens: 20,
    step: 2,
    tokensPerSecond: 10,
    modelPrefix: '',
    measurements: [{ ...measurement, step: 2 }],
    folds: [],
  }),
  'EvaluationService/Evaluate': ({ model }, rng) => ({
    model,
    dataset: { features: kept, split: 'test', dataset: '' },
    limit: 1,
    requestId: id(rng),
  }),
  'EvaluationService/GetEvaluation': ({ evaluation }) => ({ id: evaluation }),
  'EvaluationService/ListEvaluations': ({ model }) => ({ model, ...page }),
  'EvaluationService/WatchEvaluation': ({ evaluation }) => ({ id: evaluation }),
  'EvaluationService/CompareEvaluations': ({ evaluation }) => ({ first: evaluation, second: evaluation }),
  'EvaluationService/DeleteEvaluation': (_, rng) => ({ id: oneOf(rng, spares) }),
  'StudyService/CreateStudy': ({ evaluation }, rng) => ({
    spec: studySpec(oneOf(rng, spares), evaluation),
    requestId: id(rng),
  }),
  'StudyService/GetStudy': () => ({ name: kept }),
  'StudyService/ListStudies': () => page,
  'StudyService/OpenStudy': () => ({ name: kept }),
  'StudyService/CloseStudy': (_, rng) => ({ name: oneOf(rng, spares) }),
  'StudyService/DeleteStudy': (_, rng) => ({ name: oneOf(rng, spares) }),
  'StudyService/GetStudyReport': () => ({ name: kept, excludeFailed: true }),
  'StudyService/ListJudgements': () => ({ study: kept, ...page }),
  'StudyService/ListStudyRows': () => ({ study: kept, leastRaters: 1, includeFailed: true }),
  'RaterService/GetInvitation': () => ({}),
  'RaterService/JoinStudy': (_, rng) => ({ consent: true, requestId: id(rng) }),
  'RaterService/NextItem': () => ({ item: 0 }),
  'RaterService/Judge': (_, rng) => ({ item: 1 + rng.int(3), answer: { labels: ['positive'] } }),
  'AnalysisService/Analyze': analysis,
  'AnalysisService/AnalyzeBatch': (world) => ({
    requests: [analysis(world), { text: 'Fine.', model: world.model }],
  }),
  'AnalysisService/AnalyzeStream': (world) => [analysis(world), { text: 'Fine.', model: world.model }],
};

/** A valid request of the method; an empty one where it has no line above. */
export function validRequest(method: string, world: World, rng: Rng): readonly Message[] {
  return [valid[method]?.(world, rng) ?? {}].flat();
}

interface Place {
  readonly field: protobuf.Field;
  readonly holder: Record<string | number, unknown>;
  readonly key: string | number;
  readonly path: string;
}

/** Every field of a message, set or not, and of what stands in it. */
function placesIn(type: protobuf.Type, message: Message, path = ''): Place[] {
  return type.fieldsArray.flatMap((field) => {
    const at = path === '' ? field.name : `${path}.${field.name}`;
    const value = message[field.name];
    const own: Place = { field, holder: message, key: field.name, path: at };
    const { resolvedType } = field;
    if (
      !(resolvedType instanceof protobuf.Type) ||
      resolvedType.fullName.startsWith('.google.') ||
      field instanceof protobuf.MapField
    )
      return [own];
    const items = Array.isArray(value)
      ? value.map((item, i) => [`${at}[${i}]`, item])
      : value
        ? [[at, value]]
        : [];
    return [
      own,
      ...items.flatMap(([place, item]) => placesIn(resolvedType, item as Message, place as string)),
    ];
  });
}

/** The messages with one field changed, and which. */
function changed(
  { request }: Method,
  messages: readonly Message[],
  rng: Rng,
): { messages: Message[]; what: string } {
  const copies = structuredClone(messages) as Message[];
  const places = copies.flatMap((copy, i) => placesIn(request, copy, copies.length > 1 ? `[${i}]` : ''));
  if (places.length === 0) return { messages: copies, what: '' };
  const { field, holder, key, path } = oneOf(rng, places);
  const { partOf } = field;
  // Of a oneof the others go, but now and then.
  if (partOf && rng.uniform() < 0.9) for (const { name } of partOf.fieldsArray) delete holder[name];
  const left = rng.uniform() < 0.1;
  if (left) delete holder[key];
  else holder[key] = randomValue(field, rng, 2, holder[key]);
  return { messages: copies, what: `${path}${left ? ' left out' : ''}` };
}

function varint(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)];
}

/** Lists in lists, deeper than any reader goes. */
function deep(depth: number): Buffer {
  let inner = Buffer.alloc(0);
  const around = (id: number) => {
    inner = Buffer.concat([Buffer.from([id * 8 + 2, ...varint(inner.length)]), inner]);
  };
  for (let i = 0; i < depth; i++) {
    around(1);
    around(6);
  }
  return inner;
}

export function encoded({ request }: Method, message: Message | Buffer): Buffer {
  if (Buffer.isBuffer(message)) return message;
  return Buffer.from(request.encode(request.fromObject(message)).finish());
}

/** Bytes that are no such message, or one by chance. */
function noMessage(method: Method, messages: readonly Message[], rng: Rng): Buffer {
  const good = encoded(method, oneOf(rng, messages));
  switch (rng.int(5)) {
    case 0:
      return Buffer.from(Array.from({ length: 1 + rng.int(100) }, () => rng.int(256)));
    case 1:
      return good.subarray(0, rng.int(good.length + 1));
    case 2:
      return Buffer.concat([good, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f])]);
    case 3:
      return Buffer.concat([Buffer.from([2 * 8 + 2, ...varint(deep(300).length)]), deep(300)]);
    default: {
      const bad = Buffer.from(good);
      if (bad.length > 0) bad[rng.int(bad.length)] = rng.int(256);
      return bad;
    }
  }
}

/** What ends or removes what a name stands for: never what is kept. */
const ending = /\/(Delete|Cancel|Pause|Close)/;

function spared(method: Method, message: Message, { model }: World): Message {
  const keeps = ending.test(method.name) && [kept, model].includes(message['name'] as string);
  return keeps ? { ...message, name: spares[0] } : message;
}

/** Fields of a valid request, as far as more of them make a method be asked more often. */
const mostCounted = 12;

/** Each as often as its requests have fields to go wrong. */
const weighed = new WeakMap<World, readonly Method[]>();

function drawn(world: World, rng: Rng): Method {
  let all = weighed.get(world);
  if (!all) {
    all = [...methods.values()].flatMap((method) => {
      const messages = validRequest(method.name, world, Rng.of(0));
      const fields = messages.flatMap((message) => placesIn(method.request, message)).length;
      return Array<Method>(Math.min(Math.max(fields, 1), mostCounted)).fill(method);
    });
    weighed.set(world, all);
  }
  return oneOf(rng, all);
}

/** What who may call the method shows. */
export function tokenFor(method: string, { token, rater, running }: World): string {
  if (method.startsWith('RaterService/')) return rater;
  return method.startsWith('TrialService/') ? running().token : token;
}

/** The request of a number, the same whenever it is asked for in the same world. */
export function probeOf(seed: number, number: number, world: World): Probe {
  const rng = Rng.of(seed, 'fuzz', number);
  const method = drawn(world, rng);
  const messages = validRequest(method.name, world, rng);
  const token = rng.uniform() < 0.95 ? tokenFor(method.name, world) : 'another';
  const common = { method: method.name, token };
  const dice = rng.uniform();
  if (dice < 0.1) return { ...common, what: 'bytes', messages: [noMessage(method, messages, rng)] };
  if (dice < 0.7) {
    const { messages: copies, what } = changed(method, messages, rng);
    return { ...common, what, messages: copies.map((copy) => spared(method, copy, world)) };
  }
  const length = method.requestStream ? 1 + rng.int(3) : 1;
  const random = Array.from({ length }, () => spared(method, randomMessage(method.request, rng), world));
  return { ...common, what: 'all', messages: random };
}
