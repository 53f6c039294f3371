/** The tuning service with many trials at once: what it uses of the processor, and how soon a free place is taken. */
import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@emotune/base';
import { Database, type EmbeddedPostgres, startEmbeddedPostgres } from '@emotune/database';
import { MemoryBus } from '@emotune/events';
import { hubSettings } from '@emotune/hub';
import type { JobSpec, JobStatus, LogPiece, TrialRunner } from '@emotune/jobs';
import { loadTokenizer } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { filesModule, Host, jsonLog } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { tuningMigrations, tuningModule } from '@emotune/tuning';
import { benchExperiment, benchModel, benchName, readyFeatures } from './bench-experiment.js';
import { shippedModel } from './model-folder.js';
import type { Ended, Order } from './simulated-machine.js';
import type { Pace } from './simulated-trainers.js';
import { quantile } from './timing.js';

export interface ControllerWorkload extends Pace {
  /** That run at the same time. */
  readonly trials: number;
  /** That are measured, once all run. */
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Compiled program of the trainers' process; default: beside this one. */
  readonly machine?: string;
  /** Arguments of Node.js for the service's threads; default: those of the process. */
  readonly threadArguments?: readonly string[];
}

export interface ControllerFigures {
  readonly trials: number;
  readonly trialSeconds: number;
  readonly seconds: number;
  /** From the experiment's acceptance until all run. */
  readonly rampSeconds: number;
  /** Trials that began while measured. */
  readonly launches: number;
  /** From the end of a trial to the start of the next in its place. */
  readonly launchP50Ms: number;
  readonly launchP95Ms: number;
  readonly reportsPerSecond: number;
  /** Cores that the service's process used on average. */
  readonly cores: number;
  /** Cores that PostgreSQL's processes used on average; absent where the system does not tell. */
  readonly databaseCores?: number;
}

/** Has trainers in a process of its own, and notes how long free places stay free. */
class SimulatedRunner implements TrialRunner {
  readonly launchMs: number[] = [];
  /** Since when places are free, in milliseconds since 1970. */
  private readonly free: number[] = [];
  private readonly jobs = new Map<string, JobStatus>();
  private readonly listeners = new Set<(status: JobStatus) => void>();
  private readonly machine: ChildProcess;

  constructor(program: string) {
    this.machine = fork(program, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.machine.on('message', ({ name, exitCode, at }: Ended) => {
      const job = this.jobs.get(name);
      if (!job) return;
      this.free.push(at);
      const ended: JobStatus = { ...job, phase: exitCode === 0 ? 'succeeded' : 'failed', exitCode };
      this.jobs.set(name, ended);
      for (const listener of this.listeners) listener(ended);
    });
  }

  get running(): number {
    return [...this.jobs.values()].filter(({ phase }) => phase === 'running').length;
  }

  open(address: string, pace: Pace): void {
    this.send({ type: 'open', address, pace });
  }

  private send(order: Order): void {
    if (this.machine.connected) this.machine.send(order);
  }

  async start({ name, labels, environment, token }: JobSpec): Promise<void> {
    if (this.jobs.has(name)) return;
    this.jobs.set(name, { name, labels, phase: 'running' });
    // A trial may have its place before the end of the one before has come across.
    const since = this.free.shift();
    this.launchMs.push(since === undefined ? 0 : Math.max(0, Date.now() - since));
    this.send({ type: 'start', job: { name, environment, token } });
  }

  async list(): Promise<JobStatus[]> {
    return [...this.jobs.values()];
  }

  async stop(name: string): Promise<void> {
    this.send({ type: 'stop', name });
  }

  /** They write nothing. */
  async *log(): AsyncGenerator<LogPiece> {}

  async remove(name: string): Promise<void> {
    this.jobs.delete(name);
  }

  onChange(listener: (status: JobStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async detach(): Promise<void> {}

  async close(): Promise<void> {
    this.machine.kill();
  }
}

const ticksPerSecond = 100;

/** Seconds of processor that the server and its processes have used; undefined where /proc does not tell. */
function processorSeconds({ pid }: EmbeddedPostgres): number | undefined {
  const fieldsOf = (id: string): number[] | undefined => {
    try {
      const stat = readFileSync(`/proc/${id}/stat`, 'utf8');
      return stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
    } catch {
      return undefined;
    }
  };
  // Fields 4: parent; 14 and 15: user and system time; 16 and 17: of children that have ended.
  const own = fieldsOf(String(pid));
  if (!own) return undefined;
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(fieldsOf)
    .filter((fields) => fields?.[1] === pid);
  const ticks = children.reduce((sum, fields) => sum + fields![11] + fields![12], 0);
  return (ticks + own[11] + own[12] + own[13] + own[14]) / ticksPerSecond;
}

const compiled = fileURLToPath(new URL('./simulated-machine.js', import.meta.url));

/** In a temporary folder. @throws FailedPrecondition, Unavailable or ResourceExhausted when PostgreSQL cannot start. */
export async function benchController(workload: ControllerWorkload): Promise<ControllerFigures> {
  const { trials, trialSeconds, seconds, signal, machine = compiled, threadArguments } = workload;
  const dir = await mkdtemp(join(tmpdir(), `emotune-bench-controller-${process.pid}-`));
  // In the order they were started; closed the other way round.
  const started: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  try {
    const postgres = await startEmbeddedPostgres({ dir: join(dir, 'postgres') });
    started.push(() => postgres.stop());
    const runner = new SimulatedRunner(machine);
    started.push(() => runner.close());
    const databases: Database[] = [];
    const host = await Host.create({
      database: async (schema) => {
        const database = await Database.connect(postgres.url, schema);
        databases.push(database);
        return database;
      },
      objects: await FolderStore.open(join(dir, 'objects')),
      bus: new MemoryBus(systemClock),
      clock: systemClock,
      log: jsonLog(() => {}),
      listen: '127.0.0.1:0',
    });
    started.push(() => host.close());
    const context = await host.context('tuning', tuningMigrations);
    const { hash } = await loadTokenizer(shippedModel);
    await host.start([
      readyFeatures(hash),
      filesModule(context),
      tuningModule({
        ...{ ...context, runner, address: host.address, hub: hubSettings({}) },
        ...(threadArguments ? { threadArguments } : {}),
      }),
    ]);
    runner.open(host.address, { trialSeconds });
    await importCheckpoint(host.channel, { name: benchModel, path: shippedModel });
    const experiments = host.channel.client<tuning.ExperimentServiceClient>('ExperimentService');
    const began = performance.now();
    await experiments.call('createExperiment', {
      spec: benchExperiment({ maxTrials: 10_000, parallelTrials: trials }),
    });
    while (runner.launchMs.length < trials) await delay(20, undefined, { signal });
    const rampSeconds = (performance.now() - began) / 1000;
    // Until trials end as often as they begin.
    await delay(1000 * trialSeconds, undefined, { signal });
    const measure = async () => {
      const [{ reports }] = await databases[0].query<{ reports: number }>(
        'select count(*) as reports from measurements',
      );
      return {
        reports,
        cpu: process.cpuUsage(),
        database: processorSeconds(postgres),
        at: performance.now(),
      };
    };
    runner.launchMs.length = 0;
    const before = await measure();
    await delay(1000 * seconds, undefined, { signal });
    const after = await measure();
    const elapsed = (after.at - before.at) / 1000;
    const used = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1e6;
    const launches = runner.launchMs.length > 0 ? runner.launchMs : [0];
    await experiments.call('cancelExperiment', { name: benchName });
    return {
      trials,
      trialSeconds,
      seconds,
      rampSeconds,
      launches: runner.launchMs.length,
      launchP50Ms: quantile(launches, 0.5),
      launchP95Ms: quantile(launches, 0.95),
      reportsPerSecond: (after.reports - before.reports) / elapsed,
      cores: used / elapsed,
      ...(before.database === undefined || after.database === undefined
        ? {}
        : { databaseCores: (after.database - before.database) / elapsed }),
    };
  } finally {
    for (const stop of started.reverse()) await stop();
  }
}
