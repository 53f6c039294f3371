/**
 * From the version before to this one, on a real cluster, while an experiment runs: the chart and the images of then, upgraded to those of
 * now. Nothing is lost, nothing runs twice, and what was there before answers as before.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, Unavailable } from '@emotune/base';
import { type Local, startLocal, withoutImages, withoutLocal } from '@emotune/local';
import { type data, type inference, tuning } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../e2e/platform-process.js';
import { base, begun } from '../e2e/tune.js';
import { previous, previousImages, previousSources, readyImages, withoutPrevious } from './built-images.js';
import { chart, models, Release } from './release.js';

const reason = withoutImages() ?? withoutLocal() ?? (await withoutPrevious());
if (reason) process.stderr.write(`skipped: the upgrade from the version before: ${reason}\n`);

const trials = 6;
const spec = { tokens: 2_000, threads: 0, limits: { maxAttempts: 20 } };
/** Seconds; what takes longer waits for ever. */
const patience = 900;
const deadlineMs = 10_000;

describe.skipIf(reason)(`a release of ${previous.version}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-upgrade-'));
  let local: Local;
  let release: Release;
  let channel: Channel;
  let chartBefore: string;
  /** Of the experiment that ended before the upgrade. */
  let before: tuning.Experiment;
  let told: unknown;

  beforeAll(async () => {
    const sources = await previousSources(join(folder, 'previous'));
    chartBefore = join(sources, 'helm/emotune');
    const images = await previousImages(sources, join(folder, 'images-before'));
    local = await startLocal({ images: [...images, ...(await readyImages(join(folder, 'images')))] });
    release = new Release(local, 'upgraded');
  });
  afterAll(async () => {
    channel?.close();
    await local?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(({ onTestFailed }) => onTestFailed(() => release.tell()));

  const wait = ['--wait', '--timeout', '20m'];

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
  async function endOf(name: string): Promise<tuning.Experiment> {
    await until(`the end of ${name}`, async () => Boolean((await look(name)).endTime), patience);
    const experiment = await look(name);
    const { EXPERIMENT_STATE_SUCCEEDED } = tuning.ExperimentState;
    expect(experiment.state, experiment.reason).toBe(EXPERIMENT_STATE_SUCCEEDED);
    return experiment;
  }
  const servingModel = async () => {
    const analyses = channel.client<inference.AnalysisServiceClient>('AnalysisService');
    return (
      await patiently(() => analyses.call('analyze', { text: 'What a lovely surprise!' }, { deadlineMs }))
    ).model;
  };
  /** What the services say of what was there before. */
  const ofBefore = async () => {
    const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
    const modelsOf = channel.client<tuning.ModelServiceClient>('ModelService');
    const { modelVersion, state, endTime } = await look('before');
    const model = await patiently(() => modelsOf.call('getModel', { name: modelVersion }, { deadlineMs }));
    return {
      experiment: { modelVersion, state, endTime },
      trials: (await trialsOf('before')).map(({ number, state, objective, parameters }) => ({
        number,
        state,
        objective,
        parameters,
      })),
      dataset: await patiently(() => datasets.call('getDataset', { name: 'before' }, { deadlineMs })),
      // Skills are what the version before had no word for: of its models they are unknown.
      model: JSON.parse(JSON.stringify(model, (key, value) => (key === 'skill' ? undefined : value))),
    };
  };
  const imageOf = (area: string) =>
    release.kubectl(
      'get',
      'deployment',
      `${release.name}-emotune-${area}`,
      '-o',
      'jsonpath={.spec.template.spec.containers[0].image}',
    );
  const migrations = 'app.kubernetes.io/component=migrations';

  it('is installed by its own chart, and tunes', async () => {
    await release.helm('install', release.name, chartBefore, '-f', local.values, ...wait);
    expect(await imageOf('tuning')).toMatch(`emotune-tuning:${previous.version}`);
    channel = await release.connect();
    await importCheckpoint(channel, { name: base, path: join(models, base) });
    await begun(channel, 'before', spec);
    before = await endOf('before');
    await until('it serves', async () => (await servingModel()) === before.modelVersion, patience);
    told = await ofBefore();
  });

  it('is upgraded while an experiment runs, which comes to its end whole', async () => {
    await begun(channel, 'across', { ...spec, trials, parallel: 2 });
    await until(
      'a trial is measured',
      async () => (await trialsOf('across')).some(({ step }) => step > 0),
      patience,
    );
    const running = (await look('across')).state;
    expect(running).toBe(tuning.ExperimentState.EXPERIMENT_STATE_RUNNING);
    const known = await trialsOf('across');
    await release.helm('upgrade', release.name, chart, '-f', local.values, ...wait);
    process.stderr.write(
      `when the upgrade had ended, ${(await look('across')).endTime ? 'it had' : 'the experiment had not'}\n`,
    );
    expect(await imageOf('tuning')).not.toMatch(`:${previous.version}`);

    await endOf('across');
    const all = await trialsOf('across');
    // And the winner, trained once more.
    expect(all.map(({ number }) => number)).toEqual(Array.from({ length: trials + 1 }, (_, i) => i));
    for (const trial of known) expect(all[trial.number].parameters).toEqual(trial.parameters);
    for (const { number, state, measurements } of all) {
      expect(state, `trial ${number}`).toBe(tuning.TrialState.TRIAL_STATE_SUCCEEDED);
      const steps = measurements.map(({ step }) => step);
      expect(steps, `trial ${number}`).toEqual([...new Set(steps)].sort((a, b) => a - b));
    }
  });

  it('has what it had, migrated by a Job, led by a pod that its Lease names', async () => {
    expect(await ofBefore()).toEqual(told);
    const { modelVersion } = await look('across');
    await until('it serves the newer one', async () => (await servingModel()) === modelVersion, patience);
    await release.kubectl('wait', 'job', '-l', migrations, '--for=condition=Complete', '--timeout=600s');
    const log = await release.kubectl('logs', '-l', migrations, '--all-containers', '--tail=-1');
    for (const area of ['data', 'featurization', 'tuning', 'evaluation', 'inference'])
      expect(log).toMatch(new RegExp(`"the schema is up to date".*"schema":"${area}"`));
    const pods = await release.kubectl(
      'get',
      'pods',
      '-l',
      'app.kubernetes.io/component=tuning',
      '-o',
      'jsonpath={.items[*].metadata.name}',
    );
    for (const work of ['controller', 'experiment-objects']) {
      const lease = `${release.name}-emotune-tuning-${work}`;
      const holder = await release.kubectl('get', 'lease', lease, '-o', 'jsonpath={.spec.holderIdentity}');
      expect(pods.split(' ')).toContain(holder);
    }
  });

  it('is upgraded again, rolled back, and answers; uninstalled, it leaves what it was given and the record of experiments', async () => {
    const model = await servingModel();
    await release.helm(
      'upgrade',
      release.name,
      chart,
      '-f',
      local.values,
      '--set',
      'data.replicas=2',
      ...wait,
    );
    await release.helm('rollback', release.name, '2', ...wait);
    expect(await servingModel()).toBe(model);
    expect(await ofBefore()).toEqual(told);
    await release.helm('uninstall', release.name, ...wait);
    await expect
      .poll(() => release.left(), { timeout: 600_000, interval: 1000 })
      .toEqual([
        'experiment.emotune.io/across',
        'experiment.emotune.io/before',
        'secret/database',
        'secret/objects',
      ]);
  });
});
