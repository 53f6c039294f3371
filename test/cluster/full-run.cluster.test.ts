/**
 * The whole of it on a real cluster: the images, installed by the chart into a namespace that refuses pods with rights, with
 * PostgreSQL, Kafka and S3 beside it; an experiment asked for from outside, whose trials are Jobs on a node with (seeming) GPUs;
 * its winner, served; then an upgrade, the way back, and nothing left.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Local, startLocal, withoutImages, withoutLocal } from '@emotune/local';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { emotune } from '../e2e/platform-process.js';
import { base } from '../e2e/tune.js';
import { readyImages } from './built-images.js';
import { chart, models, Release } from './release.js';

const experiment = 'full-run';

const reason = withoutImages() ?? withoutLocal();
if (reason) process.stderr.write(`skipped: the full run: ${reason}\n`);

/** What a user writes, by the command that takes it. */
const written = {
  dataset: { name: experiment, sources: [{ corpus: 'emotune-demo', limit: 120 }] },
  features: { name: experiment, dataset: experiment, baseModels: [base], limitTest: 8 },
  experiment: {
    ...{ name: experiment, features: experiment },
    baseModels: [{ architecture: 'llama', model: base, gpus: 1 }],
    searchAlgorithm: { name: 'random' },
    parameters: [{ name: 'learningRate', double: { min: 1e-3, max: 3e-3, log: true } }],
    limits: { maxTrials: 3 },
    training: { trialTokens: 1000, validationExamples: 8, threads: 1 },
  },
};

interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly creationTimestamp: string;
  };
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
  /** Of whoever calls the services from outside. */
  let env: Record<string, string>;

  beforeAll(async () => {
    local = await startLocal({ images: await readyImages(folder) });
    release = new Release(local, 'try');
  });
  afterAll(async () => {
    await local?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(({ onTestFailed }) => onTestFailed(() => release.tell()));

  const wait = ['--wait', '--timeout', '20m'];

  /** What the notes of the release export: the services' addresses, and the token that the chart has made. */
  async function exported(): Promise<Record<string, string>> {
    const notes = await release.helm('get', 'notes', release.name);
    const lines = notes.split('\n').filter((line) => /^ *export EMOTUNE_(?:TOKEN|SERVER)=\$\(/.test(line));
    const { kubeconfig, programs } = local.cluster;
    const shown = execFileSync('bash', ['-c', [...lines, 'env'].join('\n')], {
      env: { HOME: folder, KUBECONFIG: kubeconfig, PATH: `${programs}:${process.env['PATH']}` },
      encoding: 'utf8',
    });
    const variables = [...shown.matchAll(/^(EMOTUNE_(?:TOKEN|SERVER))=(.+)$/gm)];
    expect(variables).toHaveLength(2);
    return Object.fromEntries(variables.map(([, name, value]) => [name, value]));
  }

  /** A command, whose result it returns. */
  async function ask<T>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await emotune(['--json', ...args], { env });
    expect(code, stderr).toBe(0);
    const [last] = stdout.trimEnd().split('\n').slice(-1);
    return JSON.parse(last) as T;
  }

  function fileOf(kind: keyof typeof written): string {
    const file = join(folder, `${kind}.yaml`);
    writeFileSync(file, JSON.stringify(written[kind]));
    return file;
  }

  const servingModel = async () => (await ask<{ model: string }>('analyze', 'What a lovely surprise!')).model;

  it('is installed, and answers', async () => {
    await release.helm('install', release.name, chart, '-f', local.values, ...wait);
    await release.helm('test', release.name, '--timeout', '20m');
    env = await exported();
  });

  it('tunes by Jobs on the node, evaluates the winner and serves it', async () => {
    await ask('model', 'import', join(models, base), '--name', base);
    await ask('dataset', 'create', '-f', fileOf('dataset'));
    await ask('features', 'create', '-f', fileOf('features'));

    // What kubectl shows meanwhile.
    const seen = new Map<string, Pod>();
    const ended = new AbortController();
    const watching = (async () => {
      while (!ended.signal.aborted)
        for (const pod of await release.list<Pod>('pods', '-l', `emotune.io/experiment=${experiment}`))
          seen.set(pod.metadata.name, pod);
    })();
    const { experiment: last } = await ask<{ experiment: { state: string; modelVersion: string } }>(
      ...['experiment', 'submit', '-f', fileOf('experiment'), '--watch'],
    );
    ended.abort();
    await watching;
    expect(last.state).toBe('succeeded');

    const numbers = new Set(
      [...seen.values()].map(({ metadata }) => metadata.labels['emotune.io/trial-number']),
    );
    // And the winner, trained once more.
    expect([...numbers].sort()).toEqual(['0', '1', '2', '3']);
    for (const { spec } of seen.values()) {
      expect(spec.containers[0].image).toMatch(/(?:^|\/)emotune-trainer:/);
      expect(spec.containers[0].resources.limits).toMatchObject({ 'nvidia.com/gpu': '1' });
    }

    // Of a cluster, too, the command shows what trainers have written.
    for (const { metadata } of seen.values()) {
      const trial = metadata.labels['emotune.io/trial-number'];
      const { stdout } = await emotune(['experiment', 'logs', experiment, trial], { env });
      const [line = '', time, startSeconds] =
        /^(\S+) info first step .*\bstartSeconds=(\S+)/m.exec(stdout) ?? [];
      expect(line, stdout).not.toBe('');
      const created = Date.parse(metadata.creationTimestamp);
      process.stderr.write(
        `${metadata.name}: first step ${((Date.parse(time) - created) / 1000).toFixed(1)} s after the second in which its pod was made, ` +
          `${Number(startSeconds).toFixed(1)} of them its process's\n`,
      );
    }

    const evaluations = await ask<{ model: string }[]>('evaluation', 'list');
    expect(evaluations.map(({ model }) => model)).toContain(last.modelVersion);
    expect(await servingModel()).toBe(last.modelVersion);
    // Jobs go with what they were for.
    await expect
      .poll(() => release.list('jobs', '-l', 'emotune.io/experiment'), { timeout: 600_000, interval: 1000 })
      .toEqual([]);
  });

  it('is upgraded and rolled back, and answers as before', async () => {
    const model = await servingModel();
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
    expect(await servingModel()).toBe(model);
    await release.helm('rollback', release.name, '1', ...wait);
    expect(await drain()).toBe('5');
    expect(await servingModel()).toBe(model);
  });

  it('is uninstalled, and leaves what it was given, and the record of experiments that crds.keep keeps', async () => {
    await release.helm('uninstall', release.name, ...wait);
    await expect
      .poll(() => release.left(), { timeout: 600_000, interval: 1000 })
      .toEqual([`experiment.emotune.io/${experiment}`, 'secret/database', 'secret/objects']);
    // Nothing holds what is left.
    await local.cluster.kubectl('delete', 'namespace', local.namespace, '--timeout', '20m');
  });
});
