/** Every service in a process of its own, as `emotune up` has them, but for the trainers: their part is the caller's. */
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { dataMigrations, dataModule } from '@emotune/data';
import { Database, startEmbeddedPostgres } from '@emotune/database';
import { evaluationMigrations, evaluationModule } from '@emotune/evaluation';
import { MemoryBus } from '@emotune/events';
import { featurizationMigrations, featurizationModule } from '@emotune/featurization';
import { hubSettings } from '@emotune/hub';
import { inferenceMigrations, inferenceModule } from '@emotune/inference';
import {
  type JobSpec,
  type JobStatus,
  type LogPiece,
  readEnvironment,
  type TrialRunner,
} from '@emotune/jobs';
import { FolderStore } from '@emotune/objects';
import { Host, jsonLog } from '@emotune/service';
import { tuningMigrations, tuningModule } from '@emotune/tuning';
import { type Holds, watchHolds } from './holds.js';

/** A trial that runs now, and its trainer's token. */
export interface RunningTrial {
  readonly trial: Record<string, unknown>;
  readonly token: string;
}

export type FuzzedOrder =
  | { readonly type: 'open'; readonly dir: string; readonly token: string }
  | { readonly type: 'measure' };

export type FuzzedReply =
  | { readonly type: 'opened'; readonly address: string }
  | { readonly type: 'failed'; readonly message: string }
  | ({ readonly type: 'running' } & RunningTrial)
  | {
      readonly type: 'measured';
      /** Bytes in memory. */
      readonly rss: number;
      /** Since they were measured before. */
      readonly holds: Holds;
      /** Lines that were logged as errors so far. */
      readonly errors: readonly string[];
    };

/** To nobody, once who asked has gone. */
const reply = (message: FuzzedReply) => {
  if (process.connected) process.send!(message);
};

/** Starts nothing: whoever asks for a job's trial speaks for its trainer. */
class IdleRunner implements TrialRunner {
  private readonly jobs = new Map<string, JobSpec>();

  async start(spec: JobSpec): Promise<void> {
    this.jobs.set(spec.name, spec);
    reply({ type: 'running', trial: { ...readEnvironment(spec.environment).trial }, token: spec.token });
  }

  async list(): Promise<JobStatus[]> {
    return [...this.jobs.values()].map(({ name, labels }) => ({ name, labels, phase: 'running' }));
  }

  async stop(name: string): Promise<void> {
    this.jobs.delete(name);
  }

  async *log(): AsyncGenerator<LogPiece> {
    yield { offset: 0, bytes: Buffer.from('{}\n') };
  }

  async remove(name: string): Promise<void> {
    this.jobs.delete(name);
  }

  onChange(): () => void {
    return () => {};
  }

  async detach(): Promise<void> {}

  async close(): Promise<void> {}
}

const mostErrors = 1000;
const errors: string[] = [];
let holds: (() => Holds) | undefined;

async function open({ dir, token }: FuzzedOrder & { type: 'open' }): Promise<() => Promise<void>> {
  const postgres = await startEmbeddedPostgres({ dir: join(dir, 'postgres'), durable: false });
  const host = await Host.create({
    database: (schema) => Database.connect(postgres.url, schema),
    objects: await FolderStore.open(join(dir, 'objects')),
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log: jsonLog((line) => {
      if (line.includes('"level":"error"') && errors.length < mostErrors) errors.push(line);
    }),
    listen: '127.0.0.1:0',
    token,
  });
  // Nothing is fetched.
  const hub = hubSettings({ HF_HUB_OFFLINE: '1', HF_HOME: join(dir, 'hub') });
  await host.start([
    dataModule({
      ...(await host.context('data', dataMigrations)),
      hub,
      locate: { corporaDir: undefined, cacheDir: join(dir, 'corpora'), download: false },
    }),
    featurizationModule(await host.context('featurization', featurizationMigrations)),
    tuningModule({
      ...(await host.context('tuning', tuningMigrations)),
      runner: new IdleRunner(),
      address: host.address,
      hub,
      leaseSeconds: 3600,
    }),
    evaluationModule({
      ...(await host.context('evaluation', evaluationMigrations)),
      threads: 1,
      page: { listen: undefined, url: undefined, required: false },
    }),
    inferenceModule({ ...(await host.context('inference', inferenceMigrations)), threads: 1 }),
  ]);
  holds = watchHolds();
  reply({ type: 'opened', address: host.address });
  return async () => {
    await host.close();
    await postgres.stop();
  };
}

let close: Promise<() => Promise<void>> | undefined;

process.on('message', (order: FuzzedOrder) => {
  if (order.type === 'open') {
    close = open(order);
    close.catch(({ message }: Error) => reply({ type: 'failed', message }));
    return;
  }
  const { rss } = process.memoryUsage();
  reply({ type: 'measured', rss, holds: holds!(), errors });
});
process.on('disconnect', async () => {
  await (await close?.catch(() => undefined))?.();
  process.exit(0);
});
