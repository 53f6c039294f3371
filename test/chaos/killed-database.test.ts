/**
 * PostgreSQL alone is killed, again and again, under a platform that tunes: it is back each time with what was committed,
 * health says so meanwhile, and the experiment ends as without. With `EMOTUNE_CHAOS_KILLS`, which says how often, it is held
 * to one that nobody disturbed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng, systemClock, Unavailable } from '@emotune/base';
import { tuning } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { Health } from '@emotune/service/testing';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { childrenOf, type Served, serve, until } from '../e2e/platform-process.js';
import { begun } from '../e2e/tune.js';

const asked = process.env['EMOTUNE_CHAOS_KILLS'];
const kills = Number(asked ?? 3);
const name = 'chaos';
/** So many that the last kill comes before the end. */
const [trials, tokens] = [kills, 1_500];

const folder = mkdtempSync(join(tmpdir(), 'emotune-chaos-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function up(dataDir: string): Promise<Served> {
  const platform = await serve(dataDir);
  onTestFinished(() => platform.end('SIGKILL').then(() => {}));
  return platform;
}

/** What a client does that is told to ask again. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      await systemClock.sleep(50);
    }
}

const experiments = (channel: Channel) => channel.client<tuning.ExperimentServiceClient>('ExperimentService');
const trialsOf = (channel: Channel) =>
  patiently(() => experiments(channel).call('listTrials', { experiment: name })).then(({ trials }) => trials);
const look = (channel: Channel) => patiently(() => experiments(channel).call('getExperiment', { name }));

const ended = [
  tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED,
  tuning.ExperimentState.EXPERIMENT_STATE_FAILED,
];

/** What an experiment has come to, times and machines aside. */
async function outcomeOf(channel: Channel) {
  await until('the end of the experiment', async () => ended.includes((await look(channel)).state), 1000);
  const { state, reason, modelVersion } = await look(channel);
  const all = await trialsOf(channel);
  return {
    ...{ state, reason, modelVersion },
    trials: all.map(({ number, state, objective, measurements }) => ({
      ...{ number, state, objective },
      /** That were measured twice. */
      doubled: measurements.map(({ step }) => step).filter((step, i, steps) => step <= (steps[i - 1] ?? -1)),
    })),
  };
}

async function undisturbed() {
  const { channel, end } = await up(join(folder, 'calm'));
  await begun(channel, name, { trials, tokens });
  const outcome = await outcomeOf(channel);
  await end('SIGTERM');
  return outcome;
}

it('an experiment ends as without', async () => {
  const dataDir = join(folder, 'killed');
  const { channel, address, end } = await up(dataDir);
  const probe = new Health(address);
  onTestFinished(() => probe.close());
  const health = probe.watch();
  await begun(channel, name, { trials, tokens });
  await until('a trial goes on', async () => (await trialsOf(channel)).some(({ step }) => step > 0));
  const rng = Rng.of('database kills');
  for (let kill = 1; kill <= kills; kill++) {
    await systemClock.sleep(rng.int(1_000));
    expect(ended).not.toContain((await look(channel)).state);
    const [server] = childrenOf(dataDir);
    process.kill(server, 'SIGKILL');
    for (const state of ['NOT_SERVING', 'SERVING']) while ((await health.next()).value !== state);
    expect(childrenOf(dataDir)[0]).not.toBe(server);
  }
  const outcome = await outcomeOf(channel);
  expect(outcome.state, outcome.reason).toBe(tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  // An attempt that was recorded as its database died has no trainer, and another follows: what comes of it is the same.
  const { TRIAL_STATE_SUCCEEDED } = tuning.TrialState;
  expect(outcome.trials.map(({ number, state, doubled }) => [number, state, doubled])).toEqual(
    Array.from({ length: trials + 1 }, (_, number) => [number, TRIAL_STATE_SUCCEEDED, []]),
  );
  if (asked !== undefined) expect(outcome).toEqual(await undisturbed());

  const { code, stderr } = await end('SIGTERM');
  const lines = stderr.trim().split('\n');
  const said = (message: string) => lines.filter((line) => line.includes(message)).length;
  expect([code, said('the database server has ended'), said('the database server is back')]).toEqual([
    ...[0, kills, kills],
  ]);
  // An outage is told by the server, and by each service and each of its loops at most twice.
  expect(lines.length).toBeLessThan(60 + 60 * kills);
}, 2_400_000);
