/** A thousand trials at once as Jobs of a real API server: each begins once, ends once, and leaves nothing behind. */
import { type JobsPlatform, openJobsPlatform } from '@emotune/lab/jobs-platform';
import { withoutCluster } from '@emotune/local';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { programOf } from '../e2e/service-process.js';

const without = withoutCluster('kwok');
if (without) process.stderr.write(`skipped: ${without}\n`);

const parallel = Number(process.env['EMOTUNE_TEST_JOBS'] ?? 1000);
/** Some have to wait for the place of another. */
const trials = parallel + Math.ceil(parallel / 10);
const mostMemory = 512 * 2 ** 20;
const patience = { timeout: 1_200_000, interval: 200 };
const over = new AbortController();
let held = true;
let platform: JobsPlatform;

describe.skipIf(without)(`${parallel} trials at once`, () => {
  beforeAll(async () => {
    platform = await openJobsPlatform({
      ...{ trialSeconds: 20, held: () => held, signal: over.signal },
      program: programOf('tuning'),
    });
  });
  afterAll(async () => {
    over.abort();
    await platform?.close();
  });

  it('run, end once each, and leave no Job, pod or Secret', async () => {
    const { pods, experiments, database, cluster } = platform;
    const name = 'thousand';
    const [began, before] = [performance.now(), await platform.requests()];
    await experiments.call('createExperiment', {
      spec: { ...platform.experiment({ maxTrials: trials, parallelTrials: parallel }), name },
    });
    const running = () => [...pods.trials.values()].filter(({ runningAt }) => runningAt !== undefined);
    await vi.waitFor(() => expect(running()).toHaveLength(parallel), patience);
    // None ends yet, so all of them run; and no more are started than may run.
    expect(pods.trials.size).toBe(parallel);
    const ramp = (performance.now() - began) / 1000;
    const calls = (await platform.requests()) - before;

    held = false;
    const searched = () =>
      database.query<{ state: string; trials: number; attempts: number }>(
        `select t.state, count(distinct t.number) as trials, count(*) as attempts
         from trials t join attempts a on a.experiment = t.experiment and a.trial = t.number and a.outcome = t.state
         where t.experiment = $1 and t.kind = 'search' group by t.state`,
        [name],
      );
    await vi.waitFor(
      async () =>
        expect(await searched()).toEqual([{ state: 'succeeded', trials: trials, attempts: trials }]),
      patience,
    );
    // The winner is trained once more, by a trainer that makes no model.
    await experiments.call('cancelExperiment', { name });

    await vi.waitFor(async () => {
      expect(await cluster.kubectl('-n', 'trials', 'get', 'jobs,pods,secrets', '-o', 'name')).toBe('');
    }, patience);
    // Whoever looks for the fault sees first why an attempt has ended.
    const ends = 'select trial, number, outcome, reason from attempts where experiment = $1 and trial < $2';
    expect(await database.query(`${ends} and outcome is distinct from 'succeeded'`, [name, trials])).toEqual(
      [],
    );
    const searches = Array.from({ length: trials }, (_, number) => `${name}-t${number}-a1`);
    const finals = [...pods.trials.keys()].filter((job) => job.startsWith(`${name}-t${trials}-`));
    expect([...pods.trials.keys()].sort()).toEqual([...searches, ...finals].sort());
    expect(
      await database.query('select count(*) as tries from attempts where experiment = $1 and trial < $2', [
        name,
        trials,
      ]),
    ).toEqual([{ tries: trials }]);
    const { peakRss } = await platform.memory();
    process.stderr.write(
      `${parallel} trials ran at once after ${ramp.toFixed(0)} s and ${(calls / parallel).toFixed(1)} API calls each; ` +
        `${trials} ended after ${(((await platform.requests()) - before) / trials).toFixed(1)} each; peak ${(peakRss / 2 ** 20).toFixed(0)} MiB\n`,
    );
    expect(pods.failures).toEqual([]);
    expect(platform.troubles()).toEqual([]);
    expect(peakRss).toBeLessThan(mostMemory);
  });
});
