import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Aborted,
  AlreadyExists,
  FailedPrecondition,
  Internal,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  ResourceExhausted,
  systemClock,
  Unavailable,
  Unimplemented,
} from '@emotune/base';
import { testDatabase } from '@emotune/database/testing';
import { MemoryBus } from '@emotune/events';
import { FolderStore } from '@emotune/objects';
import { common, data, inference } from '@emotune/proto';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { Controller, Module } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Channel,
  Host,
  jsonLog,
  numberedPageOf,
  once,
  paged,
  pageOf,
  requestsOf,
  requestTable,
  streamOf,
  Worker,
} from './index.js';
import type { ServerStreamCall } from './stream.js';
import { Health } from './testing.js';

const thrown: Record<string, () => Error> = {
  invalid: () =>
    new InvalidArgument([
      { field: 'spec.name', description: 'expected a name, got ""' },
      { field: 'spec.sources[3]', description: 'expected é, got 😀' },
    ]),
  long: () => InvalidArgument.at('spec', `expected ${'more '.repeat(600)}`),
  missing: () => new NotFound('no such thing'),
  exists: () => new AlreadyExists('taken'),
  state: () => new FailedPrecondition('not ready'),
  stale: () => new Aborted('stale'),
  full: () => new ResourceExhausted('disk full'),
  away: () => new Unavailable('the store is away: connect ECONNREFUSED'),
  denied: () => new PermissionDenied('wrong token'),
  later: () => new Unimplemented('not built'),
  bug: () => new Error('secret detail'),
};

let produced = 0;
let ended = 0;

const dataset = (name: string): data.Dataset => ({
  name,
  version: '',
  spec: undefined,
  state: common.BuildState.BUILD_STATE_READY,
  failure: '',
  progress: undefined,
  manifest: undefined,
  prefix: '',
  createTime: undefined,
  readyTime: undefined,
  retryable: false,
});

@Controller()
@data.DatasetServiceControllerMethods()
class Datasets implements data.DatasetServiceController {
  createDataset(request: data.CreateDatasetRequest): Promise<data.Dataset> {
    // Never answers: for deadlines and cancellation.
    return new Promise(() => request);
  }
  getDataset({ name }: data.GetDatasetRequest): data.Dataset {
    const error = thrown[name];
    if (error) throw error();
    return dataset(name);
  }
  listDatasets(): data.ListDatasetsResponse {
    return { datasets: [], nextPageToken: '' };
  }
  previewDataset(
    request: data.PreviewDatasetRequest,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<data.Example> {
    return streamOf(call!, async function* () {
      try {
        for (let i = 0; i < request.rows; i++) {
          if (request.name === 'breaks' && i === 2) throw thrown['state']();
          produced++;
          yield { id: `${i}`, text: 'x'.repeat(10_000) } as data.Example;
        }
      } finally {
        ended++;
      }
    });
  }
  deleteDataset(): data.DeleteDatasetResponse {
    return {};
  }
  listSources(): data.ListSourcesResponse {
    return { sources: [] };
  }
  listLexicons(): data.ListLexiconsResponse {
    return { lexicons: [] };
  }
  provideLexicon(): data.ProvideLexiconResponse {
    return { lexicon: undefined, key: '' };
  }
}

@Controller()
@inference.AnalysisServiceControllerMethods()
class Analysis implements inference.AnalysisServiceController {
  analyze({ text }: inference.AnalyzeRequest): inference.Analysis {
    return { text, model: '', answers: [], cues: [] };
  }
  analyzeBatch(): inference.AnalyzeBatchResponse {
    return { analyses: [] };
  }
  analyzeStream(
    requests: Observable<inference.AnalyzeRequest>,
    _metadata?: unknown,
    call?: ServerStreamCall,
  ): Observable<inference.Analysis> {
    return streamOf(call!, async function* (signal) {
      for await (const { text } of requestsOf(requests, call!, signal)) {
        if (text === '') throw InvalidArgument.at('text', 'expected 1 to 10000 characters, got 0');
        yield { text: text.toUpperCase(), model: '', answers: [], cues: [] };
      }
    });
  }
}

@Module({ controllers: [Datasets, Analysis] })
class TestModule {}

const folder = mkdtempSync(join(tmpdir(), 'emotune-service-'));
const lines: string[] = [];
const options = () => ({
  database: testDatabase,
  objects: store,
  bus: new MemoryBus(systemClock),
  clock: systemClock,
  log: jsonLog((line) => lines.push(line)),
});
const store = await FolderStore.open(folder);
let host: Host;

beforeAll(async () => {
  host = await Host.create({ ...options(), listen: '127.0.0.1:0' });
  await host.start([{ module: TestModule }]);
});
afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds).toBe(true);
}

const datasets = () => host.channel.client<data.DatasetServiceClient>('DatasetService');

describe('errors', () => {
  it.each(Object.keys(thrown).filter((name) => name !== 'bug'))(
    '%s arrives as the class that was thrown',
    async (name) => {
      const error = await datasets()
        .call('getDataset', { name })
        .catch((e) => e);
      expect(error.constructor).toBe(thrown[name]().constructor);
      expect(error.message).toBe(thrown[name]().message);
      if (error instanceof InvalidArgument)
        expect(error.violations).toEqual((thrown[name]() as InvalidArgument).violations);
    },
  );

  it('a bug leaves as INTERNAL without its text, which the log has', async () => {
    const error = await datasets()
      .call('getDataset', { name: 'bug' })
      .catch((e) => e);
    expect(error).toBeInstanceOf(Internal);
    expect(error.message).not.toContain('secret');
    expect(lines.join()).toContain('secret detail');
  });

  it('a server that is not there is unavailable, at once', async () => {
    const away = Channel.connect('127.0.0.1:1');
    const call = away.client<data.DatasetServiceClient>('DatasetService').call('getDataset', { name: 'x' });
    await expect(call).rejects.toThrow(/127\.0\.0\.1:1 cannot be reached/);
    away.close();
  });

  it('a port that is taken is named', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    await expect(Host.create({ ...options(), listen: `127.0.0.1:${port}` })).rejects.toThrow(
      new RegExp(`127\\.0\\.0\\.1:${port} cannot be listened on`),
    );
    await new Promise((resolve) => blocker.close(resolve));
  });
});

describe('calls', () => {
  it('end at their deadline or when they are cancelled', async () => {
    const request = { requestId: 'r' };
    await expect(datasets().call('createDataset', request, { deadlineMs: 50 })).rejects.toThrow(/in time/);
    const abort = new AbortController();
    const call = datasets().call('createDataset', request, { signal: abort.signal });
    const reason = new Error('enough');
    abort.abort(reason);
    await expect(call).rejects.toBe(reason);
    // Also one that had aborted before.
    await expect(datasets().call('createDataset', request, { signal: abort.signal })).rejects.toBe(reason);
    const stream = datasets().stream(
      'previewDataset',
      { name: 'long', rows: 1_000 },
      { signal: abort.signal },
    );
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toBe(reason);
  });

  it('to a machine that is gone end, also without a deadline', async () => {
    const port = Number(host.address.split(':')[1]);
    const ends: Socket[] = [];
    const way = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      near.pipe(far).pipe(near);
      ends.push(near, far);
    });
    await new Promise<void>((resolve) => way.listen(0, '127.0.0.1', resolve));
    const channel = Channel.connect(`127.0.0.1:${(way.address() as AddressInfo).port}`);
    const client = channel.client<data.DatasetServiceClient>('DatasetService');
    await client.call('listDatasets', {});
    // What is sent on either side comes to nobody, and no side learns of it.
    for (const end of ends) end.unpipe().resume();
    await expect(client.call('createDataset', { requestId: 'r' })).rejects.toThrow(Unavailable);
    channel.close();
    for (const end of ends) end.destroy();
    way.close();
  });

  it('streams are pulled no faster than they are read, and stop when the reader leaves', async () => {
    [produced, ended] = [0, 0];
    let seen = 0;
    for await (const _ of datasets().stream('previewDataset', { name: 'long', rows: 100_000 })) {
      if (++seen === 3) {
        await systemClock.sleep(200);
        break;
      }
    }
    await until(() => ended === 1);
    // 10 kB a message: what fits into the windows of HTTP/2 and the buffers of both sides, not 100,000.
    expect(produced).toBeLessThan(1_000);
  });

  it('streams deliver everything in order, and their errors after what came before', async () => {
    const ids: string[] = [];
    for await (const { id } of datasets().stream('previewDataset', { name: 'long', rows: 500 })) ids.push(id);
    expect(ids).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`));
    let before = 0;
    const broken = async () => {
      for await (const _ of datasets().stream('previewDataset', { name: 'breaks', rows: 5 })) before++;
    };
    await expect(broken()).rejects.toBeInstanceOf(FailedPrecondition);
    expect(before).toBe(2);
  });

  it('go both ways', async () => {
    const client = host.channel.client<inference.AnalysisServiceClient>('AnalysisService');
    const got: string[] = [];
    for await (const { text } of client.duplex('analyzeStream', [{ text: 'a' }, { text: 'b' }]))
      got.push(text);
    expect(got).toEqual(['A', 'B']);
    const bad = async () => {
      for await (const _ of client.duplex('analyzeStream', [{ text: 'a' }, { text: '' }]));
    };
    await expect(bad()).rejects.toThrow(/text: expected 1 to 10000/);
  });
});

it('health tells of the services that are served, reflection of the contract', async () => {
  const health = new Health(host.address);
  expect(await health.check('')).toBe('SERVING');
  expect(await health.check('emotune.data.v1.DatasetService')).toBe('SERVING');
  // It has no controller here.
  await expect(health.check('emotune.tuning.v1.ModelService')).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
  health.close();
});

describe('a create that is repeated', () => {
  it('does its work once, and refuses an id that made something else', async () => {
    const database = await testDatabase('once');
    await database.migrate([requestTable]);
    let made = 0;
    const create = (id: string, body: unknown) =>
      database.transaction((sql) => once(sql, { method: 'Create', id, body }, async () => `thing-${++made}`));
    const [a, b] = await Promise.all([create('r', { x: 1, y: 2 }), create('r', { y: 2, x: 1 })]);
    expect(a).toBe(b);
    expect(await create('', {})).not.toBe(await create('', {}));
    await expect(create('r', { x: 2 })).rejects.toBeInstanceOf(InvalidArgument);
    await database.close();
  });
});

it('pages begin after the last key of the page before', () => {
  const first = pageOf({ pageSize: 2, pageToken: '' });
  expect(first).toEqual({ limit: 2, after: '' });
  const { shown, nextPageToken } = paged(['a', 'b', 'c'], first.limit, (key) => key);
  expect(shown).toEqual(['a', 'b']);
  expect(pageOf({ pageSize: 0, pageToken: nextPageToken })).toEqual({ limit: 50, after: 'b' });
  expect(paged(['c'], 2, (key) => key).nextPageToken).toBe('');
  expect(() => pageOf({ pageSize: -1, pageToken: '' })).toThrow(/pageSize/);
});

it('a page token is what an earlier answer gave', () => {
  const of = (key: string) => ({ pageSize: 0, pageToken: Buffer.from(key).toString('base64url') });
  expect(numberedPageOf(of(''))).toEqual({ limit: 50, after: undefined });
  expect(numberedPageOf(of('12'))).toEqual({ limit: 50, after: 12 });
  for (const key of ['NaN', '1e20', '-1', '1.5', '0x10', ' 1', '9'.repeat(30), 'Infinity'])
    expect(() => numberedPageOf(of(key)), key).toThrow(/^pageToken: expected the nextPageToken/);
  for (const request of [of('a\0b'), { pageSize: 0, pageToken: '!!!' }])
    expect(() => pageOf(request)).toThrow(/^pageToken: expected the nextPageToken/);
});

describe('what cannot be taken is refused', () => {
  const bytes = Buffer.from([10, 200, 97]);
  const same = (value: Buffer) => value;
  let client: Client;
  beforeAll(() => {
    client = new Client(host.address, credentials.createInsecure());
  });
  afterAll(() => client.close());

  it('in the place of its service', async () => {
    const answer = await new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest('/emotune.data.v1.DatasetService/GetDataset', same, same, bytes, resolve),
    );
    expect(answer).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(/^expected the bytes of a GetDatasetRequest/),
    });
  });

  it('also where others wrote the service', async () => {
    const answer = await new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, Buffer.from([7]), resolve),
    );
    expect(answer).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('in a stream, which ends', async () => {
    const path = '/emotune.inference.v1.AnalysisService/AnalyzeStream';
    const call = client.makeBidiStreamRequest(path, same, same);
    call.resume();
    const failed = new Promise<ServiceError>((resolve) => call.on('error', resolve));
    call.write(Buffer.from([10, 1, 97]));
    call.write(bytes);
    expect(await failed).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('with the field, before the service has seen it', async () => {
    await expect(datasets().call('getDataset', { name: 'a\0b' })).rejects.toMatchObject({
      violations: [{ field: 'name', description: expect.stringContaining('U+0000') }],
    });
  });
});

describe('a worker', () => {
  it('works while there is work, sleeps, wakes, outlives failures and ends', async () => {
    let waiting = 3;
    let rounds = 0;
    const worker = new Worker(
      async () => {
        rounds++;
        if (rounds === 2) throw new Error('once');
        return waiting-- > 0;
      },
      { name: 'test worker', clock: systemClock, log: jsonLog((line) => lines.push(line)), everyMs: 20 },
    );
    worker.start();
    await until(() => waiting < 0);
    const before = rounds;
    waiting = 1;
    worker.wake();
    await until(() => rounds > before);
    await worker.close();
    expect(lines.join()).toContain('test worker failed');
  });
});
