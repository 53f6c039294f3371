/**
 * The whole of it on a real cluster: the images, installed by the chart into a namespace that refuses pods with rights, with
 * PostgreSQL, Kafka and S3 beside it; an experiment asked for from outside, whose trials are Jobs on a node with (seeming) GPUs;
 * its winner, served; then an upgrade, the way back, and nothing left.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Local, startLocal, withoutImages, withoutLocal } from '@emotune/local';
import { type evaluation, type inference, tuning } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { base, begun } from '../e2e/tune.js';
import { readyImages } from './built-images.js';
import { chart, models, Release } from './release.js';

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

describe.skipIf(reason)('on a real cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-full-run-'));
  let local: Local;
  let release: Release;
  let channel: Channel | undefined;

  beforeAll(async () => {
    local = await startLocal({ images: await readyImages(folder) });
    release = new Release(local, 'try');
  });
  afterAll(async () => {
    channel?.close();
    await local?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(({ onTestFailed }) => onTestFailed(() => release.tell()));

  const wait = ['--wait', '--timeout', '20m'];

  async function analyze(): Promise<inference.Analysis> {
    const analyses = channel!.client<inference.AnalysisServiceClient>('AnalysisService');
    return await analyses.call('analyze', { text: 'What a lovely surprise!' });
  }

  it('is installed, and answers', async () => {
    await release.helm('install', release.name, chart, '-f', local.values, ...wait);
    await release.helm('test', release.name, '--timeout', '20m');
    channel = await release.connect();
  });

  it('tunes by Jobs on the node, evaluates the winner and serves it', async () => {
    await importCheckpoint(channel!, { name: base, path: join(models, base) });
    await begun(channel!, experiment, { trials: 3, gpus: 1 });

    // What kubectl shows meanwhile.
    const seen = new Map<string, Pod>();
    const ended = new AbortController();
    const watching = (async () => {
      while (!ended.signal.aborted)
        for (const pod of await release.list<Pod>('pods', '-l', `emotune.io/experiment=${experiment}`))
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
    await expect.poll(() => release.list('jobs'), { timeout: 600_000, interval: 1000 }).toEqual([]);
  });

  it('is upgraded and rolled back, and answers as before', async () => {
    const { model } = await analyze();
    const drain = () =>
      release.kubectl(
        ...['get', 'deployment', `${release.name}-emotune-data`, '-o'],
        'jsonpath={.spec.template.spec.containers[0].env[?(@.name=="EMOTUNE_DRAIN_SECONDS")].value}',
      );
    await release.helm(
      'upgrade',
      release.name,
      chart,
      '-f',
      local.values,
      '--set',
      'common.drainSeconds=6,data.replicas=2',
      ...wait,
    );
    expect(await drain()).toBe('6');
    expect((await analyze()).model).toBe(model);
    await release.helm('rollback', release.name, '1', ...wait);
    expect(await drain()).toBe('5');
    expect((await analyze()).model).toBe(model);
  });

  it('is uninstalled, and leaves what it was given, and the record of experiments that crds.keep keeps', async () => {
    await release.helm('uninstall', release.name, ...wait);
    const kinds = await local.cluster.kubectl(
      'api-resources',
      '--namespaced',
      '--verbs=list,delete',
      '-o',
      'name',
    );
    const left = async () => {
      const names = await release.kubectl(
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
