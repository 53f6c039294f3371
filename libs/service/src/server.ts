/** Nest's gRPC server with health, reflection and only the services that have a controller. */
import { protoFiles, protoRoot } from '@emotune/proto';
import {
  Server as GrpcServer,
  logVerbosity,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  setLogVerbosity,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { type ArgumentsHost, Catch, type RpcExceptionFilter } from '@nestjs/common';
import { ServerGrpc } from '@nestjs/microservices';
import { type Observable, throwError } from 'rxjs';
import type { Access } from './access.js';
import { declarations, packageDefinition, packages } from './contract.js';
import { type Limits, usualLimits } from './limits.js';
import { Listener } from './listener.js';
import { Load } from './load.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import { blaming, RefusingServer, refusing } from './received.js';
import { ServedHealth } from './served-health.js';
import { statusOf } from './status.js';
import type { Tls } from './tls.js';
import { tracing } from './tracing.js';

// Errors reach whoever called; grpc-js would also write them to stderr.
setLogVerbosity(logVerbosity.NONE);

/** The contract for who asks what there is. */
const described = loadSync([...protoFiles], { includeDirs: [protoRoot] });

const maxMessageBytes = 16 * 1024 * 1024;

const minuteMs = 60_000;

const mostProbes = 100;

/** Who is connected answers pings, or is gone; who asks nothing is told to come again when there is something to ask. */
const connectionSettings = {
  'grpc.keepalive_time_ms': minuteMs,
  'grpc.keepalive_timeout_ms': minuteMs,
  'grpc.max_connection_idle_ms': 30 * minuteMs,
};

/** Gives every error that leaves a controller its status; logs those that are bugs. */
@Catch()
export class StatusFilter implements RpcExceptionFilter {
  constructor(private readonly log: Log) {}

  catch(error: unknown, _host: ArgumentsHost): Observable<never> {
    const sent = statusOf(error);
    if (sent.metadata === undefined && sent.details.startsWith('internal error'))
      this.log.error('a call failed', { error });
    return throwError(() => sent);
  }
}

const starting = { code: status.UNAVAILABLE, details: 'the server is starting; ask again' };
const stopping = { code: status.UNAVAILABLE, details: 'the server is stopping; ask again' };

/** The answers that are being streamed, so that they can be ended. */
class OpenStreams {
  private readonly ends = new Set<() => void>();
  private over = false;

  readonly interceptor: ServerInterceptor = (method, call) => {
    if (!method.responseStream) return new ServerInterceptingCall(call);
    let ended = false;
    const end = () => {
      this.ends.delete(end);
      ended = true;
      call.sendStatus(stopping);
    };
    this.ends.add(end);
    const listener = new ServerListenerBuilder().withOnCancel(() => this.ends.delete(end)).build();
    const responder = new ResponderBuilder()
      .withStart((next) => {
        next(listener);
        // It came when the others had been ended.
        if (this.over) end();
      })
      .withSendMessage((message, next) => {
        if (!ended) next(message);
      })
      .withSendStatus((sent, next) => {
        this.ends.delete(end);
        if (!ended) next(sent);
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };

  /** Ends each as UNAVAILABLE, also those that come later: its reader asks another server, or this one when it is back. */
  end(): void {
    this.over = true;
    for (const end of this.ends) end();
  }
}

/** What answers for a service until it has its controller. */
function startingService(definition: ServiceDefinition): UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(definition).map(([name, { responseStream }]) => [
      name,
      responseStream
        ? (call: ServerWritableStream<unknown, unknown>) => call.emit('error', starting)
        : (_call: unknown, callback: sendUnaryData<unknown>) => callback(starting),
    ]),
  );
}

export interface EmotuneServerOptions {
  /** host:port; port 0 takes a free one. */
  readonly listen: string;
  readonly access: Access;
  /** Default: the usual ones. */
  readonly limits?: Limits;
  /** Without it nothing is encrypted. */
  readonly security?: { readonly tls: Tls; readonly log: Log } | undefined;
  /** host:port where health alone is answered, without TLS. */
  readonly probes?: string | undefined;
  /** Hear of each call that is answered. */
  readonly metrics?: Metrics | undefined;
}

/** Listens from the beginning; is healthy from when Nest has bound its controllers until it is closed, while it lacks nothing. */
export class EmotuneServer extends ServerGrpc {
  readonly health = new ServedHealth();

  private constructor(
    readonly access: Access,
    private readonly listener: Listener,
    private readonly server: GrpcServer,
    private readonly streams: OpenStreams,
    private readonly probes: { readonly listener: Listener; readonly server: GrpcServer } | undefined,
  ) {
    super({ url: listener.address, package: [...packages], packageDefinition });
    this.health.implementation.addToServer(server);
    if (probes) this.health.implementation.addToServer(probes.server);
    new ReflectionService(described).addToServer(server);
    for (const { definition } of this.contract()) server.addService(definition, startingService(definition));
  }

  /** @throws Unavailable when it cannot be listened on. */
  static async listen({
    listen,
    access,
    limits = usualLimits,
    security,
    probes,
    metrics,
  }: EmotuneServerOptions): Promise<EmotuneServer> {
    const streams = new OpenStreams();
    const server = new RefusingServer({
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_concurrent_streams': limits.calls + limits.streams,
      ...connectionSettings,
      // From the wire to the handler.
      interceptors: [
        blaming,
        ...(metrics ? [metrics.interceptor] : []),
        new Load(limits).interceptor,
        access.interceptor,
        tracing,
        streams.interceptor,
        refusing,
      ],
    });
    const listener = await Listener.open(listen, server, limits.connections, security);
    const forProbes = new GrpcServer({ ...connectionSettings, interceptors: [streams.interceptor] });
    return new EmotuneServer(
      ...([access, listener, server, streams] as const),
      probes === undefined
        ? undefined
        : { listener: await Listener.open(probes, forProbes, mostProbes), server: forProbes },
    );
  }

  /** host:port at which this machine reaches it. */
  get address(): string {
    return this.listener.address;
  }

  /** host:port where it answers about its health alone. */
  get probesAddress(): string | undefined {
    return this.probes?.listener.address;
  }

  override async createClient(): Promise<GrpcServer> {
    return this.server;
  }

  /** Every service of the contract, by its full name. */
  private contract() {
    return packages.flatMap((name) =>
      this.getServiceNames(declarations(name)).map(({ name: service, service: client }) => ({
        name: `${name}.${service}`,
        definition: client.service as ServiceDefinition,
        handlers: (): Promise<UntypedServiceImplementation> => this.createService(client, service),
      })),
    );
  }

  override async bindEvents(): Promise<void> {
    for (const { name, definition, handlers } of this.contract()) {
      const methods = await handlers();
      this.server.removeService(definition);
      if (Object.keys(methods).length === 0) continue;
      this.server.addService(definition, methods);
      this.health.add(name);
    }
    this.health.serve(true);
  }

  /** Whoever asks about its health hears of it first; then it takes no more calls, ends streams, and lets calls end for `ms`. */
  async drain(ms: number): Promise<void> {
    this.health.serve(false);
    this.listener.close();
    this.probes?.listener.close();
    const servers = [this.server, ...(this.probes ? [this.probes.server] : [])];
    const ended = Promise.all(
      servers.map((server) => new Promise<void>((resolve) => server.tryShutdown(() => resolve()))),
    );
    this.streams.end();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([ended, late]);
    clearTimeout(timer);
  }

  /** Ends what is still open. */
  override async close(): Promise<void> {
    this.health.serve(false);
    this.listener.close();
    this.server.forceShutdown();
    this.probes?.listener.close();
    this.probes?.server.forceShutdown();
  }
}
