/**
 * Analyses over gRPC: single calls of ever more callers, against batches of the same texts; and beside them, if one is given,
 * another server that scores the same candidates after the same prompts, each load in turn.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { candidatesOf, defaultQuestion, explain, renderPrompt, tasks } from '@emotune/affect';
import { Unavailable } from '@emotune/base';
import type { InferenceCompute } from '@emotune/models';
import { common, type inference } from '@emotune/proto';
import { Channel, importCheckpoint } from '@emotune/service/client';
import { closedLoop, type LoopFigures } from './closed-loop.js';
import type { ServingOrder, ServingReply } from './serving-process.js';
import { syntheticTexts } from './texts.js';
import { median, secondsOf } from './timing.js';

export interface ServeWorkload {
  /** Checkpoint folder. */
  readonly folder: string;
  readonly callers: readonly number[];
  /** About each text: 1, its sentiment's class, or 4. */
  readonly questions: readonly number[];
  /** Of each load. */
  readonly seconds: number;
  readonly baseCompute: InferenceCompute;
  readonly threads: number;
  /** Address of test/peers/serve_pipelines.py. */
  readonly peer?: string;
  readonly signal: AbortSignal;
  /** Compiled program of the services' process; default: beside this one. */
  readonly program?: string;
}

interface ServerFigures extends LoopFigures {
  /** Of the server's process when the load has ended. */
  readonly memoryMiB: number;
}

interface LoadFigures extends ServerFigures {
  readonly questions: number;
  /** Texts a second in batches. */
  readonly batchPerSecond: number;
  /** Longest time that the server's event loop was held. */
  readonly heldMs: number;
  readonly peer?: ServerFigures;
}

export interface ServeFigures {
  readonly model: string;
  readonly baseCompute: InferenceCompute;
  readonly threads: number;
  readonly seconds: number;
  readonly batch: number;
  /** What the other server says of itself. */
  readonly peer?: string;
  readonly loads: readonly LoadFigures[];
}

const model = 'bench';
const compiled = fileURLToPath(new URL('./serving-process.js', import.meta.url));

/** Texts of a batch, and batches of which the median counts. */
const batch = 128;
const batches = 3;
/** More callers share connections. */
const connections = 64;

/** The services in their process. */
class Serving {
  private readonly child: ChildProcess;

  constructor(program: string) {
    this.child = fork(program, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  }

  private async ask(order: ServingOrder): Promise<ServingReply> {
    this.child.send(order);
    const [reply] = (await once(this.child, 'message')) as [ServingReply];
    if (reply.type === 'failed') throw new Unavailable(`the services did not start: ${reply.message}`);
    return reply;
  }

  async open(order: Omit<ServingOrder & { type: 'open' }, 'type'>): Promise<string> {
    return ((await this.ask({ type: 'open', ...order })) as ServingReply & { type: 'opened' }).address;
  }

  async measure(): Promise<ServingReply & { type: 'measured' }> {
    return (await this.ask({ type: 'measure' })) as ServingReply & { type: 'measured' };
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }
}

/** The other server, over connections that stay. */
class Peer {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1024 });

  constructor(private readonly url: string) {}

  async ask<T>(body?: unknown): Promise<T> {
    const sent = httpRequest(this.url, { agent: this.agent, method: body === undefined ? 'GET' : 'POST' });
    const text = body === undefined ? undefined : JSON.stringify(body);
    if (text !== undefined) sent.setHeader('content-length', Buffer.byteLength(text));
    sent.end(text);
    const [response] = await once(sent, 'response').catch((cause) => {
      throw new Unavailable(`${this.url} cannot be reached: is the other server running there?`, { cause });
    });
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part);
    return JSON.parse(Buffer.concat(parts).toString('utf8'));
  }

  close(): void {
    this.agent.destroy();
  }
}

/** What the services make of a text, as another server is asked. */
function peerRequest(text: string, questions: number) {
  const { cueText } = explain(text);
  return {
    questions: tasks.slice(0, questions).map((task) => {
      const question = defaultQuestion(task, text, { cues: cueText });
      return {
        prompt: renderPrompt(question),
        candidates: candidatesOf(question).map(({ answer }) => answer),
      };
    }),
  };
}

/** @throws as `importCheckpoint`; Unavailable when a server does not start or cannot be reached. */
export async function benchServe(workload: ServeWorkload): Promise<ServeFigures> {
  const { folder, callers, questions, seconds, baseCompute, threads, signal, program = compiled } = workload;
  const dir = await mkdtemp(join(tmpdir(), `emotune-bench-serve-${process.pid}-`));
  const serving = new Serving(program);
  const channels: Channel[] = [];
  const peer = workload.peer === undefined ? undefined : new Peer(workload.peer);
  const texts = syntheticTexts(2048);
  try {
    const label = await peer?.ask<{ label: string }>();
    const address = await serving.open({ dir, threads, baseCompute });
    const connect = (caller: number) => {
      channels[caller % connections] ??= Channel.connect(address);
      return channels[caller % connections].client<inference.AnalysisServiceClient>('AnalysisService');
    };
    channels.push(Channel.connect(address));
    await importCheckpoint(channels[0], { name: model, path: folder });
    const loads: LoadFigures[] = [];
    for (const count of questions) {
      const task = count === 1 ? common.Task.TASK_SENTIMENT_CLASSIFICATION : common.Task.TASK_UNSPECIFIED;
      const request = (i: number) => ({ text: texts[i % texts.length], model, task });
      const asked = texts.map((text) => peerRequest(text, count));
      const inBatch = (from: number) => {
        const requests = Array.from({ length: batch }, (_, i) => request(from * batch + i));
        return secondsOf(() => connect(0).call('analyzeBatch', { requests }, { signal }));
      };
      await inBatch(0);
      for (const some of callers) {
        // In the same minute as the load that it is compared with.
        const rates: number[] = [];
        for (let n = 1; n <= batches; n++) rates.push(batch / (await inBatch(n)));
        await serving.measure();
        const own = await closedLoop(
          (caller, n) => connect(caller).call('analyze', request(31 * caller + n), { signal }),
          { callers: some, seconds, signal },
        );
        const { memoryMiB, heldMs } = await serving.measure();
        const other =
          peer &&
          (await closedLoop((caller, n) => peer.ask(asked[(31 * caller + n) % asked.length]), {
            ...{ callers: some, seconds, signal },
          }));
        loads.push({
          ...own,
          ...{ questions: count, batchPerSecond: median(rates), memoryMiB, heldMs },
          ...(peer && other
            ? { peer: { ...other, memoryMiB: (await peer.ask<{ memoryMiB: number }>()).memoryMiB } }
            : {}),
        });
      }
    }
    return {
      model: basename(folder),
      ...{ baseCompute, threads, seconds, batch, loads },
      ...(label ? { peer: label.label } : {}),
    };
  } finally {
    for (const channel of channels) channel?.close();
    peer?.close();
    await serving.close();
    await rm(dir, { recursive: true, force: true });
  }
}
