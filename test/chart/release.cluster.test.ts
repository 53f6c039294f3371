/** The life of a release: installed, upgraded, rolled back, uninstalled; pods seem to run on fake nodes. */
import { type Cluster, startCluster, withoutCluster } from '@emotune/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chartFolder, services, valuesOf } from './rendered.js';

const reason = withoutCluster('kwok');
if (reason) process.stderr.write(`skipped: ${reason}\n`);

/** What a namespace has of itself. */
const ownOfNamespace =
  /^(configmap\/kube-root-ca\.crt|serviceaccount\/default|event\.events\.k8s\.io\/.*|event\/.*)$/;

const deployments = services.map((area) => `deployment.apps/try-emotune-${area}`).sort();

describe.skipIf(reason)('a release', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startCluster('kwok');
    await cluster.kubectl('create', 'namespace', 'place');
    await cluster.kubectl('label', 'namespace', 'place', 'pod-security.kubernetes.io/enforce=restricted');
  });
  afterAll(() => cluster?.stop());

  const get = async (...args: readonly string[]) =>
    (await cluster.kubectl('get', '-n', 'place', ...args)).trim();
  const helm = (command: string, ...args: readonly string[]) =>
    cluster.helm(command, 'try', ...args, '-n', 'place');

  /** Every object in the namespace, of all kinds that can be listed. */
  const objects = async (): Promise<string[]> => {
    const kinds = await cluster.kubectl('api-resources', '--namespaced', '--verbs=list', '-o', 'name');
    const found = await get(kinds.trim().split('\n').join(','), '-o', 'name', '--ignore-not-found');
    return found.split('\n').filter((name) => name !== '' && !ownOfNamespace.test(name));
  };
  const token = () => get('secret', 'try-emotune-token', '-o', 'jsonpath={.data.token}');
  const of = (area: string, path: string) =>
    get('deployment', `try-emotune-${area}`, '-o', `jsonpath={${path}}`);

  it('is installed whole, upgraded, rolled back, and leaves nothing', async () => {
    const before = await objects();
    await helm('install', chartFolder, '-f', valuesOf('minimal'), '--wait', '--timeout', '20m');
    expect((await get('deployments', '-o', 'name')).split('\n').sort()).toEqual(deployments);
    const [made, replicas] = [await token(), '.status.readyReplicas'];
    expect(Buffer.from(made, 'base64').toString()).toMatch(/^\w{48}$/);
    expect(await of('data', replicas)).toBe('1');

    const changed = [
      '--set',
      'data.replicas=2,image.tag=0.2.1,common.drainSeconds=60,jobs.quota.enabled=true',
    ];
    await helm('upgrade', chartFolder, '-f', valuesOf('minimal'), ...changed, '--wait', '--timeout', '20m');
    expect(await of('data', replicas)).toBe('2');
    expect(await of('tuning', '.spec.template.spec.containers[0].image')).toBe('emotune-tuning:0.2.1');
    expect(await get('poddisruptionbudget,resourcequota', '-o', 'name')).toBe(
      'poddisruptionbudget.policy/try-emotune-data\nresourcequota/try-emotune-jobs',
    );
    // Who has it need not be told another.
    expect(await token()).toBe(made);

    await helm('rollback', '1', '--wait', '--timeout', '20m');
    expect(await of('data', replicas)).toBe('1');
    expect(await of('tuning', '.spec.template.spec.containers[0].image')).toBe('emotune-tuning:0.2.0');
    expect(await get('poddisruptionbudget,resourcequota', '-o', 'name')).toBe('');
    expect(await token()).toBe(made);

    await helm('uninstall', '--wait', '--timeout', '20m');
    await expect.poll(objects, { timeout: 600_000, interval: 1000 }).toEqual(before);
  });

  it('an upgrade that is refused changes nothing', async () => {
    await helm('install', chartFolder, '-f', valuesOf('minimal'), '--wait', '--timeout', '20m');
    const before = await of('data', '.metadata.generation');
    await expect(
      helm('upgrade', chartFolder, '-f', valuesOf('minimal'), '--set', 'objects.url='),
    ).rejects.toThrow('objects.url: expected s3://bucket, got nothing');
    expect(await of('data', '.metadata.generation')).toBe(before);
    expect(JSON.parse(await cluster.helm('history', 'try', '-n', 'place', '-o', 'json'))).toHaveLength(1);
    await helm('uninstall', '--wait', '--timeout', '20m');
  });

  it('whose components are bundled keeps what they were given to keep, and no more', async () => {
    const definitions = () => cluster.kubectl('get', 'crd', '-o', 'name');
    // Those of the releases before.
    expect(await definitions()).toBe(
      'customresourcedefinition.apiextensions.k8s.io/experiments.emotune.io\n',
    );
    const forgetting = ['--set', 'experiments.crd.keep=false'];
    await helm('install', chartFolder, '-f', valuesOf('evaluation'), ...forgetting, '--timeout', '20m');
    await helm('uninstall', '--wait', '--timeout', '20m');
    const left = () => objects().then((names) => names.filter((name) => !name.startsWith('pod/')).sort());
    await expect
      .poll(left, { timeout: 600_000, interval: 1000 })
      .toEqual(
        ['kafka', 'postgresql', 's3'].map((name) => `persistentvolumeclaim/data-try-emotune-${name}-0`),
      );
  });
});
