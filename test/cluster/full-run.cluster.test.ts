/**
 * The whole of it on a real cluster: the images, installed by the chart into a namespace that refuses pods with rights, with
 * PostgreSQL, Kafka and S3 beside it; an experiment asked for from outside, whose trials are Jobs on a node with (seeming) GPUs;
 * its winner, served; then an upgrade, the way back, and nothing left.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Local, startLocal, withoutImages, withoutLocal } from '@emotune/local';
import { type evaluation, type inference, tuning } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { base, begun } from '../e2e/tune.js';
import { readyImages } from './built-images.js';

const chart = fileURLToPath(new URL('../../helm/emotune', import.meta.url));
const models = fileURLToPath(new URL('../../models', import.meta.url));
const namespace = 'emotune';
const release = 'try';
const experiment = 'full-run';

const reason = withoutImages() ?? withoutLocal();
if (reason) process.stderr.write(`skipped: the full run: ${reason}\n`);

interface Pod {
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly {
      readonly image: string;
      readonly resources: { readonly limits?: Readonly<Record<string, string>> };
    }[];
  };
  readonly status: { readonly phase: string };
}

interface Listed<T> {
  readonly items: readonly T[];
}

describe.skipIf(reason)('on a real cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-full-run-'));
  let local: Local;
  let channel: Channel | undefined;

  beforeAll(async () => {
    local = await startLocal({ namespace, images: await readyImages(folder) });
  });
  afterAll(async () => {
    channel?.close();
    await local?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const kubectl = (...args: readonly string[]) => local.cluster.kubectl('-n', namespace, ...args);
  const helm = (...args: readonly string[]) => local.cluster.helm(...args, '-n', namespace);
  const list = async <T>(...args: readonly string[]): Promise<readonly T[]> =>
    (JSON.parse(await kubectl('get', ...args, '-o', 'json')) as Listed<T>).items;
  /** What whoever looks for the fault of a test wants to see. */
  const tell = async () => {
    const said = [await kubectl('get', 'pods,jobs,events', '-o', 'wide')];
    for (const pod of (await kubectl('get', 'pods', '-o', 'name')).trim().split('\n'))
      said.push(`${pod}:`, await kubectl('logs', pod, '--tail', '40').catch(String));
    process.stderr.write(`${said.join('\n')}\n`);
  };
  beforeEach(({ onTestFailed }) => onTestFailed(tell));

  const wait = ['--wait', '--timeout', '20m'];

  /** A client as users have one: it reaches the services from outside, and shows the token that the chart has made. */
  async function connect(): Promise<Channel> {
    const services = await list<{
      metadata: { labels: Record<string, string> };
      spec: { clusterIP: string; ports: { port: number }[] };
    }>('services', '-l', `app.kubernetes.io/instance=${release}`);
    const peers = Object.fromEntries(
      services.map(({ metadata, spec }) => [
        metadata.labels['app.kubernetes.io/component'],
        `${spec.clusterIP}:${spec.ports[0].port}`,
      ]),
    );
    const encoded = await kubectl(
      'get',
      'secret',
      `${release}-emotune-token`,
      '-o',
      'jsonpath={.data.token}',
    );
    return Channel.toPeers(peers, { token: Buffer.from(encoded, 'base64').toString() });
  }

  async function analyze(): Promise<inference.Analysis> {
    const analyses = channel!.client<inference.AnalysisServiceClient>('AnalysisService');
    return await analyses.call('analyze', { text: 'What a lovely surprise!' });
  }

  it('is installed, and answers', async () => {
    await helm('install', release, chart, '-f', local.values, ...wait);
    await helm('test', release, '--timeout', '20m');
    channel = await connect();
  });

  it('tunes by Jobs on the node, evaluates the winner and serves it', async () => {
    await importCheckpoint(channel!, { name: base, path: join(models, base) });
    await begun(channel!, experiment, { trials: 3, gpus: 1 });

    // What kubectl shows meanwhile.
    const seen = new Map<string, Pod>();
    const ended = new AbortController();
    const watching = (async () => {
      while (!ended.signal.aborted)
        for (const pod of await list<Pod>('pods', '-l', `emotune.io/experiment=${experiment}`))
          seen.set(pod.metadata.name, pod);
    })();
    let last: tuning.Experiment | undefined;
    const experiments = channel!.client<tuning.ExperimentServiceClient>('ExperimentService');
    for await (const update of experiments.stream('watchExperiment', { name: experiment }))
      last = update.experiment ?? last;
    ended.abort();
    await watching;
    expect(last?.state, last?.reason).toBe(tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED);

    const numbers = new Set(
      [...seen.values()].map(({ metadata }) => metadata.labels['emotune.io/trial-number']),
    );
    // And the winner, trained once more.
    expect([...numbers].sort()).toEqual(['0', '1', '2', '3']);
    for (const { spec } of seen.values()) {
      expect(spec.containers[0].image).toMatch(/(?:^|\/)emotune-trainer:/);
      expect(spec.containers[0].resources.limits).toMatchObject({ 'nvidia.com/gpu': '1' });
    }

    const evaluations = channel!.client<evaluation.EvaluationServiceClient>('EvaluationService');
    const { evaluations: made } = await evaluations.call('listEvaluations', {});
    expect(made.map(({ model }) => model)).toContain(last!.modelVersion);
    expect((await analyze()).model).toBe(last!.modelVersion);
    // Jobs go with what they were for.
    await expect.poll(() => list('jobs'), { timeout: 600_000, interval: 1000 }).toEqual([]);
  });

  it('is upgraded and rolled back, and answers as before', async () => {
    const { model } = await analyze();
    const drain = () =>
      kubectl(
        ...['get', 'deployment', `${release}-emotune-data`, '-o'],
        'jsonpath={.spec.template.spec.containers[0].env[?(@.name=="EMOTUNE_DRAIN_SECONDS")].value}',
      );
    await helm(
      'upgrade',
      release,
      chart,
      '-f',
      local.values,
      '--set',
      'common.drainSeconds=6,data.replicas=2',
      ...wait,
    );
    expect(await drain()).toBe('6');
    expect((await analyze()).model).toBe(model);
    await helm('rollback', release, '1', ...wait);
    expect(await drain()).toBe('5');
    expect((await analyze()).model).toBe(model);
  });

  it('is uninstalled, and leaves what it was given, and the record of experiments that crds.keep keeps', async () => {
    await helm('uninstall', release, ...wait);
    const kinds = await local.cluster.kubectl(
      'api-resources',
      '--namespaced',
      '--verbs=list,delete',
      '-o',
      'name',
    );
    const left = async () => {
      const names = await kubectl(
        'get',
        kinds.trim().split('\n').join(','),
        '-o',
        'name',
        '--ignore-not-found',
      );
      return names
        .trim()
        .split('\n')
        .filter((name) => !/^(?:event|configmap\/kube-root-ca|serviceaccount\/default)/.test(name))
        .sort();
    };
    await expect
      .poll(left, { timeout: 600_000, interval: 1000 })
      .toEqual([`experiment.emotune.io/${experiment}`, 'secret/database', 'secret/objects']);
  });
});
