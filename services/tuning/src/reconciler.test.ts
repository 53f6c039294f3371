import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Aborted } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { tuning } from '@emotune/proto';
import { describe, expect, it, vi } from 'vitest';
import { patience, testPlatform } from './test-platform.js';
import { experimentSpec, held, TestRunner, type Trainer, usualTrainer } from './testing.js';

const { ExperimentState, TrialKind, TrialState } = tuning;
const platform = await testPlatform();
const { get, objects, reached, runner, submit, trialsOf } = platform;

describe('a killed platform goes on where it was', () => {
  /** Trains ten steps with a checkpoint after each, one token a step; stands still at step 5 until it is let go. */
  function stepwise(name: string, go: { on: boolean }, steps: string[]): Trainer {
    return async (context) => {
      const { assignment, reference, signal, heartbeat, finish } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const checkpoint = `${assignment.outputPrefix}/checkpoints/step`;
      const done = (await objects.exists(checkpoint))
        ? Number(Buffer.from(await objects.get(checkpoint)))
        : 0;
      for (let step = done + 1; step <= 10; step++) {
        await vi.waitFor(() => {
          signal.throwIfAborted();
          if (step > 5 && reference.number > 0 && !go.on) throw new Error('waits');
        }, patience);
        await heartbeat({ step, tokens: step });
        if (reference.experiment === name) steps.push(`${reference.number}:${step}`);
        await objects.put(checkpoint, String(step));
      }
      const objective = 1 + reference.number;
      await finish({
        state: TrialState.TRIAL_STATE_SUCCEEDED,
        objective,
        step: 10,
        tokens: 10,
        bestTokens: 10,
      });
      return 0;
    };
  }

  it.each([
    ['its trainers die with it and resume from their checkpoints', true],
    ['its trainers live on and are not started again', false],
  ])('%s', async (_, lose) => {
    const name = lose ? 'killed' : 'severed';
    const go = { on: false };
    const steps: string[] = [];
    runner.train = stepwise(name, go, steps);
    await submit({ name, limits: { maxTrials: 4, parallelTrials: 2 } });
    // Trial 0 has succeeded; 1 and 2 are in the middle.
    await vi.waitFor(async () => {
      expect((await get(name)).trialsSucceeded).toBe(1);
      expect(steps).toEqual(expect.arrayContaining(['1:5', '2:5']));
    }, patience);
    const before = (await trialsOf(name)).map(({ parameters }) => parameters);
    const port = Number(platform.host.address.split(':')[1]);
    await platform.kill();
    if (lose) runner.loseAll();
    await platform.start({ port });
    go.on = true;
    const experiment = await reached(name, ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment).toMatchObject({ trialsSucceeded: 4, trialsTotal: 4, trialsFailed: 0 });
    const trials = await trialsOf(name);
    expect(trials.slice(0, 3).map(({ parameters }) => parameters)).toEqual(before);
    const again = lose ? 2 : 1;
    expect(trials.map(({ attempt }) => attempt)).toEqual([1, again, again, 1, 1]);
    // No step was trained twice, so no trial was.
    expect([...new Set(steps)].sort()).toEqual([...steps].sort());
    expect(steps).toHaveLength(40);
    expect(trials[1].measurements.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('also in the middle of the final training', async () => {
    const { train, release, waiting } = held();
    runner.train = (context) =>
      context.assignment.kind === TrialKind.TRIAL_KIND_FINAL ? train(context) : usualTrainer(context);
    await submit({ name: 'late', limits: { maxTrials: 1 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    const port = Number(platform.host.address.split(':')[1]);
    await platform.kill();
    release();
    await platform.start({ port });
    const experiment = await reached('late', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment.modelVersion).toMatch(/^late@/);
    expect((await trialsOf('late')).map(({ attempt }) => attempt)).toEqual([1, 1]);
  });
});

it('two services on one database do no harm to each other', async () => {
  const second = await platform.serve();
  await submit({ name: 'shared', limits: { maxTrials: 12, parallelTrials: 6 } });
  const experiment = await reached('shared', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  expect(experiment).toMatchObject({ trialsSucceeded: 12, trialsTotal: 12 });
  const jobs = runner.started.filter((job) => job.startsWith('shared-'));
  expect([...new Set(jobs)].sort()).toEqual([...jobs].sort());
  expect(jobs).toHaveLength(13);
  await second.host.close();
});

it('a silent trainer loses its trial to another attempt', async () => {
  await platform.host.close();
  await platform.start({ leaseSeconds: 2 });
  const { train, waiting } = held();
  runner.train = (context) =>
    context.reference.number === 0 && context.reference.attempt === 1
      ? train(context)
      : usualTrainer(context);
  await submit({ name: 'silent', limits: { maxTrials: 1 } });
  await reached('silent', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  expect((await trialsOf('silent')).map(({ attempt }) => attempt)).toEqual([2, 1]);
  const [{ reference: trial, token, signal }] = waiting;
  expect(signal.aborted).toBe(true);
  await expect(platform.trials.call('heartbeat', { trial }, { token })).rejects.toBeInstanceOf(Aborted);
  await expect(
    platform.trials.call('finishTrial', { trial, state: TrialState.TRIAL_STATE_SUCCEEDED }, { token }),
  ).rejects.toBeInstanceOf(Aborted);
});

/** The server's process behind the connection that leads. */
async function leader(): Promise<number | undefined> {
  const database = await Database.connect(await testDatabaseUrl(), 'tuning');
  const [row] = await database.query<{ pid: number }>(
    `select pid from pg_locks where locktype = 'advisory' and granted
     and classid = hashtext('tuning.leaders')::oid and objid = hashtext('controller')::oid`,
  );
  await database.close();
  return row?.pid;
}

/** Breaks the connection of the process that leads, and waits until one leads again. */
async function handOver(): Promise<void> {
  const before = await vi.waitFor(async () => {
    const pid = await leader();
    expect(pid).toBeDefined();
    return pid;
  }, patience);
  const database = await Database.connect(await testDatabaseUrl(), 'tuning');
  await database.query('select pg_terminate_backend($1)', [before]);
  await database.close();
  await vi.waitFor(async () => expect([undefined, before]).not.toContain(await leader()), patience);
}

describe('of two services on one database', () => {
  it('one controls, also what is created at the other, until it goes; then the other does', async () => {
    const own = new TestRunner(objects, usualTrainer);
    const second = await platform.serve({ runner: own });
    const create = (name: string) =>
      second.host.channel
        .client<tuning.ExperimentServiceClient>('ExperimentService')
        .call('createExperiment', { spec: experimentSpec({ name, limits: { maxTrials: 3 } }) });
    await create('followed');
    await reached('followed', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(runner.started.filter((job) => job.startsWith('followed-'))).toHaveLength(4);
    expect(own.started).toEqual([]);
    const port = Number(platform.host.address.split(':')[1]);
    await platform.host.close();
    const before = runner.started.length;
    await create('inherited');
    await vi.waitFor(() => expect(own.started).toHaveLength(4), patience);
    expect(runner.started).toHaveLength(before);
    await platform.start({ port });
    await reached('inherited', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    await own.close();
    await second.host.close();
  });

  it('another controls as soon as the connection that holds the lock breaks, and starts nothing again', async () => {
    const second = await platform.serve();
    const { train, release, waiting } = held();
    runner.train = train;
    await submit({ name: 'contended', limits: { maxTrials: 12, parallelTrials: 4 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(4), patience);
    const jobs = () => runner.started.filter((job) => job.startsWith('contended-'));
    for (let i = 0; i < 3; i++) await handOver();
    expect((await trialsOf('contended')).map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
    expect(jobs()).toHaveLength(4);
    release();
    // Now in the middle of decisions: one that is recorded but not acted on is another attempt of the next leader.
    await handOver();
    const experiment = await reached('contended', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment).toMatchObject({ trialsSucceeded: 12, trialsTotal: 12 });
    expect([...new Set(jobs())].sort()).toEqual([...jobs()].sort());
    await second.host.close();
  });
});

it('answers calls while values for a trial are computed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-values-'));
  const [gate, started, go] = ['gate.mjs', 'started', 'go'].map((name) => join(folder, name));
  writeFileSync(
    gate,
    `import { existsSync, writeFileSync } from 'node:fs';
     writeFileSync(${JSON.stringify(started)}, '');
     while (!existsSync(${JSON.stringify(go)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);`,
  );
  runner.train = usualTrainer;
  await platform.host.close();
  platform.threadArguments.push('--import', pathToFileURL(gate).href);
  await platform.start();
  platform.threadArguments.splice(-2);
  await submit({ name: 'values', limits: { maxTrials: 2 } });
  await vi.waitFor(() => expect(existsSync(started)).toBe(true), patience);
  for (let i = 0; i < 3; i++) expect(await get('values')).toMatchObject({ trialsTotal: 0 });
  writeFileSync(go, '');
  await reached('values', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  rmSync(folder, { recursive: true });
});
