/**
 * Work that could take its process with it, in a process of its own: reading what users bring, building of it, asking models. Its
 * memory and time are bounded, nothing that it does holds up a call, and it is killed once nobody wants it any more. One that has
 * answered is kept for a while, since a start costs a fraction of a second.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  besideModule,
  FailedPrecondition,
  Idle,
  Lanes,
  ResourceExhausted,
  temporaryPrefix,
  Unavailable,
} from '@emotune/base';
import { storeVariables } from '@emotune/objects';
import type { common } from '@emotune/proto';
import type { BuildLimits } from './build-limits.js';
import { type BuildReply, type BuildRequest, beyondMemory, errorOf } from './build-message.js';

/** The process of a build ended without an answer: its memory or time was over, or it crashed. */
export class BuildDied extends FailedPrecondition {}

/** A function that a module of builds exports. Request and answer are plain data. */
export type BuildWork<Request, Answer> = (
  request: Request,
  report: (progress: common.Progress) => void,
) => Promise<Answer>;

export interface BuildRunOptions {
  /** Kills the process. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: common.Progress) => void;
}

/** Of one module, beside each other; others wait. */
const mostBeside = 2;
const mostWaiting = 100;
/** Of its memory; the rest is for what lies outside of it: buffers, tensors, threads. */
const heapShare = 0.75;
/** The end of what it wrote, which tells how it died. */
const keptCharacters = 4_000;
/** What of a service's environment its builds need. */
const inheritedNames = ['PATH', 'HOME', 'LD_LIBRARY_PATH', 'CUDA_VISIBLE_DEVICES', 'ORT_DISABLE_TELEMETRY'];

/** Sources are run as they are, where tests run them so. */
const fromSource = import.meta.url.endsWith('.ts');
const sourceArguments = fromSource
  ? ['--conditions=source', '--import', new URL('../../../scripts/source-loader.mjs', import.meta.url).href]
  : [];

const program = fileURLToPath(besideModule(import.meta.url, 'build-child'));

class Process {
  /** For what it writes while it works. */
  private readonly folder = mkdtempSync(temporaryPrefix('build'));
  private readonly child: ChildProcess;
  private written = '';
  private late = false;
  /** Resolves to how it ended. */
  readonly ended: Promise<string>;

  constructor(
    module: URL,
    private readonly limits: BuildLimits,
  ) {
    const { memoryMiB } = limits;
    this.child = fork(program, [module.href, `${memoryMiB}`], {
      execPath: process.execPath,
      execArgv: [...sourceArguments, `--max-old-space-size=${Math.floor(heapShare * memoryMiB)}`],
      env: {
        ...storeVariables(process.env),
        ...Object.fromEntries(
          inheritedNames.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
        ),
        TMPDIR: this.folder,
      },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // Ctrl-C at a terminal reaches the service alone.
      detached: true,
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.written = (this.written + text).slice(-keptCharacters);
    });
    this.ended = new Promise<string>((resolve) => {
      this.child.once('close', (code, signal) => resolve(this.causeOf(code, signal)));
      this.child.once('error', ({ message }) => resolve(`its process cannot be started: ${message}`));
    }).finally(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  private causeOf(code: number | null, signal: NodeJS.Signals | null): string {
    const { memoryMiB, hours } = this.limits;
    if (this.late)
      return `it took longer than ${hours} h, which a build may take (EMOTUNE_BUILD_HOURS): make it smaller, or allow more`;
    if (
      signal === 'SIGKILL' ||
      this.written.includes(beyondMemory) ||
      /heap out of memory/.test(this.written)
    )
      return (
        `it took more memory than the ${memoryMiB.toLocaleString('en')} MiB that a build may take (EMOTUNE_BUILD_MEMORY_MIB), or than ` +
        'the machine has: make it smaller, or allow more'
      );
    const last = this.written.trim().split('\n').at(-1) ?? '';
    return `its process ended by itself (${signal ?? `exit code ${code}`})${last === '' ? '' : `: ${last}`}`;
  }

  get isOver(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null || !this.child.connected;
  }

  /** @throws what the work throws; BuildDied; Unavailable once the signal has aborted. */
  async run<Answer>(asked: BuildRequest, { signal, onProgress }: BuildRunOptions): Promise<Answer> {
    const { child, limits } = this;
    const kill = () => this.kill();
    signal?.addEventListener('abort', kill);
    const timer = setTimeout(() => {
      this.late = true;
      this.kill();
    }, limits.hours * 3_600_000);
    let listen: (reply: BuildReply) => void = () => {};
    try {
      return await new Promise<Answer>((resolve, reject) => {
        listen = (reply) => {
          if (reply.kind === 'progress') onProgress?.(reply.progress);
          else if (reply.kind === 'answer') resolve(reply.answer as Answer);
          else reject(errorOf(reply.failure));
        };
        child.on('message', listen);
        this.ended
          .then((cause) => reject(signal?.aborted ? signal.reason : new BuildDied(cause)))
          .catch(reject);
        child.send(asked, (error) => {
          // How it ended says more, where it has.
          if (error && child.connected) reject(error);
        });
        if (signal?.aborted) this.kill();
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', kill);
      child.off('message', listen);
    }
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

export class BuildProcesses {
  /** By module. */
  private readonly resting = new Map<string, { readonly process: Process; readonly idle: Idle }>();
  private readonly lanes = new Map<string, { readonly lanes: Lanes; waiting: number }>();
  private readonly running = new Set<Process>();
  private closed = false;

  constructor(private readonly limits: BuildLimits) {}

  /**
   * Runs a function that the module exports.
   * @throws what it throws; BuildDied; ResourceExhausted when too many wait; Unavailable once this is closed; the signal's reason.
   */
  async run<Request, Answer>(
    module: URL,
    work: string,
    request: Request,
    options: BuildRunOptions = {},
  ): Promise<Answer> {
    const key = `${module.href}#${work}`;
    const lane = this.lanes.get(key) ?? { lanes: new Lanes(mostBeside), waiting: 0 };
    this.lanes.set(key, lane);
    if (lane.waiting >= mostWaiting)
      throw new ResourceExhausted(`expected at most ${mostWaiting} calls that wait for a build; try again`);
    lane.waiting++;
    try {
      return await lane.lanes.run(() => this.carryOut<Answer>(module, { work, request }, options));
    } finally {
      lane.waiting--;
    }
  }

  private async carryOut<Answer>(
    module: URL,
    asked: BuildRequest,
    options: BuildRunOptions,
  ): Promise<Answer> {
    options.signal?.throwIfAborted();
    if (this.closed) throw new Unavailable('the service is stopping');
    const process = this.take(module);
    this.running.add(process);
    try {
      return await process.run<Answer>(asked, options);
    } finally {
      this.running.delete(process);
      if (options.signal?.aborted) {
        // What it writes is not touched by anybody else before it is gone.
        process.kill();
        await process.ended;
      } else this.keep(module, process);
    }
  }

  private take(module: URL): Process {
    const kept = this.resting.get(module.href);
    if (kept === undefined) return new Process(module, this.limits);
    kept.idle.use();
    this.resting.delete(module.href);
    return kept.process.isOver ? new Process(module, this.limits) : kept.process;
  }

  private keep(module: URL, process: Process): void {
    if (process.isOver) return;
    if (this.closed || this.resting.has(module.href)) {
      process.kill();
      return;
    }
    const idle = new Idle(() => {
      this.resting.delete(module.href);
      process.kill();
    });
    this.resting.set(module.href, { process, idle });
    idle.rest();
  }

  /** Kills all of them. */
  async close(): Promise<void> {
    this.closed = true;
    const all = [...this.running, ...[...this.resting.values()].map(({ process }) => process)];
    for (const { idle } of this.resting.values()) idle.use();
    this.resting.clear();
    for (const process of all) process.kill();
    await Promise.all(all.map(({ ended }) => ended));
  }
}
