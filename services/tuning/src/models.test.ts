import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Calibration, parseTeaching, teachingJson } from '@emotune/affect';
import {
  AlreadyExists,
  DataLoss,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  sha256,
  systemClock,
  Unavailable,
} from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { MemoryBus } from '@emotune/events';
import { hubSettings } from '@emotune/hub';
import { HubServer } from '@emotune/hub/testing';
import {
  initialLora,
  loadAdapter,
  loadModel,
  loadTokenizer,
  mergeAdapter,
  SafetensorsFile,
  saveAdapter,
  writeSafetensors,
} from '@emotune/models';
import { convertedTensors, ggufBytes } from '@emotune/models/testing';
import { FolderStore } from '@emotune/objects';
import { damageObject, EvictingStore } from '@emotune/objects/testing';
import { common, evaluation, tuning } from '@emotune/proto';
import { type Client, filesModule, Host, jsonLog } from '@emotune/service';
import { downloadFolder, importCheckpoint } from '@emotune/service/client';
import { Controller, type DynamicModule, Module } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tuningMigrations, tuningModule } from './index.js';
import { deleteExport, exportModel } from './model-export.js';
import { storeModel } from './model-store.js';
import { Models } from './models.js';
import type { ExperimentRow, TrialRow } from './store.js';
import { experimentSpec, TestRunner, tinyCheckpoint, usualTrainer } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-models-'));

/** What the double of the evaluation service answers with; nothing: the two were not asked the same rows. */
let comparison: evaluation.Comparison | undefined;
const compared: evaluation.CompareEvaluationsRequest[] = [];

const unused = (): never => {
  throw new Unavailable('not in this test');
};

@Controller()
@evaluation.EvaluationServiceControllerMethods()
class Evaluations implements evaluation.EvaluationServiceController {
  evaluate(): never {
    return unused();
  }
  getEvaluation(): never {
    return unused();
  }
  listEvaluations(): never {
    return unused();
  }
  watchEvaluation(): never {
    return unused();
  }
  deleteEvaluation(): never {
    return unused();
  }
  createStudy(): never {
    return unused();
  }
  submitJudgement(): never {
    return unused();
  }
  compareEvaluations(request: evaluation.CompareEvaluationsRequest): evaluation.Comparison {
    compared.push(request);
    if (!comparison) throw new NotFound('expected evaluations on the same rows, got none');
    return comparison;
  }
}

@Module({})
class PeersModule {}
const peers: DynamicModule = { module: PeersModule, controllers: [Evaluations] };

const objects = new EvictingStore(await FolderStore.open(join(folder, 'objects')));
let host: Host;
let database: Database;
let client: Client<tuning.ModelServiceClient>;
let models: Models;
let hubServer: HubServer;

beforeAll(async () => {
  host = await Host.create({
    database: async (schema) => {
      database = await Database.connect(await testDatabaseUrl(), schema);
      return database;
    },
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
  });
  const context = await host.context('tuning', tuningMigrations);
  const runner = new TestRunner(objects, usualTrainer);
  hubServer = await HubServer.start();
  const hub = {
    ...hubSettings({ HF_ENDPOINT: hubServer.endpoint, HF_HOME: join(folder, 'huggingface') }),
    pauseMs: 1,
  };
  await host.start([
    filesModule(context),
    tuningModule({ ...context, runner, address: host.address, hub }),
    peers,
  ]);
  client = host.channel.client('ModelService');
  models = new Models({ ...context, hub });
  for (const family of ['opt', 'bloom', 'llama'] as const) await tinyCheckpoint(join(folder, family), family);
});

afterAll(async () => {
  await host.close();
  await hubServer.close();
  expect(objects.held).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

const get = (name: string) => client.call('getModel', { name });
const add = (name: string, path: string, base?: string) =>
  importCheckpoint(host.channel, { name, path, base });

async function violations(call: Promise<unknown>): Promise<Record<string, string>> {
  const error = await call.catch((e) => e);
  expect(error).toBeInstanceOf(InvalidArgument);
  return Object.fromEntries((error as InvalidArgument).violations.map((v) => [v.field, v.description]));
}

/** A copy of the OPT checkpoint to spoil. */
function copy(name: string): string {
  cpSync(join(folder, 'opt'), join(folder, name), { recursive: true });
  return join(folder, name);
}

const out = (name: string) => join(folder, 'out', name);
const write = (name: string, format: string, directory: string) =>
  downloadFolder(host.channel, async () => (await client.call('exportModel', { name, format })).files, {
    folder: directory,
    field: 'directory',
  });

/** The LLaMA checkpoint as one GGUF file, alone in a folder. */
async function ggufFolder(name: string): Promise<string> {
  const model = await loadModel(join(folder, 'llama'));
  const { model: bpe } = JSON.parse(readFileSync(join(folder, 'llama', 'tokenizer.json'), 'utf8'));
  const tokens = Object.keys(bpe.vocab).sort((p, q) => bpe.vocab[p] - bpe.vocab[q]);
  const dir = join(folder, name);
  mkdirSync(dir);
  const key = (of: string) => `llama.${of}`;
  writeFileSync(
    join(dir, 'model.gguf'),
    ggufBytes({
      metadata: {
        'general.architecture': { string: 'llama' },
        [key('block_count')]: { uint32: 1 },
        [key('context_length')]: { uint32: 32 },
        [key('embedding_length')]: { uint32: 8 },
        [key('feed_forward_length')]: { uint32: 16 },
        [key('attention.head_count')]: { uint32: 2 },
        [key('attention.layer_norm_rms_epsilon')]: { float32: 1e-6 },
        'tokenizer.ggml.model': { string: 'gpt2' },
        'tokenizer.ggml.pre': { string: 'smollm' },
        'tokenizer.ggml.tokens': { strings: tokens },
        'tokenizer.ggml.token_type': { int32s: tokens.map((token) => (/^<\/?s>$/.test(token) ? 3 : 1)) },
        'tokenizer.ggml.merges': { strings: bpe.merges.map((pair: string[]) => pair.join(' ')) },
      },
      tensors: convertedTensors(model),
    }),
  );
  return dir;
}

describe('import', () => {
  it('takes each family, idempotent by content', async () => {
    for (const family of ['opt', 'bloom', 'llama']) {
      const model = await add(`base-${family}`, join(folder, family));
      expect(model).toMatchObject({
        name: `base-${family}`,
        family,
        promoted: true,
        basePrefix: '',
        kind: tuning.ModelKind.MODEL_KIND_BASE,
        state: tuning.ModelState.MODEL_STATE_REGISTERED,
        prefix: `models/base-${family}/${model.version}`,
      });
      await using stored = await objects.folder(model.prefix);
      const { tensors } = await loadModel(stored.path);
      expect(model.parameters).toBe([...tensors.values()].reduce((n, { data }) => n + data.length, 0));
      expect(await add(`base-${family}`, join(folder, family))).toEqual({ ...model, notices: [] });
    }
    const { models: all } = await client.call('listModels', { kind: tuning.ModelKind.MODEL_KIND_BASE });
    expect(all.map(({ name }) => name)).toEqual(['base-opt', 'base-bloom', 'base-llama']);
  });

  it('of a model whose files are damaged puts whole ones in their place', async () => {
    const model = await add('hurt', join(folder, 'opt'));
    for (const file of ['model.safetensors', 'config.json', 'tokenizer.json']) {
      damageObject(objects, `${model.prefix}/${file}`);
      const { format, directory } = { format: 'safetensors', directory: out(`hurt-${file}`) };
      await expect(write('hurt', format, directory)).rejects.toThrow(`${model.prefix}/${file}: expected `);
      await expect(write('hurt', format, directory)).rejects.toThrow(DataLoss);
      expect(await add('hurt', join(folder, 'opt'))).toMatchObject({ version: model.version });
      await write('hurt', format, directory);
      rmSync(directory, { recursive: true });
    }
  });

  it('of new content under a name is the one that is served from then on', async () => {
    const first = await add('twice', join(folder, 'opt'));
    const second = await add('twice', join(folder, 'llama'));
    expect(second.version).not.toBe(first.version);
    expect(await get('twice')).toEqual({ ...second, notices: [] });
    // What is there already changes nothing, so a restart that imports again does not either.
    expect(await add('twice', join(folder, 'opt'))).toMatchObject({
      version: first.version,
      promoted: false,
    });
    expect(await client.call('promoteModel', { name: `twice@${first.version}` })).toMatchObject({
      promoted: true,
    });
    expect((await get('twice')).version).toBe(first.version);
    expect((await get(`twice@${second.version}`)).promoted).toBe(false);
  });

  it('leaves out files that belong to something else', async () => {
    const dir = copy('with-more');
    writeFileSync(join(dir, 'pytorch_model.bin'), 'x');
    mkdirSync(join(dir, '.git'));
    const { prefix } = await add('with-more', dir);
    expect((await objects.list(`${prefix}/`)).map(({ key }) => key.slice(prefix.length + 1))).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
  });

  it('keeps a GGUF file with what other parts read from a folder', async () => {
    const model = await loadModel(join(folder, 'llama'));
    const tokenizer = await loadTokenizer(join(folder, 'llama'));
    const dir = await ggufFolder('gguf');
    const { prefix } = await add('gguf', dir);
    await using lease = await objects.folder(prefix);
    const stored = lease.path;
    expect(readdirSync(stored).sort()).toEqual([
      'config.json',
      'model.gguf',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect((await loadModel(stored)).tensors).toEqual(model.tensors);
    expect((await loadTokenizer(stored)).encode('a glad cat')).toEqual(tokenizer.encode('a glad cat'));
    expect(readdirSync(dir)).toEqual(['model.gguf']);
  });

  it('takes a GGUF file by its name, also where others lie beside it', async () => {
    const dir = await ggufFolder('several');
    cpSync(join(dir, 'model.gguf'), join(dir, 'small.gguf'));
    await expect(add('several', dir)).rejects.toThrow('name the file itself');
    const { prefix, source } = await add('several', join(dir, 'small.gguf'));
    expect(source).toBe(join(dir, 'small.gguf'));
    await using lease = await objects.folder(prefix);
    expect((await loadModel(lease.path)).tensors).toEqual((await loadModel(join(folder, 'llama'))).tensors);
    await expect(add('x', join(dir, 'config.json'))).rejects.toBeInstanceOf(NotFound);
  });

  it('merges an adapter into the base that its config names, by name, source or path', async () => {
    const base = await add('adapted-base', join(folder, 'opt'));
    const dir = join(folder, 'adapter');
    mkdirSync(dir);
    await leaveAdapter(dir);
    writeFileSync(join(dir, 'README.md'), '---\nlicense: mit\n---\n');
    const whole = await loadModel(join(folder, 'opt'));
    const want = mergeAdapter(whole, await loadAdapter(dir, whole.config)).tensors;
    const named = (value: string) => {
      const path = join(dir, 'adapter_config.json');
      const json = JSON.parse(readFileSync(path, 'utf8'));
      writeFileSync(path, JSON.stringify({ ...json, base_model_name_or_path: value }));
    };
    for (const [name, written, given] of [
      ['adapted-by-name', 'adapted-base', undefined],
      ['adapted-by-source', base.source, undefined],
      ['adapted-as-told', 'somewhere/else', `adapted-base@${base.version}`],
      ['adapted-by-path', 'somewhere/else', join(folder, 'opt')],
    ] as const) {
      named(written);
      const model = await add(name, dir, given);
      expect(model).toMatchObject({ kind: tuning.ModelKind.MODEL_KIND_BASE, basePrefix: '', licence: 'mit' });
      await using lease = await objects.folder(model.prefix);
      expect((await loadModel(lease.path)).tensors).toEqual(want);
      expect(readdirSync(lease.path)).toContain('tokenizer.json');
    }
    expect((await get('adapted-by-path-base')).source).toBe(join(folder, 'opt'));
    named('somewhere/else');
    await expect(add('adapted-by-nothing', dir)).rejects.toThrow(
      'base: expected the model that the adapter adapted-by-nothing was trained on, "somewhere/else", got none',
    );
    await expect(add('adapted-by-other', dir, 'base-llama')).rejects.toBeInstanceOf(InvalidArgument);
    expect(await violations(add('no-adapter', join(folder, 'opt'), 'base-opt'))).toHaveProperty('base');
  });

  describe('from the Hub', () => {
    const readAll = (dir: string) =>
      Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))]));
    const fetchModel = async (name: string, source: string, base = '') => {
      const updates: tuning.ImportHubModelResponse[] = [];
      for await (const update of client.stream('importHubModel', { name, source, base }))
        updates.push(update);
      return updates.at(-1)!.model!;
    };

    it('takes a checkpoint with its licence, and knows it again', async () => {
      const files = {
        ...readAll(join(folder, 'opt')),
        'README.md': '---\nlicense: mit\n---\n',
        'flax.msgpack': 'x',
      };
      const commit = hubServer.put('models/someone/tiny', { files });
      const model = await fetchModel('from-hub', 'hf:someone/tiny');
      expect(model).toMatchObject({
        kind: tuning.ModelKind.MODEL_KIND_BASE,
        family: 'opt',
        licence: 'mit',
        source: `hf:someone/tiny@${commit}`,
      });
      await using lease = await objects.folder(model.prefix);
      expect((await loadModel(lease.path)).tensors).toEqual((await loadModel(join(folder, 'opt'))).tensors);
      expect(readdirSync(lease.path)).not.toContain('flax.msgpack');
      // Only the import itself tells what of its files was not read.
      const known = { ...model, notices: [] };
      expect(await fetchModel('from-hub', 'hf:someone/tiny@main')).toEqual(known);
      expect(await get('hf:someone/tiny')).toEqual(known);
      expect(await get(`hf:someone/tiny@${commit}`)).toEqual(known);
      for (const other of [`hf:someone/tiny@${'0'.repeat(40)}`, 'hf:someone/ti', 'hf:someone/tiny:a.gguf'])
        await expect(get(other)).rejects.toThrow(`fetch it with "emotune model import ${other} --name NAME"`);
      // What is tuned on it names it as others do.
      const id = await store('hub-tuned', leaveAdapter, 'from-hub');
      await write('hub-tuned', 'peft', out('hub-tuned'));
      const config = JSON.parse(readFileSync(join(out('hub-tuned'), 'adapter_config.json'), 'utf8'));
      expect([config.base_model_name_or_path, config.revision]).toEqual(['someone/tiny', commit]);
      const card = readFileSync(join(out('hub-tuned'), 'README.md'), 'utf8');
      expect(card).toContain('base_model: "someone/tiny"\nlicense: mit');
      expect((await get(id)).lineage?.baseSource).toBe(`hf:someone/tiny@${commit}`);
      rmSync(out('hub-tuned'), { recursive: true });
    });

    it('takes an adapter and fetches the base that its config names', async () => {
      hubServer.put('models/someone/base', { files: readAll(join(folder, 'opt')) });
      const dir = join(folder, 'hub-adapter');
      mkdirSync(dir);
      await leaveAdapter(dir);
      const path = join(dir, 'adapter_config.json');
      const json = JSON.parse(readFileSync(path, 'utf8'));
      writeFileSync(path, JSON.stringify({ ...json, base_model_name_or_path: 'someone/base' }));
      hubServer.put('models/someone/adapter', { files: readAll(dir) });
      const model = await fetchModel('hub-adapted', 'hf:someone/adapter');
      const whole = await loadModel(join(folder, 'opt'));
      await using lease = await objects.folder(model.prefix);
      expect((await loadModel(lease.path)).tensors).toEqual(
        mergeAdapter(whole, await loadAdapter(dir, whole.config)).tensors,
      );
      expect((await get('hub-adapted-base')).source).toMatch(/^hf:someone\/base@[0-9a-f]{40}$/);
      // An adapter of this machine whose base is on the Hub.
      const local = await add('local-adapted', dir);
      expect(local.parameters).toBe(model.parameters);
    });

    it('takes one GGUF file of several', async () => {
      const gguf = readFileSync(join(await ggufFolder('hub-gguf'), 'model.gguf'));
      hubServer.put('models/someone/quants', { files: { 'a.gguf': gguf, 'b.gguf': gguf } });
      await expect(fetchModel('quants', 'hf:someone/quants')).rejects.toThrow(
        'hf:someone/quants@main: the repository has several GGUF files; name one as hf:someone/quants@main:FILE, of a.gguf, b.gguf',
      );
      expect((await fetchModel('quants', 'hf:someone/quants:b.gguf')).family).toBe('llama');
    });

    it('refuses what cannot be used, in words that say what to do', async () => {
      hubServer.put('models/someone/old', { files: { 'config.json': '{}', 'pytorch_model.bin': 'x' } });
      await expect(fetchModel('old', 'hf:someone/old')).rejects.toThrow(
        'look for a revision with safetensors',
      );
      await expect(fetchModel('old', 'hf:someone/nothing')).rejects.toThrow(
        'set HF_TOKEN where the platform runs',
      );
      await expect(fetchModel('old', 'hf:someone/old@v2')).rejects.toBeInstanceOf(NotFound);
      expect(await violations(fetchModel('old', 'someone/old'))).toHaveProperty('source');
      expect(await violations(fetchModel('old', 'hf:datasets/someone/old'))).toHaveProperty('source');
      expect(await violations(fetchModel('Old!', 'hf:someone/old'))).toHaveProperty('name');
    });
  });

  it('names every tensor that is missing, extra or of another shape', async () => {
    const dir = copy('spoiled');
    const { tensors } = await loadModel(dir);
    const kept = new Map(
      [...tensors].map(([name, t]) => [name, { shape: t.shape, data: t.data as Float32Array }]),
    );
    const [norm, bias] = ['model.decoder.final_layer_norm.weight', 'model.decoder.final_layer_norm.bias'];
    kept.delete(norm);
    kept.set(bias, { shape: [4], data: new Float32Array(4) });
    kept.set('surplus', { shape: [1], data: new Float32Array(1) });
    await writeSafetensors(join(dir, 'model.safetensors'), kept);
    expect(await violations(add('spoiled', dir))).toEqual({
      surplus: 'expected no such tensor in this opt model, got [1]',
      [norm]: 'expected a tensor of [8], got nothing',
      [bias]: 'expected [8], got [4]',
    });
    await expect(get('spoiled')).rejects.toBeInstanceOf(NotFound);
    expect(await objects.list('models/spoiled/')).toEqual([]);
  });

  it('refuses tokenizers of other models, odd configurations, names and folders', async () => {
    const large = copy('large-vocabulary');
    const path = join(large, 'tokenizer.json');
    const json = JSON.parse(readFileSync(path, 'utf8'));
    json.model.vocab['extra'] = 300;
    writeFileSync(path, JSON.stringify(json));
    expect((await violations(add('x', large)))['tokenizer.json']).toContain(
      'expected at most vocab_size (264)',
    );
    const odd = copy('odd');
    writeFileSync(join(odd, 'config.json'), '{"model_type":"gpt2"}');
    expect(await violations(add('x', odd))).toHaveProperty('model_type');
    expect(await violations(add('X!', large))).toHaveProperty('name');
    const wrong = [
      { path: 'config.json', sha256: 'relative' },
      { path: '', sha256: '0'.repeat(64) },
    ];
    const asked = client.call('importModel', { name: 'x', files: [...wrong, ...wrong] });
    expect(Object.keys(await violations(asked))).toEqual([
      'files[0].sha256',
      'files[1].path',
      'files[2].sha256',
      'files[2].path',
      'files[3].path',
    ]);
    await expect(add('x', join(folder, 'nowhere'))).rejects.toBeInstanceOf(NotFound);
    rmSync(join(odd, 'config.json'));
    await expect(add('x', odd)).rejects.toBeInstanceOf(NotFound);
  });
});

it('an import of what was not sent names the file, and one that is known needs nothing sent', async () => {
  const dir = copy('unsent');
  const stored = await add('unsent', dir);
  const files = readdirSync(dir)
    .sort()
    .map((path) => ({ path, sha256: sha256(readFileSync(join(dir, path))) }));
  await objects.delete('uploads');
  expect(await client.call('importModel', { name: 'unsent', files })).toEqual({ ...stored, notices: [] });
  const other = [{ path: 'config.json', sha256: '0'.repeat(64) }, ...files.slice(1)];
  const error = await client.call('importModel', { name: 'unsent', files: other }).catch((e) => e);
  expect(error).toBeInstanceOf(FailedPrecondition);
  expect(error.message).toContain('files[0]: the content of "config.json" is not here');
  // Names that lead out of a folder belong to no checkpoint.
  const outside = files.map(({ path, sha256 }) => ({ path: `../${path}`, sha256 }));
  await expect(client.call('importModel', { name: 'outside', files: outside })).rejects.toBeInstanceOf(
    NotFound,
  );
  expect((await objects.list('models/outside/')).length).toBe(0);
});

/** Stores what a final training left: a full checkpoint or an adapter. */
async function store(
  model: string,
  leave: (dir: string) => Promise<void>,
  baseModel = 'base-opt',
): Promise<string> {
  const base = await get(baseModel);
  const dir = mkdtempSync(join(folder, 'final-'));
  await leave(dir);
  const modelPrefix = `trials/${model}/1/model`;
  await objects.delete(`${modelPrefix}/`);
  await objects.putFolder(modelPrefix, dir);
  const { name, version, prefix, tokenizer } = base;
  const experiment = {
    name: model,
    spec: { ...experimentSpec(), model },
    bases: [{ architecture: 'opt', model: name, version, prefix, tokenizer }],
    features: { version: 'f', dataset: 'd', datasetVersion: 'v', prefixes: {} },
  } as unknown as ExperimentRow;
  const trial = {
    number: 1,
    parameters: {},
    tokens: 10,
    tokens_per_second: 2,
    model_prefix: modelPrefix,
    created_at: new Date(0),
  } as unknown as TrialRow;
  return storeModel(models, experiment, trial);
}

const lora = { rank: 2, alpha: 4 };

async function leaveAdapter(dir: string, seed = 1): Promise<void> {
  const { config } = await loadModel(join(folder, 'opt'));
  const tensors = initialLora(config, lora, seed);
  for (const { data } of tensors.values()) (data as Float32Array).fill(0.01 * seed);
  await saveAdapter(dir, { lora: { ...lora, targets: [] }, tensors }, config, 'base-opt');
  cpSync(join(folder, 'opt', 'tokenizer.json'), join(dir, 'tokenizer.json'));
}

async function leaveCheckpoint(dir: string): Promise<void> {
  cpSync(join(folder, 'opt'), dir, { recursive: true });
}

describe('a tuned model', () => {
  it('is promoted when it is the first of its name to be registered, later ones on request', async () => {
    const first = await store('moods', (dir) => leaveAdapter(dir, 1));
    expect(await get(first)).toMatchObject({
      state: tuning.ModelState.MODEL_STATE_TRAINED,
      promoted: false,
      basePrefix: (await get('base-opt')).prefix,
    });
    await expect(client.call('promoteModel', { name: first })).rejects.toBeInstanceOf(FailedPrecondition);
    const register = (id: string) =>
      database.transaction((sql) => models.register(sql, id, new Date(systemClock.now())));
    await register(first);
    expect(await get('moods')).toMatchObject({ promoted: true });
    const second = await store('moods', (dir) => leaveAdapter(dir, 2));
    await register(second);
    expect((await get('moods')).version).toBe(first.split('@')[1]);
    // Worse by more than chance on one subtask of two.
    const task = common.Task.TASK_SENTIMENT_REGRESSION;
    const worse = { task, metric: 'rmse', first: 0.5, second: 0.25, n: 100, firstBetter: false };
    const other = { ...worse, task: common.Task.TASK_EMOTION_REGRESSION, pValue: 0.4, pAdjusted: 0.4 };
    comparison = { first: 'b', second: 'a', tasks: [{ ...worse, pValue: 0.001, pAdjusted: 0.002 }, other] };
    const refused = await client.call('promoteModel', { name: 'moods' }).catch((error) => error);
    expect(refused).toBeInstanceOf(FailedPrecondition);
    expect(refused.message).toContain(
      `${second} answers worse than ${first}, which is served: sentiment-regression: rmse 0.250 → 0.500 (n = 100, p = 0.0020);`,
    );
    expect(compared.at(-1)).toEqual({ first: second, second: first });
    expect((await get('moods')).version).toBe(first.split('@')[1]);
    await client.call('promoteModel', { name: 'moods', force: true });
    expect((await get('moods')).version).toBe(second.split('@')[1]);
    // No worse than chance explains; then not compared at all; and itself, which has nothing to be compared with.
    comparison = { ...comparison, tasks: [other] };
    expect((await client.call('promoteModel', { name: first })).notices).toEqual([]);
    comparison = undefined;
    const { version, notices } = await client.call('promoteModel', { name: 'moods' });
    expect(version).toBe(second.split('@')[1]);
    expect(notices).toEqual([
      `${second} was not compared with ${first}, in whose place it is served: expected evaluations on the same rows, got none`,
    ]);
    const calls = compared.length;
    expect((await client.call('promoteModel', { name: second })).notices).toEqual([]);
    expect(compared).toHaveLength(calls);
    expect((await get('')).version).toBe(second.split('@')[1]);
    await expect(add('moods', join(folder, 'opt'))).rejects.toBeInstanceOf(AlreadyExists);
  });

  it('stored twice is one version, evaluated once', async () => {
    const id = await store('same', leaveCheckpoint);
    expect(await store('same', leaveCheckpoint)).toBe(id);
    const [model, version] = id.split('@');
    const note = (prefix: string) =>
      database.transaction((sql) =>
        models.evaluated(sql, { id: 'e', model, version, prefix, failure: '', questions: [] }),
      );
    await note('evaluations/e');
    await database.transaction((sql) => models.register(sql, id, new Date(0)));
    await note('evaluations/later');
    expect((await get(id)).evaluation).toBe('evaluations/e');
  });

  it('whose adapter does not fit its base is refused', async () => {
    await expect(
      store('unfit', async (dir) => {
        await leaveAdapter(dir);
        const path = join(dir, 'adapter_model.safetensors');
        const file = await SafetensorsFile.open(path);
        const [name] = file.entries.keys();
        await file.close();
        await writeSafetensors(path, new Map([[name, { shape: [1], data: new Float32Array(1) }]]));
      }),
    ).rejects.toBeInstanceOf(InvalidArgument);
  });

  /** A copy with a JSON file changed. */
  const edited = (name: string, file: string, change: (json: Record<string, unknown>) => unknown) => {
    const path = join(copy(name), file);
    writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))));
    return join(folder, name);
  };

  it('takes the end of sequence from the files, and refuses a model that has none', async () => {
    const other = await add(
      'ends-otherwise',
      edited('ends-otherwise', 'config.json', (c) => ({ ...c, eos_token_id: 7 })),
    );
    const named = await add(
      'ends-by-its-id',
      edited('ends-by-its-id', 'config.json', (c) => ({ ...c, eos_token_id: 1 })),
    );
    const spelt = await add('ends-by-spelling', join(folder, 'opt'));
    // Where rows end otherwise, features are not shared.
    expect(other.tokenizer).not.toBe(named.tokenizer);
    expect(spelt.tokenizer).toBe(named.tokenizer);
    expect([other.notices, named.notices]).toEqual([[], []]);
    expect(spelt.notices).toEqual([
      expect.stringContaining('answers end with token 1, by its usual spelling'),
    ]);
    edited('ends-nowhere', 'config.json', (c) => ({ ...c, eos_token_id: -1 }));
    const renamed = JSON.parse(
      readFileSync(join(folder, 'ends-nowhere', 'tokenizer.json'), 'utf8').replaceAll('"</s>"', '"<stop>"'),
    );
    writeFileSync(join(folder, 'ends-nowhere', 'tokenizer.json'), JSON.stringify(renamed));
    expect(await violations(add('ends-nowhere', join(folder, 'ends-nowhere')))).toEqual({
      'config.json: eos_token_id': expect.stringContaining(
        'name it in one of them and import the model again',
      ),
    });
    writeFileSync(
      join(folder, 'ends-nowhere', 'tokenizer_config.json'),
      '{"eos_token": {"content": "<stop>"}}',
    );
    expect((await add('ends-nowhere', join(folder, 'ends-nowhere'))).notices).toEqual([]);
  });

  it('tells what of a config was not read, and refuses by name what would change the numbers', async () => {
    const more = {
      unsloth_version: '2025.1',
      max_sequence_length: 64,
      quantization_config: null,
      pad_token_id: -1,
    };
    const told = await add(
      'spare-fields',
      edited('spare-fields', 'config.json', (c) => ({ ...c, ...more })),
    );
    expect(told.notices[0]).toBe(
      'config.json: unsloth_version, max_sequence_length: not read, since opt models do not depend on it',
    );
    const path = edited('telling-field', 'config.json', (c) => ({ ...c, final_logit_softcapping: 30 }));
    expect(await violations(add('telling-field', path))).toEqual({
      final_logit_softcapping: expect.stringContaining('expected null, got 30'),
    });
  });
});

/** What every export has beside its weights, whatever its base had. */
const companions = ['special_tokens_map.json', 'tokenizer.json', 'tokenizer_config.json'];

describe('export', () => {
  it('writes an adapter as it is, and merged into its base', async () => {
    const files = await write('moods', 'peft', out('peft'));
    expect(files).toEqual(
      ['README.md', 'adapter_config.json', 'adapter_model.safetensors', ...companions].map((f) =>
        join(out('peft'), f),
      ),
    );
    const base = await loadModel(join(folder, 'opt'));
    const adapter = await loadAdapter(out('peft'), base.config);
    mkdirSync(out('merged'));
    await write('moods', 'safetensors', out('merged'));
    expect((await loadModel(out('merged'))).tensors).toEqual(mergeAdapter(base, adapter).tensors);
    expect(readdirSync(out('merged'))).toEqual(
      ['README.md', 'config.json', 'model.safetensors', ...companions].sort(),
    );
  });

  it('writes a full model as it is and says that it has no adapter', async () => {
    await write('same', 'safetensors', out('full'));
    expect(await loadModel(out('full'))).toEqual(await loadModel(join(folder, 'opt')));
    await expect(write('same', 'peft', out('none'))).rejects.toBeInstanceOf(FailedPrecondition);
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(['full', 'merged', 'peft']);
  });

  it('writes one graph for inference, with the adapter merged and its tokenizer beside it', async () => {
    for (const [name, merged] of [
      ['moods', 'merged'],
      ['same', 'full'],
    ]) {
      await write(name, 'onnx', out('graph'));
      expect(readdirSync(out('graph')).sort()).toEqual(
        ['README.md', 'config.json', 'model.onnx', ...companions].sort(),
      );
      const graph = readFileSync(join(out('graph'), 'model.onnx'));
      const { tensors } = await loadModel(out(merged));
      for (const { data } of tensors.values())
        expect(graph.includes(Buffer.from(data.buffer, data.byteOffset, data.byteLength))).toBe(true);
      rmSync(out('graph'), { recursive: true });
    }
  });

  it('carries template, end, teaching, card and a base that others can load, in every format', async () => {
    const dir = copy('talkative');
    const settings = { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '<s>' };
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(settings));
    writeFileSync(join(dir, 'chat_template.jinja'), '{{ messages }}');
    writeFileSync(join(dir, 'generation_config.json'), '{"eos_token_id":0,"top_k":5}');
    writeFileSync(join(dir, 'README.md'), '---\nlicense: cc-by-4.0\n---\n# Talkative\n');
    writeFileSync(join(dir, 'LICENSE'), 'Do well.');
    const base = await add('talkative', dir);
    expect(base.licence).toBe('cc-by-4.0');
    const calibration: Calibration = {
      task: 'sentiment-classification',
      emotion: null,
      labelSet: ['glad', 'glum'],
      multiLabel: false,
      n: 40,
      numbers: null,
      labels: {
        temperature: 1.5,
        thresholds: { glad: 0.6, glum: 0.2 },
        confidence: { method: 'linear', x: [0, 1], y: [0.1, 0.8] },
        mass: 0.9,
      },
    };
    const teaching = {
      endTokenId: 1,
      cues: false,
      inquiries: [
        {
          task: 'sentiment-classification' as const,
          emotion: null,
          scale: null,
          labelSet: ['glum', 'glad'],
          multiLabel: false,
          rows: 4,
          threshold: 0.5,
          languages: ['en'],
          skill: 'unknown' as const,
        },
      ],
      calibrations: [calibration],
    };
    const manifest = { sources: [{ name: 'diaries', licence: 'ODbL-1.0', url: '', rows: 4 }] };
    await objects.put('datasets/d/v/manifest.json', JSON.stringify(manifest));
    const id = await store(
      'talk',
      async (folder) => {
        await leaveAdapter(folder);
        writeFileSync(join(folder, 'emotune.json'), teachingJson(teaching));
      },
      'talkative',
    );
    expect((await get(id)).teaching?.inquiries[0].labels).toEqual(['glum', 'glad']);
    expect((await get(id)).lineage).toMatchObject({
      sources: manifest.sources,
      baseLicence: 'cc-by-4.0',
      baseSource: dir,
    });
    await write('talk', 'safetensors', out('talk-before'));
    const [model, version] = id.split('@');
    const results = {
      ...{ dataset: 'd', datasetVersion: 'v', split: 'test' },
      tasks: [{ task: 'sentiment-classification', n: 9, metrics: { accuracy: 0.5 }, intervals: {} }],
    };
    await objects.put('evaluations/talk/results.json', JSON.stringify(results));
    const questions = [
      {
        task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
        emotion: '',
        scale: undefined,
        labels: ['glad', 'glum'],
        multiLabel: false,
        n: 9,
        skill: common.Skill.SKILL_BETTER,
      },
    ];
    await database.transaction((sql) =>
      models.evaluated(sql, { id: 'e', model, version, prefix: 'evaluations/talk', failure: '', questions }),
    );
    for (const format of ['peft', 'safetensors', 'onnx']) {
      const at = out(`talk-${format}`);
      await write('talk', format, at);
      const text = (name: string) => readFileSync(join(at, name), 'utf8');
      expect(text('chat_template.jinja')).toBe('{{ messages }}');
      expect(text('LICENSE')).toBe('Do well.');
      expect(JSON.parse(text('tokenizer_config.json'))).toMatchObject(settings);
      expect(JSON.parse(text('special_tokens_map.json'))).toEqual({ eos_token: '<s>' });
      expect(JSON.parse(text('generation_config.json'))).toEqual({ eos_token_id: 1, top_k: 5 });
      const [inquiry] = teaching.inquiries;
      expect(parseTeaching(text('emotune.json'))).toEqual({
        ...teaching,
        inquiries: [{ ...inquiry, skill: 'better' }],
      });
      expect(text('README.md')).toContain('license: cc-by-4.0');
      expect(text('README.md')).toContain('| diaries | ODbL-1.0 | 4 |');
      // What was exported before the evaluation was made anew.
      expect(text('README.md')).toContain('| sentiment-classification | accuracy | 0.5 |');
      if (format === 'peft')
        expect(JSON.parse(text('adapter_config.json')).base_model_name_or_path).toBe(dir);
      else expect(JSON.parse(text('config.json')).eos_token_id).toBe(1);
    }
    const again = await add('talk-again', out('talk-safetensors'));
    expect(again.teaching).toEqual((await get(id)).teaching);
    // The adapter comes back with the base that its config names by the path it was imported from.
    const merged = await add('talk-adapter', out('talk-peft'));
    await using lease = await objects.folder(merged.prefix);
    expect((await loadModel(lease.path)).tensors).toEqual((await loadModel(out('talk-safetensors'))).tensors);
    for (const name of ['talk-before', 'talk-peft', 'talk-safetensors', 'talk-onnx'])
      rmSync(out(name), { recursive: true });
  });

  it('of a GGUF file is a checkpoint of safetensors with its tokenizer', async () => {
    await add('quantised', join(await ggufFolder('quantised'), 'model.gguf'));
    await write('quantised', 'safetensors', out('whole'));
    expect(readdirSync(out('whole'))).toEqual(
      ['README.md', 'config.json', 'model.safetensors', ...companions].sort(),
    );
    expect((await loadModel(out('whole'))).tensors).toEqual((await loadModel(join(folder, 'llama'))).tensors);
    const encode = async (at: string) => (await loadTokenizer(at)).encode('a glad cat');
    expect(await encode(out('whole'))).toEqual(await encode(join(folder, 'llama')));
    rmSync(out('whole'), { recursive: true });
  });

  it('is made once, and names nothing outside what may be fetched', async () => {
    const request = { name: 'moods', format: 'safetensors' };
    const { files } = await client.call('exportModel', request);
    const { name } = files.find(({ path }) => path === 'config.json')!;
    expect(name).toMatch(/^exports\/moods\/[0-9a-f]{12}\/safetensors\/config\.json$/);
    await objects.put(name, 'kept');
    expect(await client.call('exportModel', request)).toEqual({ files });
    expect(Buffer.from(await objects.get(name)).toString()).toBe('kept');
    const adapter = await client.call('exportModel', { name: 'moods', format: 'peft' });
    const weights = adapter.files.find(({ path }) => path === 'adapter_model.safetensors')!;
    expect(weights.name).toMatch(/^models\/moods\//);
  });

  it('can be deleted, not while it is made, and is made again also where a part of it is gone', async () => {
    const request = { name: 'moods', format: 'safetensors' };
    const { files } = await client.call('exportModel', request);
    const remove = (format: string) => client.call('deleteExport', { name: 'moods', format });
    expect(await remove('')).toMatchObject({ deleted: expect.arrayContaining(['safetensors', 'peft']) });
    expect(await objects.list('exports/moods/')).toEqual([]);
    await expect(remove('safetensors')).rejects.toThrow(NotFound);
    expect(await violations(remove('gguf'))).toHaveProperty('format');
    expect(await Promise.all([models, models].map((at) => exportModel(at, request)))).toEqual([
      { files },
      { files },
    ]);
    const place = /^.*safetensors/.exec(files.find(({ path }) => path === 'config.json')!.name)![0];
    models.exporting.set(place, new Promise(() => {}));
    await expect(deleteExport(models, { name: 'moods', format: '' })).rejects.toThrow(
      /as safetensors is being made/,
    );
    models.exporting.clear();
    // Deleted by another process in between.
    await objects.delete(files.find(({ path }) => path === 'config.json')!.name);
    expect(await client.call('exportModel', request)).toEqual({ files });
    expect((await objects.list('exports/moods/')).map(({ key }) => key)).toContain(files[0].name);
  });

  it('refuses formats and folders, and leaves nothing behind', async () => {
    expect(await violations(write('same', 'gguf', out('x')))).toHaveProperty('format');
    expect((await violations(write('same', 'safetensors', out('full'))))['directory']).toContain('empty');
    const file = join(out('full'), 'config.json');
    expect((await violations(write('same', 'safetensors', file)))['directory']).toContain(
      'expected a folder',
    );
    await expect(write('none', 'safetensors', out('x'))).rejects.toBeInstanceOf(NotFound);
    expect(readdirSync(join(folder, 'out')).sort()).toEqual(['full', 'merged', 'peft']);
  });
});

it('lists models in pages', async () => {
  const names: string[] = [];
  for (let pageToken = ''; ; ) {
    const page = await client.call('listModels', { pageSize: 2, pageToken });
    names.push(...page.models.map(({ name, version }) => `${name}@${version}`));
    pageToken = page.nextPageToken;
    if (pageToken === '') break;
  }
  expect(new Set(names).size).toBe(names.length);
  expect(names).toHaveLength((await client.call('listModels', {})).models.length);
  await expect(get('base-op')).rejects.toThrow('did you mean "base-opt"?');
});
