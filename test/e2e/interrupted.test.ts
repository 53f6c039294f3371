/** Ctrl-C in each phase: the command ends in order with everything it started, and the next one goes on. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { common, type evaluation, tuning } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { tokenFile, tokenIn } from '@emotune/service/client';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { begin, childrenOf, emotune, lives, type Running, until } from './platform-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-interrupted-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Begins a command that is ended with the test, whatever happens in between. */
function started(dataDir: string, ...args: string[]): Running {
  const running = begin(['--data-dir', dataDir, ...args], { cwd: folder });
  onTestFinished(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  return running;
}

/** Presses Ctrl-C and sees that nothing goes on running. */
async function interrupt({ child, ended }: Running, dataDir: string): Promise<string> {
  const children = childrenOf(dataDir);
  expect(children.every(lives)).toBe(true);
  child.kill('SIGINT');
  await until('a stop', () => child.exitCode !== null || child.signalCode !== null);
  const { code, stderr } = await ended;
  expect([code, stderr]).toEqual([130, expect.stringMatching(/^emotune: stopped\n$/m)]);
  expect(children.filter(lives)).toEqual([]);
  expect(existsSync(join(dataDir, 'platform.json'))).toBe(false);
  return stderr;
}

/** Looks at an experiment again and again, which must change nothing about it. */
async function leavesAlone(dataDir: string, name: string): Promise<void> {
  const look = async (...args: string[]) => {
    const { code, stdout, stderr } = await emotune(['--json', '--data-dir', dataDir, 'experiment', ...args]);
    expect(code, stderr).toBe(0);
    return { document: JSON.parse(stdout), stderr };
  };
  // A trial is taken to have run until its lease ended, which may be now.
  const trials = async () =>
    (await look('trials', name)).document.map(({ gpuHours: _, ...trial }: Record<string, unknown>) => trial);
  const files = () => readdirSync(join(dataDir, 'jobs'));
  const [before, jobs] = [await trials(), files()];
  for (let again = 0; again < 2; again++)
    expect((await look('get', name)).stderr).toContain(`experiment ${name} goes on only while`);
  const { code, stdout } = await emotune([
    '--data-dir',
    dataDir,
    'experiment',
    'logs',
    name,
    '0',
    '--attempt',
    '1',
  ]);
  expect([code, stdout]).toEqual([0, expect.stringContaining(' info training experiment=')]);
  expect([await trials(), files()]).toEqual([before, jobs]);
}

it('the main job, while it starts, builds data, builds features and searches', async () => {
  const dataDir = join(folder, 'start');
  const start = () => started(dataDir, 'start', '--corpora', 'demo');
  const log: string[] = [];
  const phases: [string, (running: Running) => boolean][] = [
    ['the start', () => existsSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'))],
    ['data', ({ output }) => output.stderr.includes('\ndata:')],
    ['features', ({ output }) => output.stderr.includes('\nfeatures:')],
    ['search', () => childrenOf(dataDir).length > 1],
    ['the rest of the search', ({ output }) => output.stderr.includes('which was interrupted')],
  ];
  for (const [phase, reached] of phases) {
    const running = start();
    await until(phase, () => {
      if (running.child.exitCode !== null) throw new Error(running.output.stderr);
      return reached(running);
    });
    log.push(await interrupt(running, dataDir));
  }
  for (const stderr of log.slice(1)) expect(stderr).toContain('stopping; run it again to go on from here\n');
  expect(log[3]).toContain('going on with the data of an earlier run\n');
  expect(log[4]).toContain('going on with the features of an earlier run\n');
  expect(log[4]).toContain('going on with start-demo-small-1-1, which was interrupted\n');
}, 400_000);

it('an experiment, in its search, its final training and its evaluation', async () => {
  const dataDir = join(folder, 'experiment');
  const name = 'interrupted';
  const baseModels = [{ architecture: 'llama', model: 'emotune-llama-4m' }];
  const specs = {
    dataset: { name, sources: [{ corpus: 'emotune-demo', limit: 600 }] },
    features: { name, dataset: name, baseModels: ['emotune-llama-4m'], limitTest: 60 },
    experiment: {
      name,
      features: name,
      baseModels,
      searchAlgorithm: { name: 'random' },
      model: 'interrupted',
      parameters: [{ name: 'learningRate', double: { min: 0.001, max: 0.003, log: true } }],
      limits: { maxTrials: 1 },
      training: { trialTokens: 3000, validationExamples: 8, checkpointSeconds: 1 },
    },
  };
  for (const [noun, spec] of Object.entries(specs))
    writeFileSync(join(folder, `${noun}.yaml`), JSON.stringify(spec));
  for (const noun of ['dataset', 'features']) {
    const { code, stderr } = await emotune(['--data-dir', dataDir, noun, 'create', '-f', `${noun}.yaml`], {
      cwd: folder,
    });
    expect([code, stderr]).toEqual([0, expect.any(String)]);
  }

  const { TRIAL_KIND_FINAL, TRIAL_KIND_SEARCH } = tuning.TrialKind;
  const trialRuns = (kind: tuning.TrialKind) => async (channel: Channel) => {
    const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
    const { trials } = await experiments.call('listTrials', { experiment: name });
    return trials.some(
      (t) => t.kind === kind && t.state === tuning.TrialState.TRIAL_STATE_RUNNING && t.step > 0,
    );
  };
  const evaluates = async (channel: Channel) => {
    const service = channel.client<evaluation.EvaluationServiceClient>('EvaluationService');
    const { evaluations } = await service.call('listEvaluations', {});
    return evaluations.some(({ state }) => state === common.BuildState.BUILD_STATE_BUILDING);
  };
  const watch = ['experiment', 'watch', name];
  const phases: [string, string[], (channel: Channel) => Promise<boolean>][] = [
    ['search', ['experiment', 'submit', '-f', 'experiment.yaml', '--watch'], trialRuns(TRIAL_KIND_SEARCH)],
    ['final training', watch, trialRuns(TRIAL_KIND_FINAL)],
    ['evaluation', watch, evaluates],
  ];
  for (const [phase, command, reached] of phases) {
    const running = started(dataDir, ...command);
    await until('the experiment', () => {
      if (running.child.exitCode !== null) throw new Error(running.output.stderr);
      return running.output.stdout !== '';
    });
    const record = readFileSync(join(dataDir, 'platform.json'), 'utf8');
    const channel = Channel.connect(JSON.parse(record).address, {
      token: await tokenIn(join(dataDir, tokenFile)),
    });
    try {
      await until(phase, () => reached(channel));
    } finally {
      channel.close();
    }
    await interrupt(running, dataDir);
    if (phase === 'search') await leavesAlone(dataDir, name);
  }

  const { code, stderr } = await started(dataDir, ...watch).ended;
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  const trials = JSON.parse(
    (await emotune(['--json', '--data-dir', dataDir, 'experiment', 'trials', name])).stdout,
  ) as { number: number; state: string }[];
  expect(trials.map(({ number, state }) => [number, state])).toEqual([0, 1].map((n) => [n, 'succeeded']));
}, 800_000);
