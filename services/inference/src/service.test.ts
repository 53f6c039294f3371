import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DataLoss,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  ResourceExhausted,
  systemClock,
} from '@emotune/base';
import { testDatabase } from '@emotune/database/testing';
import { MemoryBus } from '@emotune/events';
import { initialTensors, parseConfig, Scorer, saveModel } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import { damageObject, EvictingStore } from '@emotune/objects/testing';
import { codecOf, common, type inference, messageType, type tuning } from '@emotune/proto';
import { type Client, Host, jsonLog } from '@emotune/service';
import { Tokenizer, trainBpe } from '@emotune/text';
import { Controller, type DynamicModule, Module } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Analyses } from './analyses.js';
import { LoadedModels } from './loaded-models.js';
import { inferenceMigrations, inferenceModule } from './module.js';

const { Task } = common;
const folder = mkdtempSync(join(tmpdir(), 'emotune-inference-'));
const logged: string[] = [];
/** What the double of the tuning service answers with. */
const models = new Map<string, tuning.Model>();
let host: Host;
let analyses: Client<inference.AnalysisServiceClient>;

@Controller()
class PeerDoubles {
  @GrpcMethod('ModelService', 'getModel')
  getModel({ name }: tuning.GetModelRequest): tuning.Model {
    const model = models.get(name);
    if (!model) throw new NotFound(`expected a model, got "${name}"`);
    return model;
  }
}

@Module({})
class PeersModule {}
const peers: DynamicModule = { module: PeersModule, controllers: [PeerDoubles] };

const bpe = { vocabSize: 300, specialTokens: ['<s>', '</s>'] };
const tokenizerFile = trainBpe(['Task: Text: Cues: Sentiment score'], bpe);
const tokenizerJson = JSON.stringify(tokenizerFile);

/** A message of a type, with its defaults. */
function empty<T>(type: string): T {
  return codecOf<T>(messageType(type)).decode(Buffer.of());
}

const modelOf = (name: string): tuning.Model => ({
  ...empty<tuning.Model>('emotune.tuning.v1.Model'),
  name,
  version: 'v1',
  prefix: `models/${name}/v1`,
  tokenizer: Tokenizer.parse(tokenizerFile).hash,
});

const inquiry = {
  emotion: '',
  scale: undefined,
  labels: [],
  multiLabel: false,
  rows: 1,
  threshold: 0.5,
  languages: [],
  skill: common.Skill.SKILL_UNKNOWN,
};
const taught: tuning.TaughtInquiry[] = [
  { ...inquiry, task: Task.TASK_SENTIMENT_CLASSIFICATION, labels: ['so-so', 'grand'] },
  { ...inquiry, task: Task.TASK_SENTIMENT_REGRESSION, scale: { low: 1, high: 5 } },
  {
    ...inquiry,
    task: Task.TASK_EMOTION_CLASSIFICATION,
    labels: ['awe', 'bliss', 'calm'],
    multiLabel: true,
    threshold: 0.001,
  },
  { ...inquiry, task: Task.TASK_EMOTION_REGRESSION, emotion: 'awe', scale: { low: 0, high: 10 } },
  { ...inquiry, task: Task.TASK_EMOTION_REGRESSION, emotion: 'calm', scale: { low: 0, high: 4 } },
];

const curve = (...y: number[]) => ({ method: 'linear', x: [0, 1], y });
const calibrations: tuning.Calibration[] = [
  {
    task: Task.TASK_SENTIMENT_REGRESSION,
    emotion: '',
    labelSet: [],
    multiLabel: false,
    n: 60,
    numbers: { temperature: 1, curve: curve(0.75, 0.75), margin: 1, margins: [] },
    labels: undefined,
  },
  {
    task: Task.TASK_EMOTION_CLASSIFICATION,
    emotion: '',
    labelSet: ['awe', 'bliss', 'calm'],
    multiLabel: true,
    n: 60,
    numbers: undefined,
    labels: {
      temperature: 1,
      thresholds: { awe: 1e-9, bliss: 2, calm: 1e-9 },
      confidence: curve(0.3, 0.3),
      mass: 1,
    },
  },
];

let objects: EvictingStore;

/** Stores a tiny model of random weights and makes it known. */
async function addModel(name: string, seed: number, teaching?: tuning.Teaching): Promise<void> {
  const config = parseConfig({
    model_type: 'opt',
    vocab_size: 300,
    hidden_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    ffn_dim: 32,
    max_position_embeddings: 400,
  });
  const tensors = initialTensors(config, seed);
  for (const { data } of tensors.values())
    for (let i = 0; i < data.length; i++) (data as Float32Array)[i] *= 8;
  const checkpoint = join(folder, `checkpoint-${name}`);
  await saveModel(checkpoint, { config, tensors }, { files: { 'tokenizer.json': tokenizerJson } });
  await objects.putFolder(`models/${name}/v1`, checkpoint);
  models.set(name, { ...modelOf(name), teaching });
}

beforeAll(async () => {
  objects = new EvictingStore(await FolderStore.open(join(folder, 'objects')));
  for (const [i, name] of ['one', 'two', 'three', 'four'].entries()) await addModel(name, i);
  await addModel('uncued', 0, { cues: false, inquiries: [], calibrations: [] });
  await addModel('taught', 0, { cues: true, inquiries: taught, calibrations: [] });
  await addModel('calibrated', 0, { cues: true, inquiries: taught, calibrations });
  await objects.put('models/broken/v1/config.json', '{}');
  await objects.put('models/broken/v1/tokenizer.json', tokenizerJson);
  for (const name of ['broken', 'gone']) models.set(name, modelOf(name));
  await addModel('older', 0);
  models.set('older', { ...models.get('older')!, tokenizer: 'as it was' });
  host = await Host.create({
    database: testDatabase,
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log: jsonLog((line) => logged.push(line)),
    listen: '127.0.0.1:0',
  });
  const context = await host.context('inference', inferenceMigrations);
  // Room for three.
  const modelBytes = 1900 * 2 ** 20;
  await host.start([peers, inferenceModule({ ...context, threads: 1, modelBytes })]);
  analyses = host.channel.client('AnalysisService');
});

afterAll(async () => {
  await host?.close();
  expect(objects.held).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  models.set('', models.get('one')!);
  logged.length = 0;
});

const loads = () => logged.filter((line) => line.includes('a model was loaded')).length;

describe('a model whose stored files are damaged', () => {
  it('answers nothing, and answers once they are whole again', async () => {
    await addModel('hurt', 0);
    const ask = () => analyses.call('analyze', { model: 'hurt', text: 'A fine day.' });
    const key = 'models/hurt/v1/model.safetensors';
    damageObject(objects, key);
    for (let i = 0; i < 3; i++) await expect(ask()).rejects.toThrow(`${key}: expected `);
    await expect(ask()).rejects.toThrow(DataLoss);
    await objects.putFolder('models/hurt/v1', join(folder, 'checkpoint-hurt'));
    await ask();
  });

  it('answers nothing any more where they are mapped, and is loaded again once they are whole', async () => {
    const store = await FolderStore.open(join(folder, 'objects'));
    const loaded = new LoadedModels({
      objects: store,
      threads: 1,
      clock: systemClock,
      log: jsonLog((line) => logged.push(line)),
    });
    const question = {
      task: 'sentiment-classification',
      text: 'A fine day.',
      cues: '',
      emotion: null,
      scale: null,
      decimals: 2,
      labelSet: ['bad', 'good'],
      paraphrase: 0,
      multiLabel: false,
    } as const;
    await addModel('mapped', 0);
    const ask = () => loaded.use(modelOf('mapped'), (answerer) => answerer.ask([question]));
    const key = 'models/mapped/v1/model.safetensors';
    const before = await ask();
    damageObject(store, key);
    await systemClock.sleep(1_100);
    for (let i = 0; i < 3; i++) await expect(ask()).rejects.toThrow(`${key}: expected `);
    await store.putFolder('models/mapped/v1', join(folder, 'checkpoint-mapped'));
    expect(await ask()).toEqual(before);
    // Also where nobody asked between damage and mending.
    damageObject(store, key);
    await store.putFolder('models/mapped/v1', join(folder, 'checkpoint-mapped'));
    await systemClock.sleep(1_100);
    expect(await ask()).toEqual(before);
    await loaded.close();
  });
});

describe('an analysis', () => {
  it('holds an answer to each task on its scale or labels, with distribution and cues', async () => {
    const text = 'Not a bad day 🙂';
    const analysis = await analyses.call('analyze', { text });
    expect(analysis).toMatchObject({ text, model: 'one@v1' });
    expect(analysis.cues.map(({ text: cue, modifier }) => [cue, modifier])).toContainEqual(['bad', 'not']);
    const [sentiment, valence, emotion, intensity] = analysis.answers;
    expect(sentiment.task).toBe(Task.TASK_SENTIMENT_CLASSIFICATION);
    expect(sentiment.distribution.map(({ answer }) => answer)).toEqual(['negative', 'neutral', 'positive']);
    expect(sentiment.distribution.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 9);
    expect(sentiment.labels).toHaveLength(1);
    expect(sentiment.value).toBeUndefined();
    expect(valence.scale).toEqual({ low: -4, high: 4 });
    expect(valence.distribution).toHaveLength(81);
    expect(valence.low).toBeGreaterThanOrEqual(-4);
    expect(valence.low).toBeLessThanOrEqual(valence.high!);
    expect(Math.abs(valence.value!)).toBeLessThanOrEqual(4);
    expect(emotion.distribution).toHaveLength(7);
    expect(emotion.labels.length).toBeGreaterThan(0);
    expect(intensity).toMatchObject({ emotion: 'joy', scale: { low: 0, high: 1 }, cut: false });
  });

  it('holds an answer on an inverted scale, whose numbers fall from least to most', async () => {
    const task = Task.TASK_SENTIMENT_REGRESSION;
    const scale = { low: 5, high: 1 };
    const { answers } = await analyses.call('analyze', { text: 'Not a bad day', task, scale });
    const [{ distribution, value, low, high }] = answers;
    expect(answers[0].scale).toEqual(scale);
    expect([distribution[0].answer, distribution.at(-1)!.answer]).toEqual(['5.0', '1.0']);
    expect(low!).toBeGreaterThanOrEqual(1);
    expect(high!).toBeLessThanOrEqual(5);
    expect(low!).toBeLessThanOrEqual(value!);
    expect(value!).toBeLessThanOrEqual(high!);
    const mean = distribution.reduce((sum, { answer, probability }) => sum + Number(answer) * probability, 0);
    expect(value!).toBeCloseTo(mean, 6);
  });

  it('is calibrated as the model says, unless it is asked for as it is', async () => {
    const ask = (task: common.Task, raw: boolean) =>
      analyses.call('analyze', { text: 'meh', model: 'calibrated', task, raw });
    const { answers } = await ask(Task.TASK_SENTIMENT_REGRESSION, false);
    const [{ value, low, high, calibrated, distribution }] = answers;
    // Three quarters of the way up 1..5.
    expect([value, low, high, calibrated]).toEqual([expect.closeTo(4, 9), 1, 5, true]);
    const mean = distribution.reduce((sum, d) => sum + Number(d.answer) * d.probability, 0);
    expect(mean).toBeCloseTo(4, 9);
    const [moods] = (await ask(Task.TASK_EMOTION_CLASSIFICATION, false)).answers;
    expect(moods).toMatchObject({
      labels: ['awe', 'calm'],
      within: ['awe', 'bliss', 'calm'],
      confidence: 0.3,
    });
    for (const task of [Task.TASK_SENTIMENT_REGRESSION, Task.TASK_EMOTION_CLASSIFICATION]) {
      const [raw] = (await ask(task, true)).answers;
      const [before] = (await analyses.call('analyze', { text: 'meh', model: 'taught', task })).answers;
      expect(raw).toEqual(before);
      expect(raw).toMatchObject({ calibrated: false, within: [] });
    }
  });

  it('says what it was not trained for, and that a language is unknown to it', async () => {
    const task = Task.TASK_SENTIMENT_REGRESSION;
    const ask = async (more: object) =>
      (await analyses.call('analyze', { text: 'meh', task, ...more })).answers[0];
    expect(await ask({ model: 'taught' })).toMatchObject({ trained: true, warnings: [] });
    expect(await ask({ model: 'taught', scale: { low: 0, high: 7 }, language: 'fi' })).toMatchObject({
      trained: false,
      skill: 'SKILL_UNKNOWN',
      warnings: [expect.stringContaining('not trained for sentiment-regression of 0..7')],
    });
    expect((await ask({ model: 'one' })).warnings).toEqual([expect.stringContaining('does not tell')]);
    await expect(ask({ language: 'in English' })).rejects.toThrow('language: expected a BCP 47 tag');
  });

  it('says where a text was cut to fit into the model', async () => {
    const long = await analyses.call('analyze', {
      text: '👩‍❤️‍👨 '.repeat(1_000),
      task: Task.TASK_SENTIMENT_REGRESSION,
    });
    expect(long.answers.map(({ cut }) => cut)).toEqual([true]);
  });

  it('asks one task on the scale or labels that the request declares', async () => {
    const scaled = await analyses.call('analyze', {
      text: 'meh',
      task: Task.TASK_EMOTION_REGRESSION,
      scale: { low: 1, high: 7 },
      emotion: 'trust',
    });
    const [{ value, distribution, emotion }] = scaled.answers;
    expect(scaled.answers).toHaveLength(1);
    expect(emotion).toBe('trust');
    const mean = distribution.reduce((sum, d) => sum + d.probability * Number(d.answer), 0);
    expect(value).toBeCloseTo(mean, 6);

    const labelled = await analyses.call('analyze', {
      text: 'meh',
      task: Task.TASK_SENTIMENT_CLASSIFICATION,
      labels: ['good', 'bad'],
    });
    expect(labelled.answers[0].distribution.map(({ answer }) => answer)).toEqual(['bad', 'good']);
  });

  it('follows the model that is promoted, and names the version that answered', async () => {
    const request = { text: 'the same words', task: Task.TASK_SENTIMENT_REGRESSION };
    const first = await analyses.call('analyze', request);
    models.set('', models.get('two')!);
    const second = await analyses.call('analyze', request);
    expect([first.model, second.model]).toEqual(['one@v1', 'two@v1']);
    expect(second.answers[0].value).not.toBeCloseTo(first.answers[0].value!, 6);
  });

  it('leaves the cues out for a model that learnt without them', async () => {
    const request = { text: 'a great joy', task: Task.TASK_SENTIMENT_REGRESSION };
    // The same weights, asked with and without the line.
    const cued = await analyses.call('analyze', { ...request, model: 'one' });
    const uncued = await analyses.call('analyze', { ...request, model: 'uncued' });
    expect(uncued.cues).toEqual(cued.cues);
    expect(uncued.answers[0].value).not.toBeCloseTo(cued.answers[0].value!, 6);
  });

  it('asks a model as it was taught, unless the request says otherwise', async () => {
    const analyze = async (more: Partial<inference.AnalyzeRequest> = {}) =>
      (await analyses.call('analyze', { text: 'what a view', model: 'taught', ...more })).answers;
    const answers = await analyze();
    expect(answers.map(({ scale, emotion }) => [scale?.high, emotion])).toEqual([
      [undefined, ''],
      [5, ''],
      [undefined, ''],
      [10, 'awe'],
    ]);
    expect(answers[0].distribution.map(({ answer }) => answer).sort()).toEqual(['grand', 'so-so']);
    // Each label is likelier than the threshold of the model's own.
    expect(answers[2].labels).toEqual(['awe', 'bliss', 'calm']);
    expect((await analyze({ emotion: 'calm' }))[3].scale).toEqual({ low: 0, high: 4 });
    expect((await analyze({ labels: ['x', 'y'] }))[0].distribution).toHaveLength(2);
    expect((await analyze({ scale: { low: 2, high: 3 } }))[1].scale).toEqual({ low: 2, high: 3 });
  });

  it('of a model that is missing or damaged says which and why', async () => {
    const analyze = (model: string) => analyses.call('analyze', { text: 'x', model });
    await expect(analyze('absent')).rejects.toBeInstanceOf(NotFound);
    for (const name of ['broken', 'gone', 'older']) {
      const error = await analyze(name).catch((e) => e);
      expect(error).toBeInstanceOf(FailedPrecondition);
      expect(error.message).toContain(`the model ${name}@v1 cannot be loaded`);
    }
  });

  it('of bad input names each field', async () => {
    const error = await analyses
      .call('analyze', { text: '', labels: ['a|b'], scale: { low: 2, high: 2 } })
      .catch((e) => e);
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error.violations.map(({ field }: { field: string }) => field)).toEqual([
      'text',
      'scale',
      'labels[0]',
    ]);
  });
});

describe('a batch', () => {
  it('is answered in its order, whatever models it names, as each text alone is', async () => {
    const requests = Array.from({ length: 40 }, (_, i) => ({
      text: `number ${i} of many`,
      model: i % 3 === 0 ? 'two' : '',
      task: Task.TASK_SENTIMENT_REGRESSION,
    }));
    const { analyses: got } = await analyses.call('analyzeBatch', { requests });
    expect(got.map(({ text }) => text)).toEqual(requests.map(({ text }) => text));
    expect(got.map(({ model }) => model)).toEqual(requests.map(({ model }) => `${model || 'one'}@v1`));
    for (const i of [0, 1, 39]) {
      const alone = await analyses.call('analyze', requests[i]);
      expect(got[i].answers[0].value).toBeCloseTo(alone.answers[0].value!, 4);
    }
  });

  it('of bad input names each request', async () => {
    const requests = [{ text: 'fine' }, { text: '' }];
    await expect(analyses.call('analyzeBatch', { requests })).rejects.toThrow('requests[1].text: expected');
    await expect(analyses.call('analyzeBatch', {})).rejects.toThrow('requests: expected 1 to 1000');
  });
});

describe('more than can be answered', () => {
  const many = (count: number, words = 300) =>
    Array.from({ length: count }, (_, i) => ({ text: `number ${i} `.repeat(words) }));

  /** How often the model has been asked, and that it is not asked any more. */
  async function asked(score: { mock: { calls: unknown[] } }): Promise<number> {
    let before = -1;
    await expect
      .poll(() => {
        const same = before === score.mock.calls.length;
        before = score.mock.calls.length;
        return same;
      })
      .toBe(true);
    return before;
  }

  it('is not computed for callers whose deadline has passed, or who have left', async () => {
    await analyses.call('analyze', { text: 'x' });
    const score = vi.spyOn(Scorer.prototype, 'score');
    try {
      const late = analyses.call('analyzeBatch', { requests: many(1000) }, { deadlineMs: 400 });
      await expect(late).rejects.toThrow('did not answer in time');
      const abort = new AbortController();
      const left = analyses.call('analyzeBatch', { requests: many(1000) }, { signal: abort.signal });
      setTimeout(() => abort.abort(new Error('enough')), 400);
      await expect(left).rejects.toThrow('enough');
      // The 4,000 questions of each are asked 64 at a time.
      expect(await asked(score)).toBeLessThan(60);
      expect((await analyses.call('analyze', { text: 'x' })).answers).toHaveLength(4);
    } finally {
      score.mockRestore();
    }
  });

  it('keeps nobody else waiting: small calls are answered while large ones are', async () => {
    let done = false;
    const large = analyses.call('analyzeBatch', { requests: many(100, 30) }).then(() => {
      done = true;
    });
    for (let i = 0; i < 2; i++) await analyses.call('analyze', { text: `small ${i}` });
    expect(done).toBe(false);
    await large;
  });

  it('is refused, with when to ask again', async () => {
    const context = await host.context('inference', inferenceMigrations);
    const strict = new Analyses({ ...context, threads: 1, waitSeconds: 0.001 });
    const asker = { caller: 'one', signal: new AbortController().signal };
    const request = (text: string) => ({
      ...empty<inference.AnalyzeRequest>('emotune.inference.v1.AnalyzeRequest'),
      text,
    });
    try {
      await strict.analyzeBatch(
        Array.from({ length: 200 }, (_, i) => request(`text ${i}`)),
        asker,
      );
      const large = strict.analyzeBatch(
        many(60).map(({ text }) => request(text)),
        asker,
      );
      const error = await strict.analyze(request('one more'), asker).catch((e) => e);
      expect(error).toBeInstanceOf(ResourceExhausted);
      expect(error.message).toContain('too much waits');
      expect(error.retryAfterMs).toBeGreaterThanOrEqual(1000);
      expect((await strict.analyze(request('of another'), { ...asker, caller: 'two' })).answers).toHaveLength(
        4,
      );
      expect((await large).bytes.length).toBeGreaterThan(60 * 1000);
      expect((await strict.analyze(request('later'), asker)).answers).toHaveLength(4);
    } finally {
      await strict.onApplicationShutdown();
      await context.database.close();
    }
  });
});

describe('a stream', () => {
  const task = Task.TASK_SENTIMENT_CLASSIFICATION;

  it('answers one by one, and ends with the error of the text that cannot be answered', async () => {
    const seen: string[] = [];
    const read = async () => {
      const requests = ['first', 'second', ''].map((text) => ({ text, task }));
      for await (const { text } of analyses.duplex('analyzeStream', requests)) seen.push(text);
    };
    await expect(read()).rejects.toThrow('text: expected 1 to 10000 characters');
    expect(seen).toEqual(['first', 'second']);
  });

  it('answers before the next text is sent', async () => {
    let answered = (_: unknown) => {};
    async function* requests() {
      for (const text of ['one', 'two', 'three']) {
        const answer = new Promise((resolve) => {
          answered = resolve;
        });
        yield { text, task };
        await answer;
      }
    }
    const seen: string[] = [];
    for await (const { text } of analyses.duplex('analyzeStream', requests())) {
      seen.push(text);
      answered(text);
    }
    expect(seen).toEqual(['one', 'two', 'three']);
  });

  it('takes texts no faster than it answers them, and stops taking when the caller leaves', async () => {
    let sent = 0;
    let stopped = false;
    async function* requests() {
      try {
        for (; sent < 20_000; sent++) yield { text: 'x '.repeat(4_000), task };
      } finally {
        stopped = true;
      }
    }
    let seen = 0;
    const abort = new AbortController();
    const reason = new Error('enough');
    const read = async () => {
      for await (const _ of analyses.duplex('analyzeStream', requests(), { signal: abort.signal }))
        if (++seen === 2) abort.abort(reason);
    };
    await expect(read()).rejects.toBe(reason);
    // 8 kB a text: what fits into the windows of HTTP/2 and the buffers of both sides.
    expect(sent).toBeLessThan(500);
    await expect.poll(() => stopped).toBe(true);
    // The service goes on answering others.
    expect((await analyses.call('analyze', { text: 'still here', task })).answers).toHaveLength(1);
  });
});

it('loads a model once for all who want it, and keeps the last used ones', async () => {
  const task = Task.TASK_SENTIMENT_CLASSIFICATION;
  const ask = (model: string) => analyses.call('analyze', { text: 'x', model, task });
  await Promise.all(['two', 'three', 'four'].map(ask));
  logged.length = 0;
  await ask('four');
  expect(loads()).toBe(0);
  // More models than are kept, all at once: each is answered by its own, none is closed while it answers.
  const names = ['one', 'two', 'three', 'four', 'one', 'two', 'three', 'four'];
  const answers = await Promise.all(names.map(ask));
  expect(answers.map(({ model }) => model)).toEqual(names.map((name) => `${name}@v1`));
  await ask('one');
  logged.length = 0;
  await Promise.all([ask('one'), ask('one')]);
  expect(loads()).toBe(0);
  // Their weights are mapped from the store's files, which stay until the models go.
  expect(objects.held).toBeGreaterThanOrEqual(3);
});
