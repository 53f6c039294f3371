/** The services that analyse, in a process of their own: its memory is theirs alone, and so is its event loop. */

import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { Database, startEmbeddedPostgres } from '@emotune/database';
import { MemoryBus } from '@emotune/events';
import { hubSettings } from '@emotune/hub';
import { type InferenceContext, inferenceMigrations, inferenceModule } from '@emotune/inference';
import type { TrialRunner } from '@emotune/jobs';
import { FolderStore } from '@emotune/objects';
import { filesModule, Host, jsonLog } from '@emotune/service';
import { tuningMigrations, tuningModule } from '@emotune/tuning';
import { type Holds, watchHolds } from './holds.js';

export type ServingOrder =
  | {
      readonly type: 'open';
      readonly dir: string;
      readonly threads: number;
      readonly baseCompute: NonNullable<InferenceContext['baseCompute']>;
    }
  | { readonly type: 'measure' };

export type ServingReply =
  | { readonly type: 'opened'; readonly address: string }
  | { readonly type: 'failed'; readonly message: string }
  | {
      readonly type: 'measured';
      readonly memoryMiB: number;
      /** Longest time that the event loop was held since it was measured before. */
      readonly heldMs: number;
    };

/** Trains nothing. */
const noRunner: TrialRunner = {
  start: async () => {},
  list: async () => [],
  stop: async () => {},
  async *log() {},
  remove: async () => {},
  onChange: () => () => {},
  detach: async () => {},
  close: async () => {},
};

let holds: (() => Holds) | undefined;

async function open({
  dir,
  threads,
  baseCompute,
}: ServingOrder & { type: 'open' }): Promise<() => Promise<void>> {
  const postgres = await startEmbeddedPostgres({ dir: join(dir, 'postgres') });
  const host = await Host.create({
    database: (schema) => Database.connect(postgres.url, schema),
    objects: await FolderStore.open(join(dir, 'objects')),
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
  });
  const context = await host.context('tuning', tuningMigrations);
  await host.start([
    filesModule(context),
    tuningModule({ ...context, runner: noRunner, address: host.address, hub: hubSettings({}) }),
    inferenceModule({ ...(await host.context('inference', inferenceMigrations)), threads, baseCompute }),
  ]);
  holds = watchHolds();
  process.send?.({ type: 'opened', address: host.address } satisfies ServingReply);
  return async () => {
    await host.close();
    await postgres.stop();
  };
}

let close: Promise<() => Promise<void>> | undefined;

process.on('message', (order: ServingOrder) => {
  if (order.type === 'open') {
    close = open(order);
    close.catch((error: Error) =>
      process.send?.({ type: 'failed', message: error.message } satisfies ServingReply),
    );
    return;
  }
  const heldMs = holds!().longestMs;
  const memoryMiB = process.memoryUsage().rss / 2 ** 20;
  process.send?.({ type: 'measured', memoryMiB, heldMs } satisfies ServingReply);
});
process.on('disconnect', async () => {
  await (await close?.catch(() => undefined))?.();
  process.exit(0);
});
