import { Internal } from '@emotune/base';
import { testDatabase } from '@emotune/database/testing';
import type { tuning } from '@emotune/proto';
import { beforeAll, expect, it } from 'vitest';
import { enqueued, paused } from './commands.js';
import { tuningMigrations } from './index.js';
import { Ledger } from './ledger.js';
import { saveChanges, saveMeasurements, saveNew, saveReport } from './save.js';
import { planOf } from './spec.js';
import type { Experiment } from './state.js';
import { experimentRow, ownerOf } from './store.js';
import { boundFeatures, experimentSpec } from './testing.js';
import { newExperiment, record } from './transitions.js';

const database = await testDatabase('save');
const now = 1_700_000_000_000;
const values = { learningRate: 1e-3 };

beforeAll(() => database.migrate(tuningMigrations));

async function read(name: string): Promise<Experiment> {
  return new Ledger().read(database, await experimentRow(database, name));
}

/** What is recorded: all but what is worked out of it, and what the runner knows. */
function recorded({ rates: _, curves: __, feasibility: ___, jobs: ____, ...rest }: Experiment) {
  return rest;
}

/** With one trial that a trainer has. */
async function running(name: string): Promise<Experiment> {
  const plan = planOf(experimentSpec({ name }));
  await saveNew(database, enqueued(newExperiment(plan, [], [], now), values, now));
  const before = await read(name);
  const begun = { ...before, state: 'running', reason: '', features: boundFeatures, startedAt: now } as const;
  const after = record(begun, { type: 'start-attempt', trial: 0, attempt: 1 }, now);
  expect(await saveChanges(database, before, after)).toMatchObject([{ trial: 0, attempt: 1 }]);
  expect(recorded(await read(name))).toEqual(recorded(after));
  return after;
}

it('records what an experiment has become, as it is read again', async () => {
  const before = await running('read-again');
  const judged = record(
    before,
    { type: 'judge', trial: 0, judgement: { decision: 'stop', reason: 'Pruned: no' } },
    now,
  );
  const after = paused({ ...judged, history: [{ number: -1, state: 'infeasible', parameters: values }] });
  expect(await saveChanges(database, before, after)).toEqual([]);
  expect(recorded(await read('read-again'))).toEqual(recorded(after));
});

it('a report does not undo what was decided at the same time', async () => {
  const before = await running('same-time');
  const owner = (await ownerOf(database, { experiment: 'same-time', trial: 0, attempt: 1 }))!;
  const judgement = { decision: 'stop', reason: 'LimitReached: all' } as const;
  const after = record(before, { type: 'judge', trial: 0, judgement }, now);
  await saveChanges(database, before, after);
  const measurement = { step: 3, tokens: 30, examples: 6, elapsedSeconds: 1, stage: 0, learningRate: 0 };
  await saveMeasurements(database, 'same-time', owner, [
    { ...measurement, tokensPerSecond: 9, values: { broken: Number.NaN } } as tuning.Measurement,
  ]);
  await saveReport(database, 'same-time', owner, {
    ...owner,
    trial: { ...owner.trial, step: 3, tokens: 30 },
    attempt: { ...owner.attempt, step: 3, leaseUntil: now + 5 },
  });
  const { trials } = await read('same-time');
  expect(trials[0]).toMatchObject({ step: 3, tokens: 30, judgement: { ...judgement, at: now } });
  expect(trials[0].attempts).toMatchObject([{ step: 3, leaseUntil: now + 5, outcome: null }]);
  expect(await database.query("select further from measurements where experiment = 'same-time'")).toEqual([
    { further: { broken: 'NaN' } },
  ]);
});

it('what is over stays as it is', async () => {
  const before = await running('over');
  const end = {
    type: 'end-attempt',
    trial: 0,
    attempt: 1,
    outcome: 'lost',
    reason: 'LostJob: gone',
  } as const;
  const after = record(before, end, now);
  await saveChanges(database, before, after);
  await expect(saveChanges(database, after, before)).rejects.toThrow(
    new Internal('attempt 1 of trial 0 of over is over (lost), it cannot be going on'),
  );
  const owner = (await ownerOf(database, { experiment: 'over', trial: 0, attempt: 1 }))!;
  const reopened = { ...owner, attempt: { ...owner.attempt, outcome: null } };
  await expect(saveReport(database, 'over', owner, reopened)).rejects.toBeInstanceOf(Internal);
  expect(recorded(await read('over'))).toEqual(recorded(after));
});
