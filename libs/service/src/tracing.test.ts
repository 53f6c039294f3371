import { systemClock } from '@emotune/base';
import { currentSpan, pastRoot, pastSpan, spanned, traceOf, traceparent } from '@emotune/base/trace';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { consume, emit, eventTables, MemoryBus, Outbox, on, topics } from '@emotune/events';
import type { data } from '@emotune/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Access } from './access.js';
import { Channel } from './channel.js';
import { jsonLog } from './log.js';
import { EmotuneServer } from './server.js';
import { TestCollector } from './test-collector.js';
import { startTracing, tracingVariables } from './tracing.js';

const name = 'OTEL_EXPORTER_OTLP_ENDPOINT';
const before = process.env[name];
let collector: TestCollector;
let end: (() => Promise<void>) | undefined;
beforeAll(async () => {
  collector = await TestCollector.start();
  process.env[name] = collector.url;
  end = await startTracing('data', process.env);
});
afterAll(async () => {
  if (before === undefined) delete process.env[name];
  else process.env[name] = before;
  await end?.();
  collector.close();
});

it('nothing is traced where no collector is named', async () => {
  expect(await startTracing('data', {})).toBeUndefined();
  expect(
    await startTracing('data', { [name]: 'http://127.0.0.1:1', OTEL_SDK_DISABLED: 'true' }),
  ).toBeUndefined();
  expect(tracingVariables({})).toBeUndefined();
  const secret = { [name]: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_HEADERS: 'authorization=secret' };
  expect(tracingVariables(secret)).toEqual({ [name]: 'http://127.0.0.1:1' });
});

it('one trace goes from a call over its event to what takes the event, and into the logs', async () => {
  const server = await EmotuneServer.listen({ listen: '127.0.0.1:0', access: new Access({}) });
  const channel = Channel.connect(server.address);
  const database = await Database.connect(await testDatabaseUrl(), 'traced');
  await database.migrate([eventTables]);
  const bus = new MemoryBus(systemClock);
  const outbox = new Outbox(database, bus, systemClock);
  const lines: string[] = [];
  const log = jsonLog((line) => void lines.push(line));
  const taken = new Promise<string | undefined>((resolve) => {
    const handlers = [
      on(topics.datasetReady, async () => {
        log.info('taken');
        resolve(traceparent());
      }),
    ];
    void consume({ database, bus, group: 'traced', handlers });
  });
  outbox.start();
  const trial = traceOf('trial', 'tweets', 3, 1000);
  expect(traceOf('trial', 'tweets', 3, 1000)).toBe(trial);
  expect(traceOf('trial', 'tweets', 31000)).not.toBe(trial);
  await spanned('train', { parent: trial }, async () => {
    const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
    await datasets.call('listDatasets', {}).catch(() => {});
    await database.transaction((sql) =>
      emit(sql, topics.datasetReady, 'mine', { name: 'mine', version: '1', prefix: '' }),
    );
  });
  pastSpan('attempt', { parent: trial, from: 1000, to: 2000, failure: 'Killed: by signal 9' });
  pastRoot(['trial', 'tweets', 3, 1000], { from: 1000, to: 3000 });
  expect(await taken).toContain(trial.slice(3, 35));
  expect(currentSpan()).toBeUndefined();
  await expect.poll(() => collector.spans.length).toBeGreaterThan(4);
  await outbox.close();
  await bus.close();
  await database.close();
  channel.close();
  await server.close();

  const trace = trial.slice(3, 35);
  const byName = new Map(collector.spans.map((span) => [span.name, span]));
  // The root that all the others are below is told, too.
  expect(byName.get('trial')).toMatchObject({ trace, id: trial.slice(36, 52), parent: '' });
  const train = byName.get('train')!;
  expect(train).toMatchObject({ trace, parent: trial.slice(36, 52), service: 'emotune-data', failed: false });
  expect(byName.get('attempt')).toMatchObject({ trace, parent: trial.slice(36, 52), failed: true });
  for (const [child, failed] of [
    ['emotune.data.v1.DatasetService/ListDatasets', true],
    [`take ${topics.datasetReady.name}`, false],
  ] as const)
    expect(byName.get(child)).toMatchObject({ trace, parent: train.id, failed });
  const [line] = lines.map((text) => JSON.parse(text));
  expect(line).toMatchObject({ message: 'taken', trace_id: trace });
  expect(line.span_id).toBe(byName.get(`take ${topics.datasetReady.name}`)!.id);
});

it('a trace is told whole or not at all', async () => {
  const { OTEL_TRACES_SAMPLER: before } = process.env;
  await end?.();
  process.env['OTEL_TRACES_SAMPLER'] = 'always_off';
  end = await startTracing('data', process.env);
  const known = collector.spans.length;
  const trial = traceOf('trial', 'tweets', 4, 1000);
  expect(trial).toMatch(/-00$/);
  await spanned('train', { parent: trial }, async () => {});
  pastRoot(['trial', 'tweets', 4, 1000], { from: 1000, to: 3000 });
  if (before === undefined) delete process.env['OTEL_TRACES_SAMPLER'];
  else process.env['OTEL_TRACES_SAMPLER'] = before;
  await end?.();
  expect(collector.spans.length).toBe(known);
  // Whoever traces nothing leaves it to others.
  expect(traceOf('trial', 'tweets', 4, 1000)).toMatch(/-01$/);
});
