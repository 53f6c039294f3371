/** Calls to other services: typed by the generated clients, with promises, async iterables and our own errors. */
import { Internal, ResourceExhausted, systemClock, Unavailable } from '@emotune/base';
import { traceparent } from '@emotune/base/trace';
import type { PlainValue } from '@emotune/proto';
import {
  credentials,
  type CallOptions as GrpcCallOptions,
  type Client as GrpcClient,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { Observable } from 'rxjs';
import type { ByArea } from './area-addresses.js';
import { type Area, areaOf, clientClass } from './contract.js';
import { errorOf } from './status.js';
import type { Tls } from './tls.js';

export interface CallOptions {
  /** Cancels the call when it aborts; the call then fails with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
  /** Sent as "authorization: Bearer …" instead of the channel's. */
  readonly token?: string | undefined;
}

/** A message with fields left out: they take their defaults. */
export type Draft<T> = T extends PlainValue
  ? T
  : T extends (infer E)[]
    ? Draft<E>[]
    : T extends object
      ? { [K in keyof T]?: Draft<T[K]> | undefined }
      : T;

// biome-ignore lint/suspicious/noExplicitAny: only a bound that every generated method satisfies
type Method = (request: any, ...rest: any[]) => Observable<unknown>;
type Unwrapped<T> = T extends Observable<infer V> ? V : T;
type Request<C, K extends keyof C> = C[K] extends Method ? Unwrapped<Parameters<C[K]>[0]> : never;
type Reply<C, K extends keyof C> = C[K] extends Method ? Unwrapped<ReturnType<C[K]>> : never;

/** `C` is a client interface of @emotune/proto, for example `data.DatasetServiceClient`. */
export interface Client<C> {
  /** A unary method. */
  call<K extends keyof C & string>(
    method: K,
    request: Draft<Request<C, K>>,
    options?: CallOptions,
  ): Promise<Reply<C, K>>;
  /** A method that streams its answers; leaving the loop cancels the call. */
  stream<K extends keyof C & string>(
    method: K,
    request: Draft<Request<C, K>>,
    options?: CallOptions,
  ): AsyncIterable<Reply<C, K>>;
  /** A method that takes a stream and answers once. */
  send<K extends keyof C & string>(
    method: K,
    requests: AsyncIterable<Draft<Request<C, K>>>,
    options?: CallOptions,
  ): Promise<Reply<C, K>>;
  /** A method that streams both ways. */
  duplex<K extends keyof C & string>(
    method: K,
    requests: AsyncIterable<Draft<Request<C, K>>> | Iterable<Draft<Request<C, K>>>,
    options?: CallOptions,
  ): AsyncIterable<Reply<C, K>>;
}

const maxMessageBytes = 16 * 1024 * 1024;

function callSettings({ token, ...options }: CallOptions): [Metadata, GrpcCallOptions] {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  const parent = traceparent();
  if (parent !== undefined) metadata.set('traceparent', parent);
  return [
    metadata,
    options.deadlineMs === undefined ? {} : { deadline: new Date(Date.now() + options.deadlineMs) },
  ];
}

type Untyped = GrpcClient & Record<string, (...args: unknown[]) => never>;
type UnaryCallback = (error: ServiceError | null, reply: unknown) => void;

interface ReadableCall extends AsyncIterable<unknown> {
  cancel(): void;
  on(event: 'error', listener: (error: Error) => void): void;
}

interface WritableCall {
  write(message: unknown): boolean;
  end(): void;
  cancel(): void;
  once(event: 'drain', listener: () => void): void;
}

interface Sending {
  /** Nothing more is taken from the source: the call is over. */
  stop(): void;
  /** What the source failed with. */
  failure(): unknown;
}

/** Writes requests as fast as they are taken. A source that fails cancels the call. */
function sendAll(call: WritableCall, requests: AsyncIterable<unknown> | Iterable<unknown>): Sending {
  let over = false;
  let proceed = () => {};
  let cause: unknown;
  const send = async () => {
    for await (const request of requests) {
      if (over) return;
      if (!call.write(request)) {
        await new Promise<void>((resolve) => {
          proceed = resolve;
          call.once('drain', resolve);
        });
      }
      if (over) return;
    }
    call.end();
  };
  send().catch((error) => {
    cause = error;
    call.cancel();
  });
  return {
    stop: () => {
      over = true;
      proceed();
    },
    failure: () => cause,
  };
}

/** The host:port of each area's process. */
export type Peers = ByArea<string>;

/** A server, and how it is reached. */
export interface Server {
  /** host:port */
  readonly address: string;
  /** Without it nothing is encrypted. */
  readonly tls?: Tls | undefined;
}

/** Of a caller that a server tells to ask again later: for calls that are answered once, and streams that have not begun. */
export interface Patience {
  /** Milliseconds that a call waits in all. */
  readonly mostMs: number;
  /** Hears of each wait before it begins. */
  waits(ms: number, refusal: ResourceExhausted): void;
}

export interface CallerOptions {
  /** That servers ask for. */
  readonly token?: string | undefined;
  /** Without it a call that is refused fails. */
  readonly patience?: Patience;
}

/** What servers are shown, and how they are reached. */
export interface ChannelOptions extends CallerOptions, Pick<Server, 'tls'> {}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
}

/** The way to services: one connection a server, made on first use and again when it was lost. */
export class Channel {
  private readonly clients = new Map<string, Untyped>();
  /** By scheme and address, a client whose connection the others of that server share. */
  private readonly connections = new Map<string, Untyped>();

  private constructor(
    /** By the short name of a service. */
    private readonly serverOf: (service: string) => Server,
    private readonly options: CallerOptions,
  ) {}

  /** To one server that holds every service. @param address host:port */
  static connect(address: string, { tls, ...options }: ChannelOptions = {}): Channel {
    const server = { address, tls };
    return new Channel(() => server, options);
  }

  /**
   * To a server an area.
   * @param missing what a call throws whose area is not among `servers`
   */
  static toServers(
    servers: ByArea<Server>,
    options: CallerOptions,
    missing: (area: Area, service: string) => Error,
  ): Channel {
    return new Channel((service) => {
      const area = areaOf(service);
      const server = servers[area];
      if (server === undefined) throw missing(area, service);
      return server;
    }, options);
  }

  /** To a peer an area. A call to an area that is not among `peers` throws Internal. */
  static toPeers(peers: Peers, { tls, ...options }: ChannelOptions = {}): Channel {
    const servers = Object.fromEntries(
      Object.entries(peers).map(([area, address]) => [area, { address, tls }]),
    );
    return Channel.toServers(
      servers,
      options,
      (_, service) => new Internal(`no peer was named that serves ${service}`),
    );
  }

  private open(service: string): Untyped {
    let client = this.clients.get(service);
    if (!client) {
      const { address, tls } = this.serverOf(service);
      const place = `${tls ? 'https' : 'http'}://${address}`;
      const connection = this.connections.get(place);
      const ClientClass = clientClass(service);
      client = new ClientClass(address, tls?.credentials(hostOf(address)) ?? credentials.createInsecure(), {
        'grpc.max_receive_message_length': maxMessageBytes,
        // Loopback servers come back within a second after a restart.
        'grpc.max_reconnect_backoff_ms': 1000,
        // A machine that is gone says nothing: without, a call that has no deadline would wait for ever.
        'grpc.keepalive_time_ms': 20_000,
        'grpc.keepalive_timeout_ms': 10_000,
        'grpc.enable_http_proxy': 0,
        ...(connection ? { channelOverride: connection.getChannel() } : {}),
      }) as unknown as Untyped;
      if (!connection) this.connections.set(place, client);
      this.clients.set(service, client);
    }
    return client;
  }

  /** Waits until a call that was refused may be made again. @throws the refusal, where it says no time or too long a one */
  private refusals(signal: AbortSignal | undefined): (refusal: unknown) => Promise<void> {
    let leftMs = this.options.patience?.mostMs ?? 0;
    return async (refusal) => {
      if (!(refusal instanceof ResourceExhausted)) throw refusal;
      const ms = refusal.retryAfterMs ?? Infinity;
      if (ms > leftMs) throw refusal;
      leftMs -= ms;
      this.options.patience!.waits(ms, refusal);
      await systemClock.sleep(ms, signal);
    };
  }

  client<C>(service: string): Client<C> {
    const settingsOf = (options: CallOptions) =>
      callSettings({ ...options, token: options.token ?? this.options.token });
    const failure = (error: unknown, signal: AbortSignal | undefined): Error => {
      if (signal?.aborted) return signal.reason;
      const { code } = error as ServiceError;
      if (code === undefined) return error as Error;
      // Not by us: the server ended the call because it is stopping.
      if (code === status.CANCELLED)
        return new Unavailable(`${service}: the server stopped before it answered`);
      return errorOf(error as ServiceError, this.serverOf(service).address);
    };
    async function* read(call: ReadableCall, signal: AbortSignal | undefined): AsyncGenerator<never> {
      const cancel = () => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
      // One that has aborted before tells nobody.
      if (signal?.aborted) cancel();
      try {
        for await (const reply of call) yield reply as never;
        if (signal?.aborted) throw signal.reason;
      } catch (error) {
        throw failure(error, signal);
      } finally {
        signal?.removeEventListener('abort', cancel);
        // Cancelling raises an error that nobody waits for any more.
        call.on('error', () => {});
        call.cancel();
      }
    }
    const once = (method: string, request: unknown, options: CallOptions): Promise<never> =>
      new Promise((resolve, reject) => {
        const { signal } = options;
        if (signal?.aborted) return reject(signal.reason);
        const client = this.open(service);
        const [metadata, settings] = settingsOf(options);
        const callback: UnaryCallback = (error, reply) => {
          signal?.removeEventListener('abort', cancel);
          if (error) reject(failure(error, signal));
          else resolve(reply as never);
        };
        const call = client[method](request, metadata, settings, callback) as { cancel(): void };
        const cancel = () => call.cancel();
        signal?.addEventListener('abort', cancel, { once: true });
      });
    const begin = (method: string, request: unknown, options: CallOptions): AsyncIterable<never> => {
      const [metadata, settings] = settingsOf(options);
      return read(this.open(service)[method](request, metadata, settings), options.signal);
    };
    const refusals = (signal: AbortSignal | undefined) => this.refusals(signal);
    return {
      call: async (method, request, options = {}) => {
        for (const mayGoOn = refusals(options.signal); ; ) {
          try {
            return await once(method, request, options);
          } catch (error) {
            await mayGoOn(error);
          }
        }
      },
      stream: (method, request, options = {}) => {
        let replies = begin(method, request, options);
        return (async function* () {
          for (const mayGoOn = refusals(options.signal); ; ) {
            let begun = false;
            try {
              for await (const reply of replies) {
                begun = true;
                yield reply;
              }
              return;
            } catch (error) {
              if (begun) throw error;
              await mayGoOn(error);
              replies = begin(method, request, options);
            }
          }
        })();
      },
      send: (method, requests, options = {}) =>
        new Promise((resolve, reject) => {
          const { signal } = options;
          if (signal?.aborted) return reject(signal.reason);
          const [metadata, settings] = settingsOf(options);
          const callback: UnaryCallback = (error, reply) => {
            signal?.removeEventListener('abort', cancel);
            sending.stop();
            if (error) reject(sending.failure() ?? failure(error, signal));
            else resolve(reply as never);
          };
          const call = this.open(service)[method](metadata, settings, callback) as WritableCall;
          const cancel = () => call.cancel();
          const sending = sendAll(call, requests);
          signal?.addEventListener('abort', cancel, { once: true });
        }),
      duplex: (method, requests, options = {}) => {
        const [metadata, settings] = settingsOf(options);
        const call = this.open(service)[method](metadata, settings) as ReadableCall & WritableCall;
        const sending = sendAll(call, requests);
        return (async function* () {
          try {
            yield* read(call, options.signal);
          } catch (error) {
            throw sending.failure() ?? error;
          } finally {
            sending.stop();
          }
        })();
      },
    };
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
    this.connections.clear();
  }
}
