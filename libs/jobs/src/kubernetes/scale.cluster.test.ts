/** A thousand trials at once on fake nodes: each accounted for, each created and removed once. */
import { readFileSync } from 'node:fs';
import { type Cluster, startCluster, withoutCluster } from '@emotune/local';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hasEnded } from '../runner.js';
import { KubernetesRunner } from './runner.js';

const without = withoutCluster('kwok');
if (without) process.stderr.write(`skipped: ${without}\n`);

const count = Number(process.env['EMOTUNE_TEST_JOBS'] ?? 200);
const patience = { timeout: 900_000, interval: 100 };
let cluster: Cluster;

describe.skipIf(without)('on fake nodes', () => {
  beforeAll(async () => {
    cluster = await startCluster('kwok');
  });
  afterAll(() => cluster?.stop());

  it(`runs ${count} Jobs at once and forgets them`, async () => {
    const config = new KubeConfig();
    config.loadFromFile(cluster.kubeconfig);
    const failures: string[] = [];
    const runner = KubernetesRunner.open({
      config,
      namespace: 'default',
      image: 'docker.io/library/trainer:1',
      onFailure: (what, error) => failures.push(`${what}: ${error}`),
    });
    const names = Array.from({ length: count }, (_, i) => `many-t${i}-a1`);
    const runningAt = new Map<string, number>();
    const createdAt = new Map<string, number>();
    runner.onChange(({ name, phase }) => {
      if (phase === 'running' && !runningAt.has(name)) runningAt.set(name, performance.now());
    });
    const began = performance.now();
    const queue = [...names];
    const worker = async () => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
        await runner.start({
          name,
          labels: { 'emotune.io/experiment': 'many', 'emotune.io/trial': name },
          annotations: { 'test/run-for': 'forever' },
          environment: {},
          token: 'a secret',
          resources: { cpus: 0, memoryMib: 0, gpus: 0 },
          ranks: 1,
          nodeSelector: {},
        });
        createdAt.set(name, performance.now());
      }
    };
    await Promise.all(Array.from({ length: 32 }, worker));
    const created = performance.now();
    const phases = async () => (await runner.list()).map(({ phase }) => phase);
    await vi.waitFor(
      async () => expect((await phases()).filter((p) => p === 'running')).toHaveLength(count),
      patience,
    );
    const running = performance.now();
    const calls = runner.calls;
    for (const name of names) await runner.stop(name, 1);
    await vi.waitFor(
      async () => expect((await runner.list()).filter(hasEnded)).toHaveLength(count),
      patience,
    );
    for (const name of names) await runner.remove(name);
    expect(await runner.list()).toEqual([]);
    await vi.waitFor(async () => {
      expect(await cluster.kubectl('get', 'jobs,secrets', '-o', 'name')).toBe('');
    }, patience);
    const waits = names.map((name) => runningAt.get(name)! - createdAt.get(name)!).sort((a, b) => a - b);
    const [memory] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))!.slice(1);
    process.stderr.write(
      `${count} Jobs: created ${(count / ((created - began) / 1000)).toFixed(0)}/s, all running after ${((running - began) / 1000).toFixed(1)} s, ` +
        `p95 from created to running ${(waits[Math.floor(count * 0.95)] / 1000).toFixed(1)} s, ` +
        `${(calls / count).toFixed(2)} calls each to run, ${(runner.calls / count).toFixed(2)} in all, peak ${(Number(memory) / 1024).toFixed(0)} MiB with vitest\n`,
    );
    expect(failures).toEqual([]);
    await runner.close();
  });
});
