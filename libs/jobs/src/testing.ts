/** The contract that every trial runner keeps. */
import { InvalidArgument, NotFound } from '@emotune/base';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LogPiece } from './log.js';
import { hasEnded as ended, type JobSpec, type JobStatus, type TrialRunner } from './runner.js';
import { reasonOfEnd } from './trainer-protocol.js';

/**
 * A trainer for the contract (ECMAScript): exits with EXIT, AFTER so many milliseconds, or 99 when its token is wrong;
 * without EXIT it waits for SIGTERM, upon which it exits with 75, or never with STUBBORN. It writes SAY and its token;
 * with CRASH it throws before it does anything.
 */
export const contractTrainer = `
import { writeFileSync } from 'node:fs';
if (process.env.CRASH) throw new Error(process.env.CRASH);
const end = (code) => {
  if (process.env.EMOTUNE_TERMINATION_LOG) writeFileSync(process.env.EMOTUNE_TERMINATION_LOG, String(code));
  process.exit(code);
};
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
let detached = false;
let begin;
const told = new Promise((resolve) => { begin = resolve; });
process.on('message', (m) => { if (m.detached) detached = true; else begin(m.token); });
process.on('SIGTERM', () => { if (!process.env.STUBBORN) end(75); });
process.on('disconnect', () => { if (!detached) end(75); });
const token = process.env.EMOTUNE_TOKEN ?? (await told);
if (token !== 'a secret') end(99);
if (process.env.SAY) console.error(process.env.SAY + ', with ' + token);
// What is written to two streams at once may be read in any order.
if (process.env.SAY) await new Promise((resolve) => setTimeout(resolve, 100));
if (process.env.EXIT) setTimeout(() => end(Number(process.env.EXIT)), Number(process.env.AFTER ?? 0));
console.log('ready');
setInterval(() => {}, 1000);
`;

const patience = { timeout: 200_000, interval: 20 };

export async function statusWhen(
  runner: TrialRunner,
  name: string,
  want: (status: JobStatus) => boolean,
): Promise<JobStatus> {
  return vi.waitFor(async () => {
    const status = (await runner.list()).find((job) => job.name === name);
    expect(status && want(status), `${name}: ${JSON.stringify(status)}`).toBe(true);
    return status!;
  }, patience);
}

const runs = ({ phase }: JobStatus) => phase === 'running';

async function textOf(pieces: AsyncIterable<LogPiece>): Promise<string> {
  let text = '';
  for await (const { bytes } of pieces) text += Buffer.from(bytes).toString();
  return text;
}

/**
 * `create` gives a runner of a place that is without jobs when a test begins, and whose trainers run `contractTrainer`;
 * called again within a test, the next runner of the same place.
 */
export function trialRunnerContract(name: string, create: () => Promise<TrialRunner>): void {
  describe(`${name} keeps the trial runner contract`, () => {
    let runner: TrialRunner;
    beforeEach(async () => {
      runner = await create();
    });
    afterEach(() => runner.close());

    const spec = (name: string, environment: Record<string, string> = {}): JobSpec => ({
      name,
      labels: { 'emotune.io/trial': name },
      annotations: { 'emotune.io/parameters': '{"learningRate":0.001}' },
      environment,
      token: 'a secret',
      resources: { cpus: 1, memoryMib: 0, gpus: 0 },
      ranks: 1,
      nodeSelector: {},
    });

    /** How a job has ended, in the words of the trainer's protocol. */
    const reason = async (name: string) => reasonOfEnd(await statusWhen(runner, name, ended));

    /** Resolves when its trainer hears what it is asked. */
    const ready = async (name: string) => {
      for await (const { bytes } of runner.log(name, { follow: true }))
        if (Buffer.from(bytes).toString().includes('ready')) return;
    };

    it('runs a job with its settings and its token, and keeps its end', async () => {
      const seen: JobStatus[] = [];
      const off = runner.onChange((status) => seen.push(status));
      await runner.start(spec('exp-t0-a1', { EXIT: '0' }));
      await runner.start(spec('exp-t1-a1', { EXIT: '43' }));
      const labels = (name: string) => ({ 'emotune.io/trial': name });
      const good = { name: 'exp-t0-a1', labels: labels('exp-t0-a1'), phase: 'succeeded', exitCode: 0 };
      const bad = { name: 'exp-t1-a1', labels: labels('exp-t1-a1'), phase: 'failed', exitCode: 43 };
      expect(await statusWhen(runner, 'exp-t0-a1', ended)).toEqual(good);
      expect(await statusWhen(runner, 'exp-t1-a1', ended)).toEqual(bad);
      expect(seen).toContainEqual(good);
      expect(seen).toContainEqual(bad);
      off();
      await runner.start(spec('exp-t2-a1', { EXIT: '0' }));
      await statusWhen(runner, 'exp-t2-a1', ended);
      expect(seen.map(({ name }) => name)).not.toContain('exp-t2-a1');
    });

    it('leaves a job as it is when it is started again, running or ended', async () => {
      await Promise.all([runner.start(spec('exp-t0-a1')), runner.start(spec('exp-t0-a1', { EXIT: '3' }))]);
      await runner.start(spec('exp-t0-a1', { EXIT: '3' }));
      await statusWhen(runner, 'exp-t0-a1', runs);
      expect(await runner.list()).toHaveLength(1);
      await runner.stop('exp-t0-a1', 20);
      const status = await statusWhen(runner, 'exp-t0-a1', ended);
      await runner.start(spec('exp-t0-a1', { EXIT: '0' }));
      expect(await runner.list()).toEqual([status]);
    });

    it('asks a job to end, and makes it end after the grace', async () => {
      await runner.start(spec('exp-t0-a1'));
      await runner.start(spec('exp-t1-a1', { STUBBORN: '1' }));
      for (const name of ['exp-t0-a1', 'exp-t1-a1']) await ready(name);
      await runner.stop('exp-t0-a1', 20);
      await runner.stop('exp-t1-a1', 0.5);
      await runner.stop('exp-t9-a1', 0.5);
      expect((await statusWhen(runner, 'exp-t0-a1', ended)).exitCode).toBe(75);
      expect((await statusWhen(runner, 'exp-t1-a1', ended)).exitCode).toBe(137);
      for (const { name } of await runner.list()) expect(await reason(name)).toMatch(/^Interrupted: /);
      await runner.stop('exp-t0-a1', 1);
    });

    it('tells that a job was interrupted, at whatever moment of its start it was asked to end', async () => {
      const moments = [0, 5, 10, 20, 30, 40, 60, 80];
      await Promise.all(
        moments.map(async (ms, i) => {
          await runner.start(spec(`exp-t${i}-a1`));
          await new Promise((resolve) => setTimeout(resolve, ms));
          await runner.stop(`exp-t${i}-a1`, 200);
        }),
      );
      for (const i of moments.keys()) expect(await reason(`exp-t${i}-a1`)).toMatch(/^Interrupted: /);
    });

    it('forgets a job that has ended, whose name is then free', async () => {
      await runner.start(spec('exp-t0-a1', { EXIT: '1' }));
      await statusWhen(runner, 'exp-t0-a1', ended);
      await runner.remove('exp-t0-a1');
      await runner.remove('exp-t0-a1');
      expect(await runner.list()).toEqual([]);
      await runner.start(spec('exp-t0-a1', { EXIT: '0' }));
      expect((await statusWhen(runner, 'exp-t0-a1', ended)).exitCode).toBe(0);
    });

    it('refuses names that no cluster takes', async () => {
      for (const name of ['', 'A', 'a/b', '-a', 'a-', '../a', 'a'.repeat(53)])
        await expect(runner.start(spec(name))).rejects.toThrow(InvalidArgument);
      expect(await runner.list()).toEqual([]);
    });

    it('leaves jobs running when it detaches, and the next runner has them and learns how they end', async () => {
      await runner.start(spec('exp-t0-a1', { EXIT: '44', AFTER: '500' }));
      await runner.start(spec('exp-t1-a1'));
      await runner.start(spec('exp-t2-a1', { EXIT: '0' }));
      const over = await statusWhen(runner, 'exp-t2-a1', ended);
      await statusWhen(runner, 'exp-t1-a1', runs);
      await runner.detach();
      await expect(runner.start(spec('exp-t3-a1'))).rejects.toThrow('stopping');
      await runner.close();

      runner = await create();
      const jobs = await runner.list();
      expect(jobs).toContainEqual(over);
      expect(jobs).toContainEqual({
        name: 'exp-t1-a1',
        labels: { 'emotune.io/trial': 'exp-t1-a1' },
        phase: 'running',
      });
      await runner.start(spec('exp-t1-a1', { EXIT: '3' }));
      expect((await statusWhen(runner, 'exp-t0-a1', ended)).exitCode).toBe(44);
      // It has heard of the first runner's leave, so it was ready to hear more.
      await runner.stop('exp-t1-a1', 200);
      expect(await statusWhen(runner, 'exp-t1-a1', ended)).toMatchObject({ phase: 'failed', exitCode: 75 });
      await runner.remove('exp-t1-a1');
    });

    it('ends jobs that an earlier runner has left when it closes', async () => {
      await runner.start(spec('exp-t0-a1'));
      await runner.detach();
      runner = await create();
      await runner.close();
      expect((await runner.list()).map(({ phase }) => phase)).toEqual(['failed']);
    });

    it('ends a job that has run for as long as it may, and says so', async () => {
      await runner.start({ ...spec('exp-t0-a1'), deadlineSeconds: 0.5 });
      await runner.start({ ...spec('exp-t1-a1', { EXIT: '0' }), deadlineSeconds: 3600 });
      expect(await statusWhen(runner, 'exp-t0-a1', ended)).toMatchObject({
        phase: 'failed',
        cause: 'DeadlineExceeded',
      });
      expect(await statusWhen(runner, 'exp-t1-a1', ended)).toMatchObject({ phase: 'succeeded' });
    });

    it('shows what a job has written, without its token', async () => {
      await runner.start(spec('exp-t0-a1', { SAY: 'sad cats', EXIT: '0' }));
      await statusWhen(runner, 'exp-t0-a1', ended);
      const text = 'sad cats, with [secret]\nready\n';
      expect(await textOf(runner.log('exp-t0-a1'))).toBe(text);
      expect(await textOf(runner.log('exp-t0-a1', { follow: true }))).toBe(text);
      expect(await textOf(runner.log('exp-t0-a1', { from: 4 }))).toBe(text.slice(4));
      expect(await textOf(runner.log('exp-t0-a1', { from: text.length }))).toBe('');
    });

    it('shows why a job died before it could do anything', async () => {
      await runner.start(spec('exp-t0-a1', { CRASH: 'no such module' }));
      expect((await statusWhen(runner, 'exp-t0-a1', ended)).exitCode).toBe(1);
      expect(await textOf(runner.log('exp-t0-a1'))).toContain('Error: no such module');
    });

    it('follows a log until its job has ended, or nobody wants it any more', async () => {
      await runner.start(spec('exp-t0-a1', { SAY: 'one' }));
      const enough = new AbortController();
      const seen: string[] = [];
      for await (const { bytes } of runner.log('exp-t0-a1', { follow: true, signal: enough.signal })) {
        seen.push(Buffer.from(bytes).toString());
        if (seen.join('').includes('ready')) enough.abort();
      }
      expect(seen.join('')).toBe('one, with [secret]\nready\n');
      const rest = textOf(runner.log('exp-t0-a1', { follow: true }));
      await runner.stop('exp-t0-a1', 200);
      expect(await rest).toBe(seen.join(''));
      expect(await runner.list()).toMatchObject([{ phase: 'failed', exitCode: 75 }]);
    });

    it('has no log of a job that it does not have', async () => {
      await expect(textOf(runner.log('exp-t0-a1'))).rejects.toThrow(NotFound);
      await runner.start(spec('exp-t0-a1', { EXIT: '0' }));
      await statusWhen(runner, 'exp-t0-a1', ended);
      await runner.remove('exp-t0-a1');
      await expect(textOf(runner.log('exp-t0-a1'))).rejects.toThrow(NotFound);
      // Nor that of another of its name before.
      await runner.start(spec('exp-t0-a1', { SAY: 'anew', EXIT: '0' }));
      await statusWhen(runner, 'exp-t0-a1', ended);
      expect(await textOf(runner.log('exp-t0-a1'))).toBe('anew, with [secret]\nready\n');
    });

    it('ends every job when it closes', async () => {
      await runner.start(spec('exp-t0-a1'));
      await runner.start(spec('exp-t1-a1'));
      await runner.close();
      expect((await runner.list()).map(({ phase }) => phase)).toEqual(['failed', 'failed']);
      await expect(runner.start(spec('exp-t2-a1'))).rejects.toThrow('stopping');
    });
  });
}
