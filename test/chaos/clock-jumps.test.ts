/** The machine's clock is set forward and back by hours under a platform that tunes: nothing that it decides by time notices. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tuning } from '@emotune/proto';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { serve, until } from '../e2e/platform-process.js';
import { begun } from '../e2e/tune.js';

const name = 'clock';
const folder = mkdtempSync(join(tmpdir(), 'emotune-clock-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a process sees whose machine's clock is set: two hours ahead at first, then two hours behind, and so on. */
const jumps = `data:text/javascript,${encodeURIComponent(`
  let off = 0;
  const now = Date.now;
  const jumping = class extends Date {
    constructor(...args) {
      if (args.length === 0) super(now() + off);
      else super(...args);
    }
    static now() {
      return now() + off;
    }
  };
  globalThis.Date = jumping;
  process.on('SIGUSR2', () => {
    off = off > 0 ? -7_200_000 : 7_200_000;
  });
`)}`;

it('leases, GPU-hours and limits of time hold', async () => {
  const { channel, end, child } = await serve(join(folder, 'data'), {
    env: { NODE_OPTIONS: `--import=${jumps}` },
  });
  onTestFinished(() => end('SIGKILL').then(() => {}));
  await begun(channel, name, { trials: 2, tokens: 2_000, limits: { maxDurationSeconds: 3_600 } });
  const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
  const look = () => experiments.call('getExperiment', { name });
  const trials = async () => (await experiments.call('listTrials', { experiment: name })).trials;
  for (let jump = 0; jump < 4; jump++) {
    const steps = async () => (await trials()).reduce((sum, { step }) => sum + step, 0);
    const before = await steps();
    await until('a trial goes on', async () => (await steps()) > before);
    child.kill('SIGUSR2');
  }
  const { EXPERIMENT_STATE_SUCCEEDED, EXPERIMENT_STATE_FAILED } = tuning.ExperimentState;
  const ended = [EXPERIMENT_STATE_SUCCEEDED, EXPERIMENT_STATE_FAILED];
  await until('the end', async () => ended.includes((await look()).state), 600);
  const { state, reason, gpuHours } = await look();
  expect([state, reason]).toEqual([EXPERIMENT_STATE_SUCCEEDED, expect.any(String)]);
  expect(gpuHours).toBeGreaterThan(0);
  expect(gpuHours).toBeLessThan(1);
  for (const trial of await trials()) {
    expect(trial.attempt).toBe(1);
    expect(trial.gpuHours).toBeGreaterThan(0);
    expect(trial.gpuHours).toBeLessThan(1);
  }
}, 1_200_000);
