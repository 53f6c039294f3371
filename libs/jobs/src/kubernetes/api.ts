/**
 * The API server, thinly: JSON in and out, and streams of lines. Requests go by the client's own rules for kubeconfig, proxies
 * and tokens that are renewed. What it generates for each kind of object is left aside: it gives dates where a watch gives text.
 */
import { type Clock, Unavailable } from '@emotune/base';
import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  RequestContext,
  type ResponseContext,
} from '@kubernetes/client-node';

/** What the API server has answered, with its own words. */
export class ApiError extends Error {
  constructor(
    readonly code: number,
    /** A word such as AlreadyExists, Conflict, Expired. */
    readonly reason: string,
    message: string,
    readonly retryAfterMs?: number,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

type Query = Readonly<Record<string, string | number | boolean>>;

interface Sent {
  readonly query?: Query;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** One request takes no longer; streams may. */
const requestMs = 15_000;
/** A request is repeated for so long before the API server counts as away. */
const patienceMs = 20_000;
const firstPauseMs = 100;
const longestPauseMs = 5_000;
/** An API server that has just come back denies what it allows until it has read its roles. */
const readsRolesMs = 30_000;

const contentTypes = {
  POST: 'application/json',
  PUT: 'application/json',
  DELETE: 'application/json',
  PATCH: 'application/merge-patch+json',
};

/** Milliseconds before try number `failures` + 1: twice as long each time, anywhere in its half, so that many do not come at once. */
export function pauseMs(failures: number, random: () => number = Math.random): number {
  const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures, 16));
  return longest / 2 + (random() * longest) / 2;
}

/** Whether the same may succeed in a moment: too many requests, a server that restarts, somebody else was faster. */
function passes(error: unknown): boolean {
  if (!(error instanceof ApiError)) return true;
  return error.code === 429 || error.code >= 500 || (error.code === 409 && error.reason === 'Conflict');
}

async function refusal(response: ResponseContext): Promise<ApiError> {
  const text = await response.body.text().catch(() => '');
  const after = Number(response.headers['retry-after']) * 1000;
  let said: { reason?: string; message?: string } = {};
  try {
    said = JSON.parse(text);
  } catch {
    // A proxy has answered in its place.
  }
  return new ApiError(
    response.httpStatusCode,
    said.reason ?? '',
    said.message || text.slice(0, 1000) || `status ${response.httpStatusCode}`,
    after > 0 ? after : undefined,
  );
}

export class Api {
  /** Requests that were sent. */
  calls = 0;
  /** By the clock, when it could not be reached last. */
  private awayAt = Number.NEGATIVE_INFINITY;
  private readonly http = new IsomorphicFetchHttpLibrary();

  constructor(
    private readonly config: KubeConfig,
    private readonly clock: Clock,
  ) {}

  private async send(
    method: HttpMethod,
    path: string,
    { query, body, signal }: Sent,
  ): Promise<ResponseContext> {
    const server = this.config.getCurrentCluster()?.server ?? '';
    const context = new RequestContext(`${server}${path}`, method);
    for (const [name, value] of Object.entries(query ?? {})) context.setQueryParam(name, String(value));
    if (body !== undefined) {
      context.setBody(JSON.stringify(body));
      context.setHeaderParam('Content-Type', contentTypes[method as keyof typeof contentTypes]);
    }
    context.setHeaderParam('Accept', 'application/json');
    if (signal) context.setSignal(signal);
    await this.config.applySecurityAuthentication(context);
    this.calls++;
    const response = await this.http
      .send(context)
      .toPromise()
      .catch((error) => {
        this.notice(signal);
        throw error;
      });
    if (response.httpStatusCode < 300) return response;
    const error = await refusal(response);
    if (error.code === 403 && this.clock.now() - this.awayAt < readsRolesMs)
      throw new Unavailable(`the API server of the cluster has just come back: ${error.message}`, {
        cause: error,
      });
    throw error;
  }

  /** A connection broke, unless the caller broke it off. */
  private notice(signal: AbortSignal | undefined): void {
    if (!signal?.aborted) this.awayAt = this.clock.now();
  }

  /** A request and its answer, tried once. @throws ApiError; what the connection broke of; the signal's reason */
  async once<T>(method: HttpMethod, path: string, { query, body, signal }: Sent = {}): Promise<T> {
    const limit = AbortSignal.timeout(requestMs);
    const both = signal ? AbortSignal.any([signal, limit]) : limit;
    const response = await this.send(method, path, { query: query ?? {}, body, signal: both });
    return JSON.parse(await response.body.text()) as T;
  }

  /**
   * A request and its answer, repeated while it may succeed in a moment; so it must be one that may come twice.
   * @throws ApiError; Unavailable when there was no answer for long; the signal's reason.
   */
  async json<T>(method: HttpMethod, path: string, sent: Sent = {}): Promise<T> {
    const { signal } = sent;
    const deadline = this.clock.now() + patienceMs;
    for (let failures = 0; ; failures++) {
      signal?.throwIfAborted();
      try {
        return await this.once<T>(method, path, sent);
      } catch (error) {
        signal?.throwIfAborted();
        const wait = Math.max(pauseMs(failures), (error as Partial<ApiError>).retryAfterMs ?? 0);
        if (!passes(error)) throw error;
        if (this.clock.now() + wait >= deadline)
          throw new Unavailable(`the API server of the cluster cannot be reached: ${wordsOf(error)}`, {
            cause: error,
          });
        await this.clock.sleep(wait, signal);
      }
    }
  }

  /** The lines of an answer as they come; what follows the last newline is left out unless the answer ended in order. */
  async *lines(path: string, query: Query, signal: AbortSignal): AsyncGenerator<string> {
    const response = await this.send(HttpMethod.GET, path, { query, signal });
    const decoder = new TextDecoder('utf-8');
    let rest = '';
    try {
      for await (const chunk of response.body.stream() ?? []) {
        rest += decoder.decode(chunk, { stream: true });
        const lines = rest.split('\n');
        rest = lines.pop()!;
        yield* lines;
      }
    } catch (error) {
      this.notice(signal);
      throw error;
    }
    if (rest !== '') yield rest;
  }
}

/** An error with what caused it: undici says "fetch failed" alone. */
function wordsOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message ? `${message}: ${cause.message}` : message;
}
