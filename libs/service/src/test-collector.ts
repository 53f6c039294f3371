/** A collector of OpenTelemetry for tests: on the loopback, OTLP over HTTP. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import protobuf from 'protobufjs';

/** As much of OTLP's messages as is read here. */
const { ExportTraceServiceRequest } = protobuf.parse(`syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; int64 int_value = 3; } }
message ScopeSpans { repeated Span spans = 2; }
message Span { bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  repeated KeyValue attributes = 9; Status status = 15; }
message Status { string message = 2; int32 code = 3; }`).root.nested as Record<string, protobuf.Type>;

export interface ToldSpan {
  readonly name: string;
  readonly service: string;
  readonly trace: string;
  readonly id: string;
  readonly parent: string;
  readonly failed: boolean;
  /** Texts and integers. */
  readonly attributes: Readonly<Record<string, string>>;
}

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
type Attributes = readonly {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: unknown };
}[];
const textsOf = (attributes: Attributes) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, String(value.stringValue ?? value.intValue)]));

function spansIn(body: Buffer): ToldSpan[] {
  const message = ExportTraceServiceRequest.toObject(ExportTraceServiceRequest.decode(body), {
    arrays: true,
  });
  const spans: ToldSpan[] = [];
  for (const { resource, scopeSpans } of message['resourceSpans'])
    for (const span of scopeSpans.flatMap((scope: { spans: unknown[] }) => scope.spans))
      spans.push({
        ...{ name: span.name, service: textsOf(resource.attributes)['service.name'] },
        ...{ trace: hex(span.traceId), id: hex(span.spanId), parent: hex(span.parentSpanId) },
        ...{ failed: span.status?.code === 2, attributes: textsOf(span.attributes) },
      });
  return spans;
}

export class TestCollector {
  /** In the order in which they came. */
  readonly spans: ToldSpan[] = [];
  private readonly server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      this.spans.push(...spansIn(Buffer.concat(parts)));
      response.end();
    });
  });

  static async start(): Promise<TestCollector> {
    const collector = new TestCollector();
    await once(collector.server.listen(0, '127.0.0.1'), 'listening');
    return collector;
  }

  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
