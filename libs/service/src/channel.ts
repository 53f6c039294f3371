/** Calls to other services: typed by the generated clients, with promises, async iterables and our own errors. */
import { Unavailable } from '@emotune/base';
import {
  credentials,
  type CallOptions as GrpcCallOptions,
  type Client as GrpcClient,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { Observable } from 'rxjs';
import { clientClass } from './contract.js';
import { errorOf } from './status.js';

export interface CallOptions {
  /** Cancels the call when it aborts; the call then fails with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
  /** Sent as "authorization: Bearer …". */
  readonly token?: string;
}

/** A message with fields left out: they take their defaults. */
export type Draft<T> = T extends (infer E)[]
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
  /** A method that streams both ways. */
  duplex<K extends keyof C & string>(
    method: K,
    requests: AsyncIterable<Draft<Request<C, K>>> | Iterable<Draft<Request<C, K>>>,
    options?: CallOptions,
  ): AsyncIterable<Reply<C, K>>;
}

const maxMessageBytes = 16 * 1024 * 1024;

function callSettings(options: CallOptions): [Metadata, GrpcCallOptions] {
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set('authorization', `Bearer ${options.token}`);
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

/** One connection to a server that may hold several services. Connects on first use and again when it was lost. */
export class Channel {
  private readonly clients = new Map<string, Untyped>();
  private connection: Untyped | undefined;

  private constructor(readonly address: string) {}

  /** @param address host:port */
  static connect(address: string): Channel {
    return new Channel(address);
  }

  private open(service: string): Untyped {
    let client = this.clients.get(service);
    if (!client) {
      const ClientClass = clientClass(service);
      client = new ClientClass(this.address, credentials.createInsecure(), {
        'grpc.max_receive_message_length': maxMessageBytes,
        // Loopback servers come back within a second after a restart.
        'grpc.max_reconnect_backoff_ms': 1000,
        'grpc.enable_http_proxy': 0,
        ...(this.connection ? { channelOverride: this.connection.getChannel() } : {}),
      }) as unknown as Untyped;
      this.connection ??= client;
      this.clients.set(service, client);
    }
    return client;
  }

  client<C>(service: string): Client<C> {
    const failure = (error: unknown, signal: AbortSignal | undefined): Error => {
      if (signal?.aborted) return signal.reason;
      const { code } = error as ServiceError;
      if (code === undefined) return error as Error;
      // Not by us: the server ended the call because it is stopping.
      if (code === status.CANCELLED)
        return new Unavailable(`${service}: the server stopped before it answered`);
      return errorOf(error as ServiceError, this.address);
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
    return {
      call: (method, request, options = {}) =>
        new Promise((resolve, reject) => {
          const { signal } = options;
          if (signal?.aborted) return reject(signal.reason);
          const client = this.open(service);
          const [metadata, settings] = callSettings(options);
          const callback: UnaryCallback = (error, reply) => {
            signal?.removeEventListener('abort', cancel);
            if (error) reject(failure(error, signal));
            else resolve(reply as never);
          };
          const call = client[method](request, metadata, settings, callback) as { cancel(): void };
          const cancel = () => call.cancel();
          signal?.addEventListener('abort', cancel, { once: true });
        }),
      stream: (method, request, options = {}) => {
        const [metadata, settings] = callSettings(options);
        return read(this.open(service)[method](request, metadata, settings), options.signal);
      },
      duplex: (method, requests, options = {}) => {
        const [metadata, settings] = callSettings(options);
        const call = this.open(service)[method](metadata, settings) as ReadableCall & WritableCall;
        // When the reader has gone, nothing more is taken from the source.
        let over = false;
        let proceed = () => {};
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
        // A source that fails cancels the call; its own error is what the reader sees.
        let cause: unknown;
        send().catch((error) => {
          cause = error;
          call.cancel();
        });
        return (async function* () {
          try {
            yield* read(call, options.signal);
          } catch (error) {
            throw cause ?? error;
          } finally {
            over = true;
            proceed();
          }
        })();
      },
    };
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
    this.connection = undefined;
  }
}
