/** What a cluster does to trials, each done to a real one. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AlreadyExists, InvalidArgument, systemClock } from '@emotune/base';
import { type Cluster, nodeImage, startCluster, tuningAccount, withoutCluster } from '@emotune/local';
import { KubeConfig, type V1Job } from '@kubernetes/client-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { hasEnded, type JobSpec, type JobStatus } from '../runner.js';
import { contractTrainer, statusWhen } from '../testing.js';
import { reasonOfEnd } from '../trainer-protocol.js';
import { Api, type ApiError } from './api.js';
import { selectorOf } from './manifest.js';
import { Mirror } from './mirror.js';
import { KubernetesRunner } from './runner.js';

const without = withoutCluster('node');
if (without) process.stderr.write(`skipped: ${without}\n`);

const image = 'docker.io/library/fault-trainer:1';
/** Also: EAT takes memory without end, COUNT writes a line every 20 ms. */
const trainer = `
if (process.env.EAT) for (const all = []; ; ) all.push(Buffer.alloc(1 << 24, 1));
if (process.env.COUNT) { let n = 0; setInterval(() => console.log('line ' + n++), 20); }
${contractTrainer}`;
const patience = { timeout: 200_000, interval: 50 };

let cluster: Cluster;
let config: KubeConfig;
let namespace: string;
let namespaces = 0;
let runner: KubernetesRunner;
let spec: JobSpec;
const failures: [what: string, error: unknown][] = [];

describe.skipIf(without)('on a real node', () => {
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'emotune-image-'));
    cluster = await startCluster('node');
    await cluster.images(await nodeImage(folder, image, trainer));
    await rm(folder, { recursive: true, force: true });
  });
  afterAll(() => cluster?.stop());
  beforeEach(async () => {
    namespace = `faults-${++namespaces}`;
    await cluster.kubectl('create', 'namespace', namespace);
    await cluster.kubectl('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted');
    config = new KubeConfig();
    config.loadFromFile(await tuningAccount(cluster, namespace));
    runner = KubernetesRunner.open({ config, namespace, image, onFailure: (...what) => failures.push(what) });
    spec = {
      name: 'exp-t0-a1',
      labels: { 'emotune.io/experiment': 'exp', 'emotune.io/trial': 'exp-t0' },
      annotations: {},
      environment: {},
      token: 'a secret',
      resources: { cpus: 0, memoryMib: 0, gpus: 0 },
      ranks: 1,
      nodeSelector: {},
    };
  });
  afterEach(async () => {
    await runner?.close();
    // Each has every right that it needs.
    expect(failures.splice(0).filter(([, error]) => (error as ApiError).code === 403)).toEqual([]);
  });

  const kubectl = (...args: string[]) => cluster.kubectl('--namespace', namespace, ...args);
  const when = (want: (status: JobStatus) => boolean) => statusWhen(runner, spec.name, want);
  const running = () => when(({ phase }) => phase === 'running');
  const reason = async () => reasonOfEnd(await when(hasEnded));

  it('tells who ran out of memory', async () => {
    await runner.start({
      ...spec,
      environment: { EAT: '1' },
      resources: { ...spec.resources, memoryMib: 128 },
    });
    expect(await reason()).toMatch(/^OutOfMemory: killed for its memory/);
  });

  it.each([42, 44, 76, 77, 1])('tells exit code %d', async (code) => {
    await runner.start({ ...spec, environment: { EXIT: String(code) } });
    expect(await when(hasEnded)).toMatchObject({ phase: 'failed', exitCode: code });
  });

  it('tells what no node can hold in the words of the scheduler, and starts it once one can', async () => {
    await runner.start({ ...spec, nodeSelector: { disk: 'fast' } });
    const { phase, waits } = await when((status) => status.waits !== undefined);
    expect([phase, waits]).toEqual([
      'queued',
      expect.stringMatching(/^Unschedulable: 0\/1 nodes are available: .*selector/),
    ]);
    await cluster.kubectl('label', 'node', 'node-1', 'disk=fast');
    expect(await running()).not.toHaveProperty('waits');
    await cluster.kubectl('label', 'node', 'node-1', 'disk-');
  });

  it('ends what waits for an image that does not exist, in the words of who was asked for it', async () => {
    await runner.start({ ...spec, image: '127.0.0.1:9/no/such:1' });
    const { waits } = await when((status) => status.waits !== undefined);
    expect(waits).toMatch(/^ImagePull: 127\.0\.0\.1:9\/no\/such:1: .*connection refused/);
    expect(await reason()).toMatch(
      /^ImagePull: the trainer's image could not be pulled: .*connection refused/,
    );
    await runner.remove(spec.name);
    await vi.waitFor(
      async () => expect(await kubectl('get', 'jobs,pods,secrets', '-o', 'name')).toBe(''),
      patience,
    );
  });

  it('goes on elsewhere with a trial whose machine is drained, and with its log', async () => {
    await runner.start({ ...spec, environment: { SAY: 'begins' } });
    const seen: string[] = [];
    const following = (async () => {
      for await (const { bytes, offset } of runner.log(spec.name, { follow: true })) {
        seen.push(Buffer.from(bytes).toString());
        expect(offset + bytes.length).toBe(seen.join('').length);
      }
    })();
    await vi.waitFor(() => expect(seen.join('')).toContain('ready'), patience);
    await cluster.kubectl(
      'drain',
      'node-1',
      '--ignore-daemonsets',
      '--delete-emptydir-data',
      '--force',
      '--pod-selector=emotune.io/trial',
    );
    const { waits } = await when(({ phase, waits }) => phase === 'queued' && waits !== undefined);
    expect(waits).toMatch(/^(Evicted|Unschedulable): /);
    await cluster.kubectl('uncordon', 'node-1');
    await running();
    await vi.waitFor(() => expect(seen.join('')).toBe('begins, with [secret]\nready\n'.repeat(2)), patience);
    await runner.stop(spec.name, 5);
    expect(await reason()).toMatch(/^Interrupted: /);
    await following;
  });

  it('tells that somebody has deleted a Job, once its trainer has ended', async () => {
    await runner.start(spec);
    await running();
    await kubectl('delete', 'job', spec.name, '--wait=false');
    expect(await reason()).toMatch(/^Interrupted: /);
    await runner.remove(spec.name);
    expect(await runner.list()).toEqual([]);
  });

  it('leaves alone a Job of that name that somebody else has made, and says so', async () => {
    await kubectl('create', 'job', spec.name, `--image=${image}`);
    const starting = runner.start(spec);
    await expect(starting).rejects.toThrow(AlreadyExists);
    await expect(starting).rejects.toThrow(
      `the Job exp-t0-a1 in the namespace ${namespace} was not created for this trial`,
    );
    expect(await runner.list()).toEqual([]);
    expect(await kubectl('get', 'secrets', '-o', 'name')).toBe('');
  });

  it('passes on why the API server refuses a Job', async () => {
    const starting = runner.start({ ...spec, nodeSelector: { 'no/label/of/nodes': 'x' } });
    await expect(starting).rejects.toThrow(InvalidArgument);
    await expect(starting).rejects.toThrow('spec.template.spec.nodeSelector');
  });

  it('says why a Job has no pods', async () => {
    await kubectl('create', 'quota', 'none', '--hard=pods=0');
    await runner.start(spec);
    const { waits } = await when((status) => status.waits !== undefined);
    expect(waits).toContain('exceeded quota: none');
    await kubectl('delete', 'quota', 'none');
  });

  it('counts every line once while the API server is killed and comes back, and acts again', async () => {
    await runner.start({ ...spec, environment: { COUNT: '1' } });
    await running();
    const lines: string[] = [];
    const enough = new AbortController();
    const following = (async () => {
      let rest = '';
      for await (const { bytes } of runner.log(spec.name, { follow: true, signal: enough.signal })) {
        const parts = (rest + Buffer.from(bytes).toString()).split('\n');
        rest = parts.pop()!;
        lines.push(...parts.filter((line) => line.startsWith('line ')));
      }
    })();
    for (let kills = 0; kills < 2; kills++) {
      const before = lines.length;
      await vi.waitFor(() => expect(lines.length).toBeGreaterThan(before + 50), patience);
      const again = await cluster.kill('apiserver');
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const starting = runner.start({ ...spec, name: `exp-t0-a${kills + 2}` });
      await again();
      await starting;
    }
    const before = lines.length;
    await vi.waitFor(() => expect(lines.length).toBeGreaterThan(before + 200), patience);
    enough.abort();
    await following;
    expect(lines).toEqual(lines.map((_, i) => `line ${i}`));
    await runner.stop(spec.name, 5);
    await runner.stop('exp-t0-a2', 5);
    await runner.stop('exp-t0-a3', 5);
    await vi.waitFor(async () => expect((await runner.list()).filter(hasEnded)).toHaveLength(3), patience);
  });

  it('lists again where the API server has forgotten what came since (410)', async () => {
    await runner.start(spec);
    const seen: string[] = [];
    let lists = 0;
    const over = new AbortController();
    const mirror = new Mirror<V1Job>({
      api: new Api(config, systemClock),
      clock: systemClock,
      path: `/apis/batch/v1/namespaces/${namespace}/jobs`,
      selector: selectorOf('emotune'),
      onObject: ({ metadata }) => seen.push(metadata!.name!),
      onGone: () => {},
      onListed: () => lists++,
      onFailure: (error) => expect.fail(String(error)),
    });
    Object.assign(mirror, { version: '1', listedAt: systemClock.now() });
    const run = mirror.run(over.signal);
    await vi.waitFor(() => expect([lists, seen]).toEqual([1, [spec.name]]), patience);
    over.abort();
    await run;
  });

  it('shows events, and the newest values as annotations of Job and pod', async () => {
    await runner.start(spec);
    await running();
    runner.announce(spec.name, { reason: 'TrialStarted', message: 'trial 0 has started' });
    runner.announce(spec.name, { reason: 'TrialStarted', message: 'trial 0 has started' });
    runner.annotate(spec.name, { 'emotune.io/step': '1', 'emotune.io/objective': '2.5' });
    runner.annotate(spec.name, { 'emotune.io/step': '2' });
    await vi.waitFor(async () => {
      for (const kind of ['job', 'pod']) {
        const found = await kubectl('get', kind, '-o', 'jsonpath={.items[0].metadata.annotations}');
        expect(JSON.parse(found)).toMatchObject({ 'emotune.io/step': '2', 'emotune.io/objective': '2.5' });
      }
      const events = await kubectl(
        'get',
        'events',
        '--field-selector=reason=TrialStarted',
        '-o',
        'jsonpath={.items[*].message}',
      );
      expect(events).toBe('trial 0 has started');
    }, patience);
  });
});
