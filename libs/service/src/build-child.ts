/**
 * The process of a build: calls the function of a module that it is asked for, one at a time, and ends when its service has. What it
 * asks nobody for is killed, so it has no end in order.
 * Arguments: the module's URL, the MiB of memory that it may take.
 */
import { writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { besideModule } from '@emotune/base';
import type { common } from '@emotune/proto';
import { type BuildReply, type BuildRequest, failureOf } from './build-message.js';

const [module, memoryMiB] = process.argv.slice(2);
/** Between two reports of one phase: as often as they are stored. */
const reportMs = 250;

// Its service decides; both hear of a Ctrl-C.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
new Worker(besideModule(import.meta.url, 'memory-guard'), {
  workerData: { memoryBytes: Number(memoryMiB) * 2 ** 20, parent: process.ppid },
}).unref();
try {
  // Where a machine runs out of memory it is the first to go.
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {
  // Not on Linux.
}

function reply(message: BuildReply): void {
  process.send?.(message, undefined, undefined, () => {});
}

function reporter(): (progress: common.Progress) => void {
  let phase: string | undefined;
  let next = 0;
  return (progress) => {
    const now = performance.now();
    if (progress.phase === phase && now < next) return;
    [phase, next] = [progress.phase, now + reportMs];
    reply({ kind: 'progress', progress });
  };
}

const works: Record<string, (request: unknown, report: ReturnType<typeof reporter>) => Promise<unknown>> =
  await import(module);

process.on('message', async ({ work, request }: BuildRequest) => {
  try {
    reply({ kind: 'answer', answer: await works[work](request, reporter()) });
  } catch (error) {
    reply({ kind: 'failure', failure: failureOf(error) });
  }
});
