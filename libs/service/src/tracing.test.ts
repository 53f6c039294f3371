import { once } from 'node:events';
import { createServer } from 'node:http';
import { currentSpan, pastSpan, spanned, systemClock, traceOf, traceparent } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { consume, emit, eventTables, MemoryBus, Outbox, on, topics } from '@emotune/events';
import type { data } from '@emotune/proto';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Access } from './access.js';
import { Channel } from './channel.js';
import { jsonLog } from './log.js';
import { EmotuneServer } from './server.js';
import { startTracing, tracingVariables } from './tracing.js';

/** As much of OTLP's messages as is read here. */
const { ExportTraceServiceRequest } = protobuf.parse(`syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { string string_value = 1; int64 int_value = 3; }
message ScopeSpans { repeated Span spans = 2; }
message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  repeated KeyValue attributes = 9; Status status = 15; }
message Status { string message = 2; int32 code = 3; }`).root.nested as Record<string, protobuf.Type>;

interface Told {
  readonly name: string;
  readonly service: string;
  readonly trace: string;
  readonly id: string;
  readonly parent: string;
  readonly failed: boolean;
}

const told: Told[] = [];
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
const collector = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const message = ExportTraceServiceRequest.toObject(
      ExportTraceServiceRequest.decode(Buffer.concat(parts)),
      {
        arrays: true,
      },
    );
    for (const { resource, scopeSpans } of message['resourceSpans']) {
      const service = resource.attributes.find(({ key }: { key: string }) => key === 'service.name').value
        .stringValue;
      for (const { spans } of scopeSpans)
        for (const span of spans)
          told.push({
            ...{ name: span.name, service, trace: hex(span.traceId), id: hex(span.spanId) },
            ...{ parent: hex(span.parentSpanId), failed: span.status?.code === 2 },
          });
    }
    response.end();
  });
});

const name = 'OTEL_EXPORTER_OTLP_ENDPOINT';
const before = process.env[name];
let end: (() => Promise<void>) | undefined;
beforeAll(async () => {
  await once(collector.listen(0, '127.0.0.1'), 'listening');
  process.env[name] = `http://127.0.0.1:${(collector.address() as { port: number }).port}`;
  end = await startTracing('data', process.env);
});
afterAll(async () => {
  if (before === undefined) delete process.env[name];
  else process.env[name] = before;
  await end?.();
  collector.close();
  collector.closeAllConnections();
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
  expect(await taken).toContain(trial.slice(3, 35));
  expect(currentSpan()).toBeUndefined();
  await expect.poll(() => told.length).toBeGreaterThan(3);
  await outbox.close();
  await bus.close();
  await database.close();
  channel.close();
  await server.close();

  const trace = trial.slice(3, 35);
  const byName = new Map(told.map((span) => [span.name, span]));
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
