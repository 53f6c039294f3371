/**
 * The disk of the platform's own PostgreSQL runs full under a platform that tunes: the platform lives on, says so, and goes on by
 * itself once there is space, with all that was committed and without an attempt spent.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { smallDisk } from '@emotune/objects/testing';
import { tuning } from '@emotune/proto';
import { Health } from '@emotune/service/testing';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { lives, serve, until } from '../e2e/platform-process.js';
import { begun } from '../e2e/tune.js';

const name = 'full';
const trials = 3;
const MiB = 2 ** 20;
/** Its files take a half of it. */
const diskBytes = 160 * MiB;

const folder = mkdtempSync(join(tmpdir(), 'emotune-chaos-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Leaves no byte free; what it wrote is removed by the function that it gives. */
function fill(disk: string): () => void {
  const path = join(disk, 'filler');
  for (let bytes = 16 * MiB; bytes >= 1; bytes = Math.floor(bytes / 2))
    for (;;)
      try {
        writeFileSync(path, Buffer.alloc(bytes), { flag: 'a' });
      } catch {
        break;
      }
  return () => rmSync(path);
}

/** Has the server write ahead of itself until it cannot any more. */
async function writeUntilFull(dataDir: string): Promise<void> {
  const data = join(dataDir, 'postgres', 'data');
  const port = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[3];
  const password = readFileSync(join(data, 'emotune.password'), 'utf8').trim();
  const database = await Database.connect(
    `postgres://emotune:${password}@127.0.0.1:${port}/postgres`,
    'filler',
  );
  try {
    for (let written = 0; written < diskBytes; written += MiB)
      await database.query("select pg_logical_emit_message(false, 'filler', repeat('x', $1), true)", [MiB]);
  } catch {
    return;
  } finally {
    await database.close();
  }
  throw new Error('expected a disk that runs full');
}

it('an experiment waits until there is space, and ends as without', async ({ skip }) => {
  const dataDir = join(folder, 'data');
  const disk = join(dataDir, 'postgres');
  const unmount = smallDisk(disk, diskBytes);
  if (!unmount) return skip('only root may mount a small disk');
  onTestFinished(unmount);
  const { child, channel, address, end } = await serve(dataDir);
  onTestFinished(() => end('SIGKILL').then(() => {}));
  const probe = new Health(address);
  onTestFinished(() => probe.close());
  const health = probe.watch();
  const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
  // An attempt that is charged would end its trial.
  await begun(channel, name, { trials, tokens: 3_000, limits: { maxAttempts: 1 } });
  const trialsOf = async () => (await experiments.call('listTrials', { experiment: name })).trials;
  await until('a trial goes on', async () => (await trialsOf()).some(({ step }) => step > 0));
  const before = await trialsOf();

  const free = fill(disk);
  await writeUntilFull(dataDir);
  while ((await health.next()).value !== 'NOT_SERVING');
  await expect(experiments.call('getExperiment', { name })).rejects.toThrow(/PostgreSQL/);
  // Long enough for starts that fail.
  await systemClock.sleep(15_000);
  expect(lives(child.pid!)).toBe(true);
  expect(await probe.check()).toBe('NOT_SERVING');

  free();
  while ((await health.next()).value !== 'SERVING');
  expect((await trialsOf()).length).toBeGreaterThanOrEqual(before.length);
  await until(
    'the end of the experiment',
    async () => (await experiments.call('getExperiment', { name })).endTime,
    1_000,
  );
  const { state, reason } = await experiments.call('getExperiment', { name });
  expect(state, reason).toBe(tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  const all = await trialsOf();
  expect(
    all.map((trial) => tuning.TrialState[trial.state]),
    JSON.stringify(all),
  ).toEqual(Array.from({ length: trials + 1 }, () => 'TRIAL_STATE_SUCCEEDED'));
  const { code, stderr } = await end('SIGTERM');
  const lines = stderr.trim().split('\n');
  expect([code, lines.filter((line) => /No space is left|disk is full/.test(line)).length > 0]).toEqual([
    0,
    true,
  ]);
  // Advice that would lose what is there.
  expect(stderr).not.toContain('move it away');
  expect(lines.length).toBeLessThan(120);
}, 1_800_000);
