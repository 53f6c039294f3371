/** Requests that nobody should send, to every method of a real platform: whether each is answered or refused by name. */
import { setTimeout as delay } from 'node:timers/promises';
import { Rng } from '@emotune/base';
import { codecOf } from '@emotune/proto';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type FuzzedPlatform, startFuzzedPlatform } from './fuzz-platform.js';
import { encoded, methods, type Probe, probeOf, tokenFor, validRequest } from './fuzz-requests.js';
import { shrunk } from './fuzz-shrink.js';
import type { Message } from './fuzz-values.js';
import type { Holds } from './holds.js';

export interface FuzzWorkload {
  readonly requests: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number) => void;
  /** The services are left alone so long before their memory is measured: what nobody holds is given back. */
  readonly restSeconds: number;
}

/** A request that was answered as if the platform were broken. */
export interface Defect {
  readonly number: number;
  readonly method: string;
  readonly status: string;
  readonly details: string;
  /** The field that was changed, `bytes` or `all`. */
  readonly what: string;
  /** The smallest request found that is answered so. */
  readonly request: string;
}

export interface FuzzFigures {
  readonly requests: number;
  readonly seed: number;
  readonly methods: number;
  /** Answers by the name of their status. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly defects: readonly Defect[];
  readonly seconds: number;
  readonly holds: Holds;
  /** Bytes in the memory of the services' process once each method was asked, and when all requests were answered. */
  readonly rssStart: number;
  readonly rssEnd: number;
  /** What the services logged as errors, and how often. */
  readonly logged: Readonly<Record<string, number>>;
}

/** Answers that say that the platform, not the request, is at fault. */
const broken: ReadonlySet<number> = new Set([status.UNKNOWN, status.INTERNAL, status.DATA_LOSS]);
/** Memory may grow by this. */
export const rssLimit = 100 * 2 ** 20;
/** Requests on their way at a time. */
const abreast = 8;
/** A stream that goes on is left after so many answers, or so long. */
const mostAnswers = 3;
const patienceMs = 300;
/** It only ends a hang. */
const deadlineMs = 120_000;
const mostShown = 400;

interface Answer {
  readonly code: status;
  readonly details: string;
}

const fine: Answer = { code: status.OK, details: '' };

/** Sends a probe as it is; what comes is read as the contract says. */
function send(client: Client, { method, messages, token }: Probe): Promise<Answer> {
  const of = methods.get(method)!;
  const bytes = messages.map((message) => encoded(of, message));
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const { decode } = codecOf(of.response);
  const same = (value: Buffer) => value;
  const options = { deadline: Date.now() + deadlineMs };
  return new Promise((resolve) => {
    const failed = ({ code = status.UNKNOWN, details }: ServiceError) => resolve({ code, details });
    const answered = (error: ServiceError | null) => (error ? failed(error) : resolve(fine));
    if (!of.requestStream && !of.responseStream) {
      client.makeUnaryRequest(of.path, same, decode, bytes[0], metadata, options, answered);
      return;
    }
    if (!of.responseStream) {
      const call = client.makeClientStreamRequest(of.path, same, decode, metadata, options, answered);
      for (const each of bytes) call.write(each);
      call.end();
      return;
    }
    const duplex = of.requestStream
      ? client.makeBidiStreamRequest(of.path, same, decode, metadata, options)
      : undefined;
    const call = duplex ?? client.makeServerStreamRequest(of.path, same, decode, bytes[0], metadata, options);
    let answers = 0;
    const leave = () => {
      resolve(fine);
      call.cancel();
    };
    const timer = setTimeout(leave, patienceMs);
    call.on('data', () => {
      if (++answers >= mostAnswers) leave();
    });
    call.on('error', (error) => {
      clearTimeout(timer);
      failed(error as ServiceError);
    });
    call.on('end', () => clearTimeout(timer));
    call.on('status', ({ code }) => {
      if (code === status.OK) resolve(fine);
    });
    for (const each of duplex ? bytes : []) duplex!.write(each);
    duplex?.end();
  });
}

const shown = (messages: readonly (Message | Buffer)[]): string => {
  const text = messages
    .map((message) =>
      Buffer.isBuffer(message)
        ? `bytes ${message.toString('hex')}`
        : JSON.stringify(message, (_, value) =>
            typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
          ),
    )
    .join(', ');
  return text.length > mostShown ? `${text.slice(0, mostShown)}… (${text.length} characters)` : text;
};

/** A line of a log in short: its message, the error's, and where that came from. */
function lineOf(line: string): string {
  const { message, error } = JSON.parse(line) as {
    message: string;
    error?: { message: string; stack?: string };
  };
  const place = /^\s+at .*$/m.exec(error?.stack ?? '')?.[0].trim() ?? '';
  return [message, error?.message ?? '', place].filter((part) => part !== '').join(': ');
}

function counted(words: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Object.fromEntries(counts);
}

async function fuzz(
  client: Client,
  { world, measure }: FuzzedPlatform,
  { requests, seed, signal, onProgress, restSeconds }: FuzzWorkload,
): Promise<FuzzFigures> {
  const rested = async () => {
    await delay(1000 * restSeconds, undefined, { signal });
    return measure();
  };
  // What is loaded and compiled once is no leak.
  for (const method of methods.keys()) {
    const messages = validRequest(method, world, Rng.of(seed, method));
    await send(client, { method, what: '', messages, token: tokenFor(method, world) });
  }
  const start = await rested();
  const begun = performance.now();
  const statuses: string[] = [];
  const defects: Defect[] = [];
  let next = 0;
  const work = async () => {
    while (next < requests) {
      signal.throwIfAborted();
      const number = next++;
      const probe = probeOf(seed, number, world);
      const answer = await send(client, probe);
      const name = status[answer.code];
      statuses.push(name);
      onProgress?.(number);
      if (!broken.has(answer.code)) continue;
      const smallest = await shrunk(
        probe,
        async (smaller) => (await send(client, smaller)).code === answer.code,
      );
      const { method, what } = probe;
      defects.push({
        number,
        method,
        what,
        status: name,
        details: answer.details,
        request: shown(smallest.messages),
      });
    }
  };
  await Promise.all(Array.from({ length: abreast }, work));
  const seconds = (performance.now() - begun) / 1000;
  const busy = await measure();
  const end = await rested();
  return {
    requests,
    seed,
    methods: methods.size,
    statuses: counted(statuses),
    defects: defects.sort((a, b) => a.number - b.number),
    seconds,
    holds: busy.holds,
    rssStart: start.rss,
    rssEnd: end.rss,
    logged: counted(end.errors.map(lineOf)),
  };
}

/** In a temporary folder. @throws as `startFuzzedPlatform` */
export async function benchFuzz(workload: FuzzWorkload): Promise<FuzzFigures> {
  const platform = await startFuzzedPlatform(workload.signal);
  const client = new Client(platform.address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.enable_http_proxy': 0,
  });
  try {
    return await fuzz(client, platform, workload);
  } finally {
    client.close();
    await platform.close();
  }
}

/** Whether nothing was answered as a defect, and memory came back. */
export function fuzzHolds({ defects, rssStart, rssEnd }: FuzzFigures): boolean {
  return defects.length === 0 && rssEnd - rssStart <= rssLimit;
}
