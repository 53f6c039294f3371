import { testDatabase } from '@emotune/database/testing';
import { Metrics } from '@emotune/service';
import { expect, it } from 'vitest';
import { enqueued } from './commands.js';
import { tuningMigrations } from './index.js';
import { Ledger } from './ledger.js';
import { tellTrials } from './metrics.js';
import { answer } from './reports.js';
import { saveChanges, saveNew, saveReport } from './save.js';
import { planOf } from './spec.js';
import type { Experiment } from './state.js';
import { experimentRow, ownerOf } from './store.js';
import { boundFeatures, experimentSpec } from './testing.js';
import { newExperiment, record } from './transitions.js';

const database = await testDatabase('metrics');
const name = 'queueing';
const minute = 60_000;
const hour = 60 * minute;
const now = Date.now();

async function read(): Promise<Experiment> {
  return new Ledger().read(database, await experimentRow(database, name));
}

async function became(change: (before: Experiment) => Experiment): Promise<void> {
  const before = await read();
  await saveChanges(database, before, change(before));
}

async function heard(attempt: number, at: number): Promise<void> {
  const owner = (await ownerOf(database, { experiment: name, trial: 0, attempt }))!;
  await saveReport(database, name, owner, { ...owner, attempt: answer(owner, '', at, 5 * hour).attempt });
}

it('a trial whose job waits for a node is queued, and takes no GPU-hours', async () => {
  await database.migrate(tuningMigrations);
  const metrics = new Metrics();
  tellTrials(metrics, database);
  /** The values of a metric by its labels, of the histogram the sum and count. */
  const told = async () => {
    const text = await metrics.registry.metrics();
    const rows = [...text.matchAll(/^emotune_(trials\S*|gpu_hours\S*|experiments\S*) (.*)$/gm)];
    const found = Object.fromEntries(rows.map(([, what, value]) => [what, Number(value)]));
    return {
      queued: found['trials{state="queued"}'] ?? 0,
      running: found['trials{state="running"}'] ?? 0,
      oldestHours: Math.round((10 * found['trials_queued_oldest_seconds']) / 3600) / 10,
      begun: found['trials_queued_seconds_count'] ?? 0,
      waitedHours: (found['trials_queued_seconds_sum'] ?? 0) / 3600,
      gpuHours: Math.round(10 * (found[`gpu_hours{experiment="${name}"}`] ?? 0)) / 10,
    };
  };

  const spec = experimentSpec({ name, cost: { gpusPerTrial: 2 } });
  const created = now - 4 * hour;
  const values = { learningRate: 1e-3 };
  await saveNew(database, enqueued(newExperiment(planOf(spec), [], [], created), values, created));
  const started = { state: 'running', reason: '', features: boundFeatures, startedAt: created } as const;
  const start = { type: 'start-attempt', trial: 0, attempt: 1 } as const;
  await became((before) => record({ ...before, ...started, leaseMs: 5 * hour }, start, created));
  const waiting = { queued: 1, running: 0, oldestHours: 4, begun: 0, waitedHours: 0, gpuHours: 0 };
  expect(await told()).toEqual(waiting);

  // A node is free an hour later, and is taken away after another one.
  await heard(1, created + hour);
  await heard(1, created + hour + minute);
  expect(await told()).toEqual({
    ...{ queued: 0, running: 1, oldestHours: 0, begun: 1, waitedHours: 1, gpuHours: 2 * 3 },
  });
  const evicted = { outcome: 'interrupted', reason: 'Evicted: the node was taken' } as const;
  const end = { type: 'end-attempt', trial: 0, attempt: 1, ...evicted } as const;
  await became((before) => record(before, end, created + 2 * hour));
  const again = { queued: 1, running: 0, oldestHours: 2, begun: 1, waitedHours: 1, gpuHours: 2 };
  expect(await told()).toEqual(again);
  await became((before) => record({ ...before, leaseMs: 5 * hour }, { ...start, attempt: 2 }, now));
  expect(await told()).toEqual(again);
  await heard(2, now);
  expect(await told()).toMatchObject({ queued: 0, running: 1, oldestHours: 0, begun: 1, gpuHours: 2 });
});
