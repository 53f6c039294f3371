/** Traces of OpenTelemetry: told to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names, and to nobody without it. */
import { openSpan, spanIds } from '@emotune/base/trace';
import {
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from '@grpc/grpc-js';
import { context, trace } from '@opentelemetry/api';

type Variables = Readonly<Record<string, string | undefined>>;

/** Ends what there is to tell within this time. */
const shutdownMs = 2000;

/** What trainers are told of it. Headers are secrets: they stay where they are. */
const inherited = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_TRACES_SAMPLER', 'OTEL_TRACES_SAMPLER_ARG'] as const;

/** The variables by which another process traces as this one does; undefined where nothing is traced. */
export function tracingVariables(environment: Variables): Record<string, string> | undefined {
  if (!environment['OTEL_EXPORTER_OTLP_ENDPOINT']) return undefined;
  return Object.fromEntries(
    inherited.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
  );
}

/**
 * Traces from now on. The variables of OpenTelemetry are read from the environment of the process, as its own parts do.
 * @returns How to end, with what has not been told yet; undefined where nothing is traced
 */
export async function startTracing(
  service: string,
  environment: Variables,
): Promise<(() => Promise<void>) | undefined> {
  if (!environment['OTEL_EXPORTER_OTLP_ENDPOINT'] || environment['OTEL_SDK_DISABLED'] === 'true')
    return undefined;
  const [{ AsyncLocalStorageContextManager }, { OTLPTraceExporter }, { resourceFromAttributes }, sdk] =
    await Promise.all([
      import('@opentelemetry/context-async-hooks'),
      import('@opentelemetry/exporter-trace-otlp-proto'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace-base'),
    ]);
  const provider = new sdk.BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': environment['OTEL_SERVICE_NAME'] || `emotune-${service}`,
      'service.namespace': 'emotune',
    }),
    idGenerator: spanIds,
    spanProcessors: [new sdk.BatchSpanProcessor(new OTLPTraceExporter())],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(provider);
  return async () => {
    const late = new Promise<void>((resolve) => void setTimeout(resolve, shutdownMs).unref());
    // A collector that is away ends nothing.
    await Promise.race([provider.shutdown().catch(() => {}), late]);
    trace.disable();
    context.disable();
  };
}

/** Calls of the moment that say nothing by themselves. */
const untold = /^\/grpc\.|\/Heartbeat$/;

/** A span for each call that is let in, within which it is served. */
export const tracing: ServerInterceptor = (method, call) => {
  if (untold.test(method.path)) return new ServerInterceptingCall(call);
  let span: ReturnType<typeof openSpan> | undefined;
  const end = (failure?: string) => {
    span?.end(failure);
    span = undefined;
  };
  const inside = (next: () => void) => (span ? span.within(next) : next());
  const listener = new ServerListenerBuilder()
    .withOnReceiveMetadata((metadata, next) => {
      const [parent] = metadata.get('traceparent');
      span = openSpan(method.path.slice(1), { parent: String(parent ?? ''), kind: 'server' });
      inside(() => next(metadata));
    })
    .withOnReceiveMessage((message, next) => inside(() => next(message)))
    .withOnReceiveHalfClose((next) => inside(next))
    .withOnCancel(() => end('cancelled'))
    .build();
  const responder = new ResponderBuilder()
    .withStart((next) => next(listener))
    .withSendStatus((sent, next) => {
      end(sent.code === status.OK ? undefined : status[sent.code]);
      next(sent);
    })
    .build();
  return new ServerInterceptingCall(call, responder);
};
