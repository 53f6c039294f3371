import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, nodeImage, startCluster, tuningAccount, withoutCluster } from '@emotune/local';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { contractTrainer, trialRunnerContract } from '../testing.js';
import { KubernetesRunner } from './runner.js';

const without = withoutCluster('node');
if (without) process.stderr.write(`skipped: ${without}\n`);

const image = 'docker.io/library/contract-trainer:1';
let cluster: Cluster;
let config: KubeConfig;
let namespace: string;
let namespaces = 0;

describe.skipIf(without)('on a real node', () => {
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'emotune-image-'));
    cluster = await startCluster('node');
    await cluster.images(await nodeImage(folder, image, contractTrainer));
    await rm(folder, { recursive: true, force: true });
  });
  afterAll(() => cluster?.stop());
  beforeEach(async () => {
    namespace = `trials-${++namespaces}`;
    await cluster.kubectl('create', 'namespace', namespace);
    await cluster.kubectl('label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted');
    config = new KubeConfig();
    config.loadFromFile(await tuningAccount(cluster, namespace));
  });

  trialRunnerContract('KubernetesRunner', async () =>
    KubernetesRunner.open({
      config,
      namespace,
      image,
      onFailure: (what, error) => process.stderr.write(`${what}: ${error}\n`),
    }),
  );
});
