import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { ResourceExhausted } from '@emotune/base';
import type { data, tuning } from '@emotune/proto';
import { Server as GrpcServer, status } from '@grpc/grpc-js';
import { afterEach, expect, it, vi } from 'vitest';
import { Access } from './access.js';
import { Channel } from './channel.js';
import { packageDefinition } from './contract.js';
import { type Limits, usualLimits } from './limits.js';
import { Listener } from './listener.js';
import { Load } from './load.js';
import { EmotuneServer } from './server.js';
import { Health } from './testing.js';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

/** Answers nothing until it is told to. */
async function slowServer(limits: Partial<Limits>) {
  const answers: (() => void)[] = [];
  const all = { ...usualLimits, ...limits };
  const server = new GrpcServer({ interceptors: [new Load(all).interceptor] });
  const wait = (_: unknown, callback: (error: null, value: object) => void) =>
    answers.push(() => callback(null, {}));
  server.addService(packageDefinition['emotune.data.v1.DatasetService'], {
    ListDatasets: wait,
    PreviewDataset: (call: { end(): void }) => answers.push(() => call.end()),
  });
  server.addService(packageDefinition['emotune.tuning.v1.TrialService'], { Heartbeat: wait });
  const listener = await Listener.open('127.0.0.1:0', server, all.connections);
  const channel = Channel.connect(listener.address);
  ends.push(
    () => listener.close(),
    () => server.forceShutdown(),
    () => channel.close(),
  );
  const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
  return {
    address: listener.address,
    answers,
    list: () => datasets.call('listDatasets', {}),
    preview: () => datasets.stream('previewDataset', {})[Symbol.asyncIterator]().next(),
    heartbeat: () => channel.client<tuning.TrialServiceClient>('TrialService').call('heartbeat', {}),
  };
}

const refused = { constructor: ResourceExhausted, retryAfterMs: 1000 };

it('calls, streams and calls of trainers are refused each beyond their own number, with when to ask again', async () => {
  const { answers, list, preview, heartbeat } = await slowServer({ calls: 2, streams: 1 });
  const open = [list(), list(), preview(), heartbeat(), heartbeat()];
  await expect.poll(() => answers.length).toBe(5);
  for (const call of [list, preview, heartbeat]) await expect(call()).rejects.toMatchObject(refused);
  for (const answer of answers.splice(0)) answer();
  await Promise.all(open);
  // There is room again, also after those that were refused.
  const again = [list(), list(), preview(), heartbeat(), heartbeat()];
  await expect.poll(() => answers.length).toBe(5);
  for (const answer of answers) answer();
  await Promise.all(again);
});

it('a caller with patience asks again when it was told to, and no longer than it would wait', async () => {
  const { address, answers, list } = await slowServer({ calls: 1, streams: 1 });
  const waits: string[] = [];
  const patient = (mostMs: number) => {
    const patience = { mostMs, waits: (ms: number) => waits.push(`${ms} of ${mostMs}`) };
    const channel = Channel.connect(address, { patience });
    ends.push(() => channel.close());
    return channel.client<data.DatasetServiceClient>('DatasetService');
  };
  const first = list();
  await expect.poll(() => answers.length).toBe(1);
  await expect(patient(500).call('listDatasets', {})).rejects.toMatchObject(refused);
  await expect(patient(1500).call('listDatasets', {})).rejects.toMatchObject(refused);
  expect(waits).toEqual(['1000 of 1500']);
  const second = patient(60_000).call('listDatasets', {});
  await expect.poll(() => waits.length).toBe(2);
  answers.pop()!();
  await first;
  await expect.poll(() => answers.length).toBe(1);
  answers.pop()!();
  await second;
});

it('a call whose caller leaves makes room', async () => {
  const { address, answers, list } = await slowServer({ calls: 1 });
  const channel = Channel.connect(address);
  ends.push(() => channel.close());
  const left = new AbortController();
  const { signal } = left;
  const call = channel
    .client<data.DatasetServiceClient>('DatasetService')
    .call('listDatasets', {}, { signal });
  await expect.poll(() => answers.length).toBe(1);
  await expect(list()).rejects.toMatchObject(refused);
  left.abort(new Error('left'));
  await expect(call).rejects.toThrow('left');
  await expect
    .poll(() => {
      list().catch(() => {});
      return answers.length;
    })
    .toBeGreaterThan(1);
});

it('requests that come in parts and never end do not fill the memory', async () => {
  const { address, list, answers } = await slowServer({ requestBytes: 2 ** 20 });
  const session = connectHttp2(`http://${address}`);
  ends.push(() => session.destroy());
  const begin = () => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/emotune.data.v1.DatasetService/ListDatasets',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const ended = new Promise<unknown>((resolve) => {
      stream.once('response', (headers) => resolve(Number(headers['grpc-status'])));
      stream.once('error', () => resolve('broken'));
    });
    // A message of 4 MiB, of which 600 KiB come.
    stream.write(Buffer.from([0, 0, 0x40, 0, 0]));
    stream.write(Buffer.alloc(600 * 1024));
    return ended;
  };
  expect(await Promise.race([begin(), begin()])).toBe(status.RESOURCE_EXHAUSTED);
  // There is room for others beside the one that is left.
  const answered = list();
  await expect.poll(() => answers.length).toBe(1);
  answers[0]();
  await answered;
});

it.each([
  ['a body that does not unpack', { 'grpc-encoding': 'gzip' }, [1, 0, 0, 0, 4, 1, 2, 3, 4]],
  ['a packed body that breaks off', { 'grpc-encoding': 'gzip' }, [1, 0, 0, 0, 4, 0x1f, 0x8b, 8, 0]],
  ['a deadline that is none', { 'grpc-timeout': 'soon' }, [0, 0, 0, 0, 0]],
  ['more than the method needs', {}, [0, 0, 2, 0, 0, 10, 0xfd, 0xff, 7, ...Buffer.alloc(2 ** 17 - 4, 'a')]],
])('%s is INVALID_ARGUMENT', async (_, headers, body) => {
  const server = await EmotuneServer.listen({ listen: '127.0.0.1:0', access: new Access({}) });
  ends.push(() => void server.close());
  const session = connectHttp2(`http://${server.address}`);
  ends.push(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': '/emotune.data.v1.DatasetService/GetDataset',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.end(Buffer.from(body));
  const [answer] = await once(stream, 'response');
  expect(Number(answer['grpc-status'])).toBe(status.INVALID_ARGUMENT);
});

it('further connections than it takes are closed', async () => {
  const { address } = await slowServer({ connections: 2 });
  const sockets = await connected(address, 3);
  await expect.poll(() => sockets.filter(({ destroyed }) => destroyed).length).toBe(1);
});

async function connected(address: string, count: number): Promise<Socket[]> {
  const [host, port] = address.split(':');
  const sockets = Array.from({ length: count }, () => connect(Number(port), host));
  for (const socket of sockets) {
    ends.push(() => void socket.destroy());
    socket.on('error', () => {}).resume();
  }
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

it('200 sockets that never speak HTTP/2 are closed, and who speaks it stays', async () => {
  const server = await EmotuneServer.listen({ listen: '127.0.0.1:0', access: new Access({}) });
  ends.push(() => void server.close());
  const health = new Health(server.address);
  ends.push(() => health.close());
  const watch = health.watch();
  await watch.next();
  const sockets = await connected(server.address, 200);
  sockets[0].write('PRI * HT');
  sockets[1].write('GET / HTTP/1.1\r\n\r\n');
  expect(await health.check()).toBe('NOT_SERVING');
  await vi.waitFor(() => expect(sockets.filter(({ destroyed }) => !destroyed)).toEqual([]), 60_000);
  const next = watch.next();
  await expect(Promise.race([next, Promise.resolve('open')])).resolves.toBe('open');
  expect(await health.check()).toBe('NOT_SERVING');
});
