/** Experiments by kubectl, on a real API server. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock } from '@emotune/base';
import { clusterPlace } from '@emotune/jobs/kubernetes';
import { type Cluster, startCluster, tuningAccount, withoutCluster } from '@emotune/local';
import { tuning } from '@emotune/proto';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, describe, expect, it } from 'vitest';
import type { TuningContext } from './context.js';
import type { ExperimentObject } from './experiment-object.js';
import { ExperimentObjects } from './experiment-objects.js';
import { patience, testPlatform } from './test-platform.js';
import { held } from './testing.js';

const reason = withoutCluster('control');
if (reason) process.stderr.write(`skipped: ${reason}\n`);

const definition = fileURLToPath(
  new URL('../../../helm/emotune/files/experiments.emotune.io.yaml', import.meta.url),
);
const { ExperimentState: State } = tuning;

/** What a user writes. */
const written = {
  features: 'demo',
  baseModels: [{ architecture: 'opt', model: 'base-opt' }],
  parameters: [{ name: 'learningRate', double: { min: 0.0001, max: 0.01, log: true } }],
  limits: { maxTrials: 3, parallelTrials: 1 },
  training: { trialTokens: 1000, loss: { labelSmoothing: 0.05 } },
  seed: 7,
};

describe.skipIf(reason)('experiments.emotune.io', async () => {
  if (reason) return;
  let cluster: Cluster;
  let keeper: NonNullable<TuningContext['keeper']>;
  afterAll(() => cluster?.stop());

  const platform = await testPlatform(async () => {
    cluster = await startCluster('control');
    await cluster.kubectl('apply', '--filename', definition);
    const config = new KubeConfig();
    config.loadFromFile(await tuningAccount(cluster, 'default'));
    const place = clusterPlace({ config, namespace: 'default' }, systemClock);
    keeper = (context, experiments) => new ExperimentObjects(context, experiments, place);
    return { keeper };
  });

  const apply = async (name: string, spec: object): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), 'emotune-object-'));
    const file = join(folder, 'object.json');
    const object = { apiVersion: 'emotune.io/v1alpha1', kind: 'Experiment', metadata: { name }, spec };
    await writeFile(file, JSON.stringify(object));
    return cluster.kubectl('apply', '--filename', file).finally(() => rm(folder, { recursive: true }));
  };
  const object = async (name: string): Promise<ExperimentObject> =>
    JSON.parse(await cluster.kubectl('get', 'experiment', name, '-o', 'json'));
  const condition = async (name: string, type: string) =>
    (await object(name)).status?.conditions?.find((each) => each.type === type);
  const stateOf = async (name: string) => (await object(name)).status?.state;
  const names = async () => (await cluster.kubectl('get', 'experiments', '-o', 'name')).trim().split('\n');

  it('one that is applied runs to its end, and reads well all the way', async () => {
    const wait = held();
    platform.runner.train = wait.train;
    await apply('applied', written);
    await expect.poll(() => stateOf('applied'), patience).toBe('Running');
    expect((await platform.get('applied')).spec).toMatchObject({
      features: 'demo',
      seed: 7,
      training: { trialTokens: 1000, settings: { 'loss.labelSmoothing': 0.05 } },
    });
    await expect
      .poll(async () => (await cluster.kubectl('get', 'experiment', 'applied')).split('\n'), patience)
      .toEqual([
        expect.stringMatching(/^NAME +STATE +TRIALS +RUNNING +BEST +OBJECTIVE +GPU-H +AGE$/),
        expect.stringMatching(/^applied +Running +0\/3 +1 +0\.00 +\d+s$/),
        '',
      ]);
    wait.release();
    await cluster.kubectl('wait', '--for=condition=Succeeded', 'experiment/applied', '--timeout=20m');
    const { status, metadata } = await object('applied');
    expect(status).toMatchObject({
      observedGeneration: metadata.generation,
      state: 'Succeeded',
      trials: '3/3',
      trialsRunning: 0,
      bestTrial: expect.any(Number),
      bestObjective: expect.stringMatching(/^\d/),
      model: expect.stringMatching(/^applied@/),
      startTime: expect.stringMatching(/Z$/),
      endTime: expect.stringMatching(/Z$/),
    });
    expect(status?.conditions).toEqual([
      expect.objectContaining({ type: 'Accepted', status: 'True', reason: 'Accepted' }),
      expect.objectContaining({ type: 'Running', status: 'False', reason: 'Ended' }),
      expect.objectContaining({ type: 'Succeeded', status: 'True', reason: 'Succeeded' }),
    ]);
    for (const each of status!.conditions!) {
      expect(each.observedGeneration).toBe(metadata.generation);
      expect(Date.parse(each.lastTransitionTime)).toBeGreaterThan(0);
    }
    // The API server takes what was applied as what is there.
    expect(await apply('applied', written)).toBe('experiment.emotune.io/applied unchanged\n');
  });

  it('one that was submitted over gRPC has its object, with a spec that the API server takes', async () => {
    const wait = held();
    platform.runner.train = wait.train;
    await platform.submit({ name: 'submitted' });
    await expect.poll(() => stateOf('submitted').catch(() => ''), patience).toBe('Running');
    expect((await object('submitted')).spec).toMatchObject({ features: 'demo' });
    wait.release();
    await expect.poll(() => stateOf('submitted'), patience).toBe('Succeeded');
    // One that has ended and whose object is deleted does not come back.
    await cluster.kubectl('delete', 'experiment', 'submitted', '--timeout=20m');
    expect((await platform.get('submitted')).state).toBe(State.EXPERIMENT_STATE_SUCCEEDED);
    await expect.poll(names, patience).not.toContain('experiment.emotune.io/submitted');
  });

  it('what the API server can see to be wrong is refused there, with the path of each field', async () => {
    const refusal = await apply('wrong', {
      ...written,
      baseModels: [],
      parameters: [
        { name: 'learningRate', double: { min: 1, max: 0.1 } },
        { name: 'loraRank', integer: { min: 0, max: 8, log: true } },
        { name: 'method' },
      ],
      limits: { maxTrials: -1, maxCost: 3 },
    }).then(
      () => '',
      ({ stderr }) => stderr,
    );
    for (const line of [
      'spec.baseModels: Invalid value: 0: spec.baseModels in body should have at least 1 items',
      'spec.limits.maxTrials: Invalid value: -1: spec.limits.maxTrials in body should be greater than or equal to 0',
      'spec.limits.maxCost: Invalid value: expected cost.pricePerGpuHour beside it',
      'spec.parameters[0].double.min: Invalid value: expected at most max',
      'spec.parameters[1].integer.min: Invalid value: expected a number above 0 on a log scale',
      'spec.parameters[2]: Invalid value: expected one of double, integer, categorical',
    ])
      expect(refusal).toContain(line);
    await expect(apply('wrong', { ...written, feature: 'demo' })).rejects.toThrow(
      'unknown field "spec.feature"',
    );
    await expect(apply('a.dot', written)).rejects.toThrow('metadata.name: expected at most 40');
    expect(await names()).not.toContain('experiment.emotune.io/wrong');
  });

  it('what only the service can know stands in a condition, and can be mended', async () => {
    const unknown = { ...written, baseModels: [{ model: 'nowhere' }], training: { labelSmoothing: 1 } };
    await apply('mended', unknown);
    await expect.poll(() => stateOf('mended'), patience).toBe('Refused');
    expect(await condition('mended', 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'InvalidSpec',
      message: expect.stringMatching(/^spec\.training.*labelSmoothing/m),
    });
    await expect(platform.get('mended')).rejects.toThrow('mended');
    await apply('mended', { ...written, training: {} });
    await expect.poll(() => stateOf('mended'), patience).toBe('Succeeded');
  });

  it('a name that another experiment has is told, and that one left alone when the object goes', async () => {
    const wait = held();
    platform.runner.train = wait.train;
    await platform.submit({ name: 'taken' });
    await expect.poll(names, patience).toContain('experiment.emotune.io/taken');
    wait.release();
    await platform.reached('taken', State.EXPERIMENT_STATE_SUCCEEDED);
    await cluster.kubectl('delete', 'experiment', 'taken', '--timeout=20m');
    await apply('taken', { ...written, seed: 99 });
    await expect.poll(() => stateOf('taken'), patience).toBe('Refused');
    expect(await condition('taken', 'Accepted')).toMatchObject({ status: 'False', reason: 'NameTaken' });
    await cluster.kubectl('delete', 'experiment', 'taken', '--timeout=20m');
    expect((await platform.get('taken')).state).toBe(State.EXPERIMENT_STATE_SUCCEEDED);
  });

  it('deleting one that goes on cancels it', async () => {
    const wait = held();
    platform.runner.train = wait.train;
    await apply('deleted', written);
    await expect.poll(() => stateOf('deleted'), patience).toBe('Running');
    await cluster.kubectl('delete', 'experiment', 'deleted', '--timeout=20m');
    await platform.reached('deleted', State.EXPERIMENT_STATE_CANCELLED);
    expect(await names()).not.toContain('experiment.emotune.io/deleted');
    wait.release();
  });

  it('nothing holds an object: one that goes while nobody keeps it comes back, and the experiment goes on', async () => {
    const wait = held();
    platform.runner.train = wait.train;
    await apply('missed', written);
    await expect.poll(() => stateOf('missed'), patience).toBe('Running');
    const { metadata } = await object('missed');
    expect(metadata).not.toHaveProperty('finalizers');
    await platform.kill();
    await cluster.kubectl('delete', 'experiment', 'missed', '--timeout=20m');
    await platform.start({ keeper });
    await expect.poll(() => stateOf('missed').catch(() => ''), patience).toBe('Running');
    expect((await object('missed')).metadata.uid).not.toBe(metadata.uid);
    wait.release();
    await expect.poll(() => stateOf('missed'), patience).toBe('Succeeded');
  });

  it('objects that hold a finalizer of earlier builds go once the step of docs/operations.md was taken', async () => {
    await cluster.kubectl('create', 'namespace', 'earlier');
    const finalizers = ['emotune.io/cancel'];
    const at = ({ name = '', namespace = 'default' }) => ({ name, namespace, finalizers });
    const [one, other] = [at({ name: 'held' }), at({ name: 'held', namespace: 'earlier' })];
    const kind = { apiVersion: 'emotune.io/v1alpha1', kind: 'Experiment' };
    await cluster.apply(...[one, other].map((metadata) => ({ ...kind, metadata, spec: written })));
    await platform.reached('held', State.EXPERIMENT_STATE_SUCCEEDED);
    const remove = ({ name, namespace }: typeof one, ...more: string[]) =>
      cluster.kubectl('delete', 'experiment', name, '-n', namespace, ...more);
    await remove(one, '--wait=false');
    expect((await object('held')).metadata).toHaveProperty('deletionTimestamp');

    const operations = await readFile(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
    const [, step] = /```\n(kubectl get experiments\.emotune\.io -A[^`]*)```/.exec(operations)!;
    await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', step], {
      env: { KUBECONFIG: cluster.kubeconfig, PATH: `${cluster.programs}:${process.env['PATH']}` },
    });
    expect(await names()).not.toContain('experiment.emotune.io/held');
    await remove(other, '--timeout=20m');
    expect(await cluster.kubectl('get', 'experiments', '-n', 'earlier', '-o', 'name')).toBe('');
  });

  it('of one that runs the limits alone can change, and only be raised', async () => {
    const wait = held();
    platform.runner.train = wait.train;
    await apply('changed', written);
    await expect.poll(() => stateOf('changed'), patience).toBe('Running');
    await expect(apply('changed', { ...written, seed: 8 })).rejects.toThrow(
      'spec.seed: Invalid value: expected it as it was',
    );
    await expect(apply('changed', { ...written, training: { trialTokens: 2000 } })).rejects.toThrow(
      'spec.training: Invalid value: expected it as it was',
    );
    await apply('changed', { ...written, limits: { maxTrials: 5, parallelTrials: 1 } });
    await expect.poll(async () => (await object('changed')).status?.trials, patience).toBe('0/5');
    await apply('changed', { ...written, limits: { maxTrials: 2, parallelTrials: 1 } });
    await expect
      .poll(async () => (await condition('changed', 'Accepted'))?.reason, patience)
      .toBe('ChangeRefused');
    expect(await condition('changed', 'Accepted')).toMatchObject({
      status: 'True',
      message: 'spec.limits.maxTrials: expected at least 5, the present limit, got 2',
    });
    expect((await object('changed')).status).toMatchObject({ trials: '0/5', state: 'Running' });
    wait.release();
    await expect.poll(() => stateOf('changed'), patience).toBe('Succeeded');
  });
});
