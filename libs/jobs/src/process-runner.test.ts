import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Unavailable } from '@emotune/base';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeRecord } from './job-record.js';
import { birthOf } from './process-birth.js';
import { ProcessRunner } from './process-runner.js';
import { contractTrainer, statusWhen, trialRunnerContract } from './testing.js';

let folder: string;
let runners: ProcessRunner[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-jobs-'));
  runners = [];
});
afterEach(async () => {
  await Promise.all(runners.map((runner) => runner.close()));
  rmSync(folder, { recursive: true, force: true });
});

function open(program = contractTrainer, graceSeconds = 15, takesOver = true): ProcessRunner {
  const entry = join(folder, 'trainer.mjs');
  writeFileSync(entry, program);
  const runner = ProcessRunner.open({
    folder: join(folder, 'jobs'),
    entry,
    environment: { PATH: '/usr/bin:/bin' },
    graceSeconds,
    takesOver,
  });
  runners.push(runner);
  return runner;
}

const spec = (environment: Record<string, string> = {}) => ({
  name: 'exp-t0-a1',
  labels: { 'emotune.io/trial-number': '0' },
  annotations: {},
  environment,
  token: 'a secret',
  resources: { cpus: 0, memoryMib: 0, gpus: 0 },
  ranks: 1,
  nodeSelector: {},
});
const log = () => {
  const segments = join(folder, 'jobs', 'exp-t0-a1.log');
  return readdirSync(segments)
    .sort()
    .map((name) => readFileSync(join(segments, name), 'utf8'))
    .join('');
};
const failed = ({ phase }: { phase: string }) => phase === 'failed';
const patience = { timeout: 200_000, interval: 20 };
const gone = (pid: number) => vi.waitFor(async () => expect(await birthOf(pid)).toBeUndefined(), patience);

trialRunnerContract('ProcessRunner', async () => open());

describe('ProcessRunner', () => {
  it('gives a trainer no more of the environment than it was told, and hides its token', async () => {
    const runner = open(
      `process.once('message', () => { console.log(JSON.stringify([process.env, process.argv.slice(2), process.execArgv])); process.exit(0); });`,
    );
    await runner.start(spec({ EMOTUNE_TRIAL: '0' }));
    await statusWhen(runner, 'exp-t0-a1', ({ phase }) => phase === 'succeeded');
    const [environment, ...args] = await vi.waitFor(() => JSON.parse(log()), patience);
    const known = [
      'EMOTUNE_TERMINATION_LOG',
      'EMOTUNE_TRIAL',
      'NODE_CHANNEL_FD',
      'NODE_CHANNEL_SERIALIZATION_MODE',
      'PATH',
      'TMPDIR',
    ];
    expect(known).toEqual(
      expect.arrayContaining(Object.keys(environment).filter((name) => !name.startsWith('__CF'))),
    );
    expect(args).toEqual([[], []]);
    // Its own folder for temporary files goes with it.
    expect(environment.TMPDIR).toBe(join(folder, 'jobs', 'exp-t0-a1.work'));
    expect(existsSync(environment.TMPDIR)).toBe(false);
    const files = readdirSync(join(folder, 'jobs'), { recursive: true, withFileTypes: true });
    for (const file of files.filter((found) => found.isFile()))
      expect(readFileSync(join(file.parentPath, file.name), 'utf8')).not.toContain('a secret');
  });

  it('refuses ranks that it cannot start', async () => {
    await expect(open().start({ ...spec(), ranks: 2 })).rejects.toThrow('ranks: expected 1');
  });

  it('tells the death of a trainer that it was left with', async () => {
    const first = open();
    await first.start(spec());
    await first.detach();
    const { pid } = JSON.parse(readFileSync(join(folder, 'jobs', 'exp-t0-a1.job.json'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    expect(await statusWhen(open(), 'exp-t0-a1', failed)).toEqual({
      name: 'exp-t0-a1',
      labels: { 'emotune.io/trial-number': '0' },
      phase: 'failed',
    });
  });

  it('tells a death by a signal that nobody here sent', async () => {
    const runner = open();
    await runner.start(spec());
    const { pid } = JSON.parse(readFileSync(join(folder, 'jobs', 'exp-t0-a1.job.json'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    expect(await statusWhen(runner, 'exp-t0-a1', failed)).toEqual({
      name: 'exp-t0-a1',
      labels: { 'emotune.io/trial-number': '0' },
      phase: 'failed',
      exitCode: 137,
    });
  });

  it('keeps the head and the tail of a log that grows without end', async () => {
    const lines = 12_000;
    const runner = open(
      `let text = ''; for (let i = 0; i < ${lines}; i++) text += 'line ' + i + ' ' + 'x'.repeat(1000) + '\\n';
      process.stdout.write(text, () => process.exit(0));`,
    );
    await runner.start(spec());
    await statusWhen(runner, 'exp-t0-a1', ({ phase }) => phase === 'succeeded');
    let [position, kept, gaps, text] = [0, 0, 0, ''];
    for await (const { offset, bytes } of runner.log('exp-t0-a1')) {
      if (offset > position) gaps++;
      position = offset + bytes.length;
      kept += bytes.length;
      text += Buffer.from(bytes).toString();
    }
    expect(gaps).toBe(1);
    expect(kept).toBeLessThan(2 * 2 ** 20);
    expect(position).toBeGreaterThan(lines * 1000);
    expect(text.startsWith('line 0 x')).toBe(true);
    expect(text).toContain(`\nline ${lines - 1} x`);
    // Nothing begins or ends in the middle of a line.
    expect(text.split('\n').filter((line) => !/^(line \d+ x{1000}|)$/.test(line))).toEqual([]);
  });

  it('leaves no job behind when none can be started', async () => {
    const runner = ProcessRunner.open({
      folder: join(folder, 'jobs'),
      entry: 'unused.mjs',
      environment: {},
    });
    const { execPath } = process;
    process.execPath = join(folder, 'no-node');
    try {
      await expect(runner.start(spec())).rejects.toThrow(Unavailable);
    } finally {
      process.execPath = execPath;
    }
    expect(await runner.list()).toEqual([]);
    expect(readdirSync(join(folder, 'jobs')).filter((name) => !name.endsWith('.log'))).toEqual([]);
  });

  it('keeps what ended for the next platform process', async () => {
    const runner = open();
    await runner.start(spec({ EXIT: '44' }));
    const status = await statusWhen(runner, 'exp-t0-a1', failed);
    await runner.close();
    expect(await open().list()).toEqual([status]);
  });

  describe('after the platform was killed', () => {
    const strangers: ChildProcess[] = [];
    afterEach(() => {
      for (const child of strangers.splice(0)) child.kill('SIGKILL');
    });

    /** A process that no runner of this test has started, and its record. */
    async function stranger(program: string, birth?: string): Promise<number> {
      open();
      writeFileSync(join(folder, 'stranger.mjs'), program);
      const child = spawn(process.execPath, [join(folder, 'stranger.mjs')], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      strangers.push(child);
      await once(child.stdout!, 'data');
      const pid = child.pid!;
      writeRecord(join(folder, 'jobs'), {
        name: 'exp-t0-a1',
        labels: {},
        annotations: {},
        log: join(folder, 'jobs', 'x.log'),
        pid,
        birth: birth ?? (await birthOf(pid))!,
        phase: 'running',
      });
      return pid;
    }
    const lost = { name: 'exp-t0-a1', labels: {}, phase: 'failed', cause: 'NodeLost' };

    it('asks a trainer that still runs to end, and reports it lost once it has', async () => {
      const mark = join(folder, 'asked');
      const pid = await stranger(
        `import { writeFileSync } from 'node:fs';
        process.on('SIGTERM', () => { writeFileSync(${JSON.stringify(mark)}, ''); process.exit(75); });
        console.log('ready'); setInterval(() => {}, 1000);`,
      );
      const runner = open();
      expect(await runner.list()).toEqual([{ name: 'exp-t0-a1', labels: {}, phase: 'running' }]);
      expect(await statusWhen(runner, 'exp-t0-a1', failed)).toEqual(lost);
      await gone(pid);
      expect(existsSync(mark)).toBe(true);
      expect(await open().list()).toEqual([lost]);
    });

    it('kills one that does not listen', async () => {
      const pid = await stranger(
        `process.on('SIGTERM', () => {}); console.log('ready'); setInterval(() => {}, 1000);`,
      );
      expect(await statusWhen(open(contractTrainer, 0.3), 'exp-t0-a1', failed)).toEqual(lost);
      await gone(pid);
    });

    it('leaves alone one that it does not take over', async () => {
      const pid = await stranger(`console.log('ready'); setInterval(() => {}, 1000);`);
      const reads = open(contractTrainer, 0, false);
      expect(await reads.list()).toEqual([{ name: 'exp-t0-a1', labels: {}, phase: 'running' }]);
      await reads.close();
      expect(await birthOf(pid)).toBeDefined();
      expect(await open(contractTrainer, 0, false).list()).toEqual([
        { name: 'exp-t0-a1', labels: {}, phase: 'running' },
      ]);
      process.kill(pid, 'SIGKILL');
      await gone(pid);
      expect(await statusWhen(open(contractTrainer, 0, false), 'exp-t0-a1', failed)).toEqual(lost);
    });

    it('spares another process that was given the same number', async () => {
      const pid = await stranger(`console.log('ready'); setInterval(() => {}, 1000);`, 'another birth');
      expect(await statusWhen(open(), 'exp-t0-a1', failed)).toEqual(lost);
      expect(await birthOf(pid)).toBeDefined();
    });
  });
});
