import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Internal, systemClock, Unavailable, Unimplemented } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import { eventTables, MemoryBus } from '@emotune/events';
import { FolderStore } from '@emotune/objects';
import { type evaluation, inference } from '@emotune/proto';
import { status } from '@grpc/grpc-js';
import { Controller, Module } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import type { Observable } from 'rxjs';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { Channel, Host, jsonLog, requestsOf, streamOf } from './index.js';
import type { ServerStreamCall } from './stream.js';
import { Health } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-host-'));
const objects = await FolderStore.open(folder);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What happened, in order. */
let events: string[] = [];
let arrived: () => void;
let answer: Promise<void>;

@Controller()
@inference.AnalysisServiceControllerMethods()
class Analysis implements inference.AnalysisServiceController {
  async analyze({ text }: inference.AnalyzeRequest): Promise<inference.Analysis> {
    arrived();
    await answer;
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
      try {
        for await (const { text } of requestsOf(requests, call!, signal))
          yield { text, model: '', answers: [], cues: [] };
      } finally {
        events.push('the stream ended');
      }
    });
  }
}

@Module({ controllers: [Analysis] })
class AnalysisModule {
  onApplicationShutdown() {
    events.push('workers stopped');
  }
}

@Controller()
class Evaluations {
  @GrpcMethod('EvaluationService', 'listEvaluations')
  listEvaluations(): evaluation.ListEvaluationsResponse {
    return { evaluations: [], nextPageToken: '' };
  }
}

@Module({ controllers: [Evaluations] })
class EvaluationModule {}

function listen(): Promise<Host> {
  return Host.create({
    database: testDatabase,
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
  });
}

/** A host with a call of `analyze` that has arrived and waits. */
async function busy() {
  events = [];
  const host = await listen();
  await host.start([{ module: AnalysisModule }]);
  const channel = Channel.connect(host.address);
  const client = channel.client<inference.AnalysisServiceClient>('AnalysisService');
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  let release = () => {};
  answer = new Promise((resolve) => {
    release = resolve;
  });
  const call = client.call('analyze', { text: 'slow' });
  await arrival;
  return { host, channel, client, call, release };
}

it('a host that listens is healthy once it serves; whoever calls before is told to ask again', async () => {
  const host = await listen();
  const client = host.channel.client<inference.AnalysisServiceClient>('AnalysisService');
  const early = [
    client.call('analyze', {}),
    client.duplex('analyzeStream', [])[Symbol.asyncIterator]().next(),
  ];
  for (const error of await Promise.all(early.map((call) => call.catch((thrown) => thrown))))
    expect(error).toEqual(new Unavailable('the server is starting; ask again'));
  const health = new Health(host.address);
  const watch = health.watch();
  expect((await watch.next()).value).toBe('NOT_SERVING');
  const service = 'emotune.inference.v1.AnalysisService';
  expect(await health.check('live')).toBe('SERVING');
  await expect(health.check(service)).rejects.toMatchObject({ code: status.NOT_FOUND });
  await host.start([{ module: AnalysisModule }]);
  expect((await watch.next()).value).toBe('SERVING');
  expect(await health.check(service)).toBe('SERVING');
  health.close();
  await host.close();
});

it('a drain tells its health, takes no more calls, ends streams, and waits for calls before workers stop', async () => {
  const { host, channel, client, call, release } = await busy();
  const health = new Health(host.address);
  const watches = ['', 'emotune.inference.v1.AnalysisService'].map((name) => health.watch(name));
  for (const watch of watches) expect((await watch.next()).value).toBe('SERVING');
  // Its requests never end.
  const stream = client
    .duplex(
      'analyzeStream',
      (async function* () {
        yield { text: 'one' };
        await new Promise(() => {});
      })(),
    )
    [Symbol.asyncIterator]();
  expect((await stream.next()).value).toMatchObject({ text: 'one' });

  const closed = host.close(60_000).then(() => events.push('closed'));
  for (const watch of watches) {
    expect((await watch.next()).value).toBe('NOT_SERVING');
    await expect(watch.next()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  }
  const error = await stream.next().catch((thrown) => thrown);
  expect(error).toBeInstanceOf(Unavailable);
  expect(error.message).toBe('the server is stopping; ask again');
  const late = Channel.connect(host.address);
  for (const way of [channel, late]) {
    const again = way.client<inference.AnalysisServiceClient>('AnalysisService').call('analyzeBatch', {});
    await expect(again).rejects.toBeInstanceOf(Unavailable);
  }
  late.close();

  expect(events).toEqual(['the stream ended']);
  release();
  expect(await call).toMatchObject({ text: 'slow' });
  await closed;
  expect(events).toEqual(['the stream ended', 'workers stopped', 'closed']);
  health.close();
  channel.close();
});

it('a call that outlasts the drain is ended', async () => {
  const { host, channel, call } = await busy();
  const outcome = call.catch((error) => error);
  await host.close(50);
  expect(await outcome).toBeInstanceOf(Unavailable);
  expect(events).toEqual(['workers stopped']);
  channel.close();
});

it('a channel to peers takes each service to the process of its area', async () => {
  const hosts = [await listen(), await listen()];
  const [served, empty] = hosts;
  await served.start([{ module: AnalysisModule }]);
  await empty.start([]);
  const channel = Channel.toPeers({ inference: served.address, evaluation: empty.address });
  expect(
    await channel.client<inference.AnalysisServiceClient>('AnalysisService').call('analyzeBatch', {}),
  ).toEqual({ analyses: [] });
  const evaluations = channel.client<evaluation.EvaluationServiceClient>('EvaluationService');
  await expect(evaluations.call('getEvaluation', { id: 'x' })).rejects.toBeInstanceOf(Unimplemented);
  const unnamed = channel.client<evaluation.EvaluationServiceClient>('DatasetService');
  await expect(unnamed.call('getEvaluation', { id: 'x' })).rejects.toBeInstanceOf(Internal);
  channel.close();
  for (const host of hosts) await host.close();
});

/** A way to PostgreSQL that can be cut and mended. */
async function wayTo(url: string) {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((from) => {
    const to = connect(Number(port), hostname);
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other).on('error', () => {});
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const at = (server.address() as AddressInfo).port;
  const cut = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(cut);
  return {
    url: Object.assign(new URL(url), { port: at }).href,
    cut,
    mend: () => once(server.listen(at, '127.0.0.1'), 'listening'),
  };
}

it('a service whose database is away does not serve until it is back; the others do', async () => {
  const way = await wayTo(await testDatabaseUrl());
  const lines: { message: string; area?: string }[] = [];
  const host = await Host.create({
    database: async (schema) =>
      Database.connect(schema === 'inference' ? way.url : await testDatabaseUrl(), schema),
    ...{ objects, bus: new MemoryBus(systemClock), clock: systemClock },
    log: jsonLog((line) => lines.push(JSON.parse(line))),
    listen: '127.0.0.1:0',
  });
  onTestFinished(() => host.close());
  for (const area of ['inference', 'evaluation']) await host.context(area, [eventTables]);
  await host.start([{ module: AnalysisModule }, { module: EvaluationModule }]);
  const health = new Health(host.address);
  onTestFinished(() => health.close());
  const states = () =>
    Promise.all(
      ['emotune.inference.v1.AnalysisService', 'emotune.evaluation.v1.EvaluationService', ''].map((of) =>
        health.check(of),
      ),
    );
  expect(await states()).toEqual(['SERVING', 'SERVING', 'SERVING']);
  for (let outage = 1; outage <= 2; outage++) {
    way.cut();
    await expect.poll(states).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING']);
    await way.mend();
    await expect.poll(states).toEqual(['SERVING', 'SERVING', 'SERVING']);
  }
  const [away, back] = [
    'the database is away: not serving until it is back',
    'the database is back: serving',
  ];
  expect(lines.filter(({ area }) => area === 'inference').map(({ message }) => message)).toEqual([
    ...[away, back],
    ...[away, back],
  ]);
});
