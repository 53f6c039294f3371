import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { tuning } from '@emotune/proto';
import { expect, it, vi } from 'vitest';
import { patience, testPlatform } from './test-platform.js';
import { usualTrainer } from './testing.js';

const { ExperimentState } = tuning;
const platform = await testPlatform();
const { objects, reached, runner, submit, trialsOf } = platform;

/** Every row of the service, by table. */
async function rows(): Promise<Record<string, unknown>> {
  const database = await Database.connect(await testDatabaseUrl(), 'tuning');
  try {
    const tables = await database.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'tuning' order by 1",
    );
    const found: Record<string, unknown> = {};
    for (const { name } of tables)
      found[name] = await database.query(`select to_jsonb(t) as row from "${name}" t order by 1`);
    return found;
  } finally {
    await database.close();
  }
}

/** A service that does nothing of its own accord, for as long as `use` takes. */
async function idle(use: () => Promise<void>): Promise<void> {
  await platform.host.close();
  await platform.start({ work: 'nothing' });
  await use();
}

it('reading again and again starts no trainer and changes no row', async () => {
  runner.train = async (context) => {
    context.write('trains\n');
    return usualTrainer(context);
  };
  await submit({ name: 'before', limits: { maxTrials: 1 } });
  await reached('before', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  await idle(async () => {
    await submit({ name: 'looked-at', limits: { maxTrials: 1 } });
  });
  const before = await rows();
  const [started, kept] = [[...runner.started], await objects.list('')];
  for (let look = 0; look < 5; look++)
    await idle(async () => {
      const { experiments, insights, models } = platform;
      expect(await platform.get('looked-at')).toMatchObject({ trialsTotal: 0 });
      await experiments.call('listExperiments', {});
      await experiments.call('estimateExperiment', { name: 'looked-at' });
      expect(await trialsOf('looked-at')).toEqual([]);
      await insights.call('explainTrial', { experiment: 'before', number: 0 });
      await models.call('listModels', {});
      for await (const piece of experiments.stream('readTrialLog', { experiment: 'before', number: 0 }, {}))
        expect(String(piece.data)).toBe('trains\n');
      for await (const update of experiments.stream('watchExperiment', { name: 'looked-at' }, {})) {
        expect(update.trials).toEqual([]);
        break;
      }
    });
  expect(await rows()).toEqual(before);
  expect([runner.started, await objects.list('')]).toEqual([started, kept]);
  // It could have run all the time.
  await platform.host.close();
  await platform.start();
  await reached('looked-at', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
});

it('an experiment that is cancelled has no open trial, whether or not somebody carries it on', async () => {
  await submit({ name: 'dropped', limits: { maxTrials: 3 } });
  await idle(async () => {
    await platform.experiments.call('cancelExperiment', { name: 'dropped' });
    const states = (await trialsOf('dropped')).map(({ state }) => state);
    expect(states).not.toContain(tuning.TrialState.TRIAL_STATE_RUNNING);
    expect(states).not.toContain(tuning.TrialState.TRIAL_STATE_QUEUED);
    // Nor do jobs or logs of one that is deleted come back.
    const jobsOf = async () => (await runner.list()).filter(({ name }) => name.startsWith('dropped-'));
    for (const { name } of await jobsOf()) await runner.stop(name);
    await vi.waitFor(async () => {
      for (const { phase } of await jobsOf()) expect(phase).not.toBe('running');
    }, patience);
    await platform.experiments.call('deleteExperiment', { name: 'dropped' });
    expect([await jobsOf(), await objects.list('logs/dropped/')]).toEqual([[], []]);
  });
  await platform.host.close();
  await platform.start();
});
