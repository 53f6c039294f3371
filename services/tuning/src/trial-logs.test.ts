import { NotFound, systemClock } from '@emotune/base';
import { type JobStatus, labels } from '@emotune/jobs';
import { tuning } from '@emotune/proto';
import { jsonLog } from '@emotune/service';
import { expect, it, vi } from 'vitest';
import type { TuningContext } from './context.js';
import { logPlace, StoredLog } from './stored-log.js';
import { patience, testPlatform } from './test-platform.js';
import { held, TestRunner, usualTrainer } from './testing.js';
import { deleteLogs, TrialLogs } from './trial-logs.js';

const { ExperimentState, TrialState } = tuning;
const platform = await testPlatform();
const { objects, reached, runner, submit, trialsOf } = platform;

/** Pieces as "attempt@offset text". */
async function logOf(
  experiment: string,
  number: number,
  more: Partial<tuning.ReadTrialLogRequest> = {},
): Promise<string[]> {
  const pieces: string[] = [];
  const request = { experiment, number, attempt: 0, follow: false, ...more };
  for await (const { attempt, offset, data } of platform.experiments.stream('readTrialLog', request, {}))
    pieces.push(`${attempt}@${offset} ${Buffer.from(data)}`);
  return pieces;
}

it('keeps what a trainer wrote after its job and the process that ran it are gone', async () => {
  runner.train = async (context) => {
    context.write(`trial ${context.reference.number}\n`);
    return usualTrainer(context);
  };
  await submit({ name: 'kept', limits: { maxTrials: 2 } });
  await reached('kept', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  await vi.waitFor(async () => expect(await runner.list()).toEqual([]), patience);
  expect(await logOf('kept', 1)).toEqual(['1@0 trial 1\n']);
  // Another machine's runner knows nothing of it.
  const port = Number(platform.host.address.split(':')[1]);
  await platform.host.close();
  await platform.start({ port, runner: new TestRunner(objects, usualTrainer) });
  expect(await logOf('kept', 0, { follow: true })).toEqual(['1@0 trial 0\n']);
  await platform.host.close();
  await platform.start({ port });
  await deleteLogs(objects, 'kept');
  await expect(logOf('kept', 0)).rejects.toThrow(NotFound);
});

it('tells why there is no log', async () => {
  runner.train = usualTrainer;
  await submit({ name: 'quiet', limits: { maxTrials: 1, maxAttempts: 1 } });
  await reached('quiet', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  // One that is empty is one, too.
  expect(await logOf('quiet', 0)).toEqual([]);
  await expect(logOf('quiet', 9)).rejects.toThrow('expected a trial of quiet, got number 9');
  await expect(logOf('quieter', 0)).rejects.toThrow('expected an experiment');
  await expect(logOf('quiet', 0, { attempt: 2 })).rejects.toThrow(
    'expected one that trial 0 of quiet has had (1), got 2',
  );
  runner.failNext = new Error('no room');
  runner.train = held().train;
  await submit({ name: 'unstarted', limits: { maxTrials: 2, parallelTrials: 1 } });
  await vi.waitFor(async () => expect((await trialsOf('unstarted'))[0].attempt).toBe(2), patience);
  const failure = logOf('unstarted', 0, { attempt: 1 });
  await expect(failure).rejects.toThrow('attempt 1 of trial 0 of unstarted: Interrupted: no trainer could');
  await expect(failure).rejects.toThrow(NotFound);
  await platform.experiments.call('enqueueTrial', {
    experiment: 'unstarted',
    parameters: { learningRate: 0.001 },
  });
  await expect(logOf('unstarted', 1)).rejects.toThrow('it is queued and has had no attempt');
  await platform.experiments.call('cancelExperiment', { name: 'unstarted' });
});

it('follows a trial over its attempts until it has ended, of which an earlier one can be read again', async () => {
  const first = held(async (context) => {
    context.write('dies\n');
    return 1;
  });
  runner.train = (context) => {
    if (context.reference.number > 0) return usualTrainer(context);
    context.write(`begins ${context.reference.attempt}\n`);
    return context.reference.attempt === 1 ? first.train(context) : usualTrainer(context);
  };
  await submit({ name: 'followed', limits: { maxTrials: 1 } });
  await vi.waitFor(() => expect(first.waiting).toHaveLength(1), patience);
  const seen: string[] = [];
  const follow = async () => {
    const request = { experiment: 'followed', number: 0, follow: true };
    for await (const { attempt, data } of platform.experiments.stream('readTrialLog', request, {}))
      seen.push(`${attempt}: ${Buffer.from(data)}`);
  };
  const following = follow();
  await vi.waitFor(() => expect(seen).toEqual(['1: begins 1\n']), patience);
  expect(await logOf('followed', 0)).toEqual(['1@0 begins 1\n']);
  first.release();
  await following;
  expect(seen.join('')).toBe('1: begins 1\n1: dies\n2: begins 2\n');
  const [{ attempt, state }] = await trialsOf('followed');
  expect([attempt, state]).toEqual([2, TrialState.TRIAL_STATE_SUCCEEDED]);
  expect((await logOf('followed', 0, { attempt: 1, follow: true })).join('')).toMatch(
    /begins 1\n(.*)dies\n$/,
  );
  await reached('followed', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
});

it('a stored log keeps head and tail, and goes on where an earlier process ended', async () => {
  const prefix = 'logs/long/0/1';
  const line = (n: number) => Buffer.from(`${String(n).padStart(6, '0')} ${'x'.repeat(1016)}\n`);
  let stored = await StoredLog.open(objects, prefix);
  await stored.store();
  expect(await objects.list(`${prefix}/`)).toHaveLength(1);
  for (let n = 0; n < 4000; n++) {
    stored.add({ offset: n * 1024, bytes: line(n) });
    if (n % 700 === 0) await stored.store();
    // Another process takes over; what this one has not stored comes again.
    if (n === 1500) {
      await stored.store();
      stored = await StoredLog.open(objects, prefix);
      expect(stored.end).toBe(1501 * 1024);
    }
  }
  await stored.store();
  const place = logPlace(objects, prefix);
  const segments = await place.segments();
  expect(segments).toHaveLength(3);
  expect(segments[0].offset).toBe(0);
  expect(segments[2].offset + segments[2].bytes).toBe(4000 * 1024);
  for (const { offset, bytes } of segments) {
    const text = Buffer.from((await place.read(offset))!);
    expect(text).toHaveLength(bytes);
    for (let at = 0; at < bytes; at += 1024)
      expect(text.toString('utf8', at, at + 6)).toBe(String((offset + at) / 1024).padStart(6, '0'));
  }
});

it('asks for no log of a job that waits in a queue', async () => {
  const asked: string[] = [];
  const watching = {
    log: async function* (job: string) {
      asked.push(job);
      yield* [];
    },
  };
  const log = jsonLog(() => {}, {});
  const context = { objects, runner: watching, clock: systemClock, log };
  const logs = new TrialLogs(context as unknown as TuningContext);
  const job = (name: string, phase: JobStatus['phase']) => ({
    ...{ name, phase },
    labels: { [labels.experiment]: 'queues', [labels.trialNumber]: name, [labels.attempt]: '1' },
  });
  const { signal } = new AbortController();
  logs.follow([job('0', 'queued'), job('1', 'running')], signal);
  await vi.waitFor(() => expect(logs.isKept('1')).toBe(true), patience);
  expect(asked).toEqual(['1']);
  // It may have run since.
  logs.follow([job('0', 'succeeded'), job('1', 'running')], signal);
  await vi.waitFor(() => expect(logs.isKept('0')).toBe(true), patience);
  expect(asked).toEqual(['1', '0']);
  await logs.leave();
});
