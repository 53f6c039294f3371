/**
 * Everything of a real cluster is killed in turn, by a schedule of one seed, while experiments run on it: services and trainers,
 * Kafka, PostgreSQL and S3, the programs of Kubernetes. Each experiment ends as one that nobody disturbed: the same trials, the
 * same objectives to the last bit, the same winner, and nothing is left. `EMOTUNE_CHAOS_KILLS` says how often (50).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng, systemClock, Unavailable } from '@emotune/base';
import { Database } from '@emotune/database';
import { type Local, startLocal, withoutImages, withoutLocal } from '@emotune/local';
import { type evaluation, type events, type inference, tuning } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../e2e/platform-process.js';
import { base, begun } from '../e2e/tune.js';
import { readyImages } from './built-images.js';
import { killsOf, scheduleOf } from './kill.js';
import { chart, models, Release } from './release.js';

const kills = Number(process.env['EMOTUNE_CHAOS_KILLS'] ?? 50);
const trials = 12;
const spec = { trials, tokens: 2_000, threads: 0, parallel: 2, limits: { maxAttempts: 100 } };
/** Seconds until more is measured than before a kill; what takes longer waits for ever. */
const patience = 600;
const deadlineMs = 10_000;

const reason = withoutImages() ?? withoutLocal();
if (reason) process.stderr.write(`skipped: kills on a cluster: ${reason}\n`);

describe.skipIf(reason)('a cluster whose parts are killed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-kills-'));
  let local: Local;
  let release: Release;
  let channel: Channel;

  beforeAll(async () => {
    local = await startLocal({ images: await readyImages(folder) });
    release = new Release(local, 'kills');
    await release.helm('install', release.name, chart, '-f', local.values, '--wait', '--timeout', '20m');
    channel = await release.connect();
    await importCheckpoint(channel, { name: base, path: join(models, base) });
  });
  afterAll(async () => {
    channel?.close();
    await local?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => release.tell()));

  /** What a client does that is told to ask again. */
  async function patiently<T>(ask: () => Promise<T>): Promise<T> {
    for (const deadline = Date.now() + patience * 1000; ; await systemClock.sleep(200))
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof Unavailable) || Date.now() > deadline) throw error;
      }
  }

  const experiments = () => channel.client<tuning.ExperimentServiceClient>('ExperimentService');
  const look = (name: string) =>
    patiently(() => experiments().call('getExperiment', { name }, { deadlineMs }));
  const trialsOf = async (experiment: string) =>
    (await patiently(() => experiments().call('listTrials', { experiment }, { deadlineMs }))).trials;
  const hasEnded = async (name: string) => Boolean((await look(name)).endTime);

  /** What all trials together have come to; more of it each time something is measured or ends that was not before. */
  function progress() {
    const furthest = new Map<number, number>();
    return async (name: string) => {
      for (const { number, step, endTime } of await trialsOf(name))
        furthest.set(number, Math.max(furthest.get(number) ?? 0, step + (endTime ? 1_000_000 : 0)));
      return [...furthest.values()].reduce((sum, steps) => sum + steps, (await hasEnded(name)) ? 1 : 0);
    };
  }

  /** What an experiment has come to, times, machines and names aside. */
  async function outcomeOf(name: string) {
    await until(`the end of ${name}`, () => hasEnded(name), 2 * patience);
    const { state, reason, modelVersion } = await look(name);
    expect(state, reason).toBe(tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const made = async () => {
      const evaluations = channel.client<evaluation.EvaluationServiceClient>('EvaluationService');
      const all = await patiently(() => evaluations.call('listEvaluations', {}, { deadlineMs }));
      return all.evaluations.filter(({ model }) => model === modelVersion).length;
    };
    await expect.poll(made, { timeout: patience * 1000 }).toBeGreaterThan(0);
    const all = await trialsOf(name);
    return {
      evaluations: await made(),
      trials: all.map(({ number, kind, state, parameters, objective, measurements }) => ({
        ...{ number, kind, state, parameters, objective },
        // At which other steps something is measured is a matter of time.
        measured: measurements.flatMap(({ step, objective }) =>
          objective === undefined ? [] : [[step, objective]],
        ),
        doubled: measurements
          .map(({ step }) => step)
          .filter((step, i, steps) => step <= (steps[i - 1] ?? -1)),
      })),
    };
  }

  async function expectNothingLeft() {
    const left = () =>
      release.kubectl('get', 'jobs,pods,secrets', '-l', 'emotune.io/experiment', '-o', 'name');
    await expect.poll(left, { timeout: patience * 1000, interval: 1000 }).toBe('');
    const letters = channel.client<events.DeadLetterServiceClient>('DeadLetterService');
    expect((await letters.call('listDeadLetters', {})).deadLetters).toEqual([]);
    const database = await Database.connect(local.postgres.url, 'tuning');
    const untold = () => database.query('select topic, key, failure from outbox');
    await expect.poll(untold, { timeout: patience * 1000 }).toEqual([]);
    await database.close();
  }

  it(`ends ${kills} kills later with what it would have come to without`, {
    timeout: 14_400_000,
  }, async () => {
    await begun(channel, 'calm', spec);
    const calm = await outcomeOf('calm');
    expect(calm.trials).toHaveLength(trials + 1);
    await expectNothingLeft();

    const rng = Rng.of('cluster kills');
    const victims = killsOf(local, release, rng);
    const schedule = [...scheduleOf([...victims.keys()], kills, rng)];
    const recoveries = new Map<string, number[]>();
    for (let round = 1; schedule.length > 0; round++) {
      const name = `disturbed-${round}`;
      const progressOf = progress();
      await begun(channel, name, spec);
      await until('a trial goes on', async () => (await progressOf(name)) > 0, patience);
      while (schedule.length > 0 && !(await hasEnded(name))) {
        const kind = schedule[0];
        const before = await progressOf(name);
        const began = Date.now();
        if (!(await victims.get(kind)!())) continue;
        schedule.shift();
        await until(`progress after ${kind}`, async () => (await progressOf(name)) > before, patience);
        const seconds = (Date.now() - began) / 1000;
        recoveries.set(kind, [...(recoveries.get(kind) ?? []), seconds]);
        process.stderr.write(`${name}: killed ${kind}, went on after ${seconds.toFixed(1)} s\n`);
        await systemClock.sleep(rng.int(2_000));
      }
      expect.soft(await outcomeOf(name), name).toEqual(calm);
      await expectNothingLeft();
    }
    await release.kubectl('wait', 'deployment', '--all', '--for=condition=Available', '--timeout=600s');
    const analyses = channel.client<inference.AnalysisServiceClient>('AnalysisService');
    await analyses.call('analyze', { text: 'What a lovely surprise!' }, { deadlineMs });
    process.stderr.write(`${summaryOf(recoveries)}\n`);
  });
});

/** A line a kind: how often it was killed, and seconds until more was measured. */
function summaryOf(recoveries: ReadonlyMap<string, readonly number[]>): string {
  const line = (kind: string, seconds: readonly number[]) => {
    const sorted = [...seconds].sort((a, b) => a - b);
    const [median, longest] = [sorted[(sorted.length - 1) >> 1], sorted.at(-1)!];
    return `${kind}: ${sorted.length} kills, went on after ${median.toFixed(1)} s (median), ${longest.toFixed(1)} s (longest)`;
  };
  return [...recoveries, ['all', [...recoveries.values()].flat()] as const]
    .map(([kind, seconds]) => line(kind, seconds))
    .join('\n');
}
