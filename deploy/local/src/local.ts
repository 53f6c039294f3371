import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, type ClusterOptions, startCluster, withoutCluster } from './cluster.js';
import { type Kafka, startKafka, withoutKafka } from './kafka.js';
import { type Postgres, startPostgres, withoutPostgres } from './postgres.js';
import { type S3, startS3, withoutS3 } from './s3.js';

/** A cluster of one real node, with what the chart needs beside it on this machine. */
export interface Local extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly postgres: Postgres;
  readonly kafka: Kafka;
  readonly s3: S3;
  /** Refuses pods with rights; holds the secrets that the values name. */
  readonly namespace: string;
  /** A file of values with which the chart is installed here. */
  readonly values: string;
  stop(): Promise<void>;
}

interface LocalOptions extends Pick<ClusterOptions, 'gpus'> {
  readonly namespace?: string;
  /** Archives of images that the node is to have. */
  readonly images?: readonly string[];
}

/** Why it cannot be started here. */
export function withoutLocal(): string | undefined {
  return withoutCluster('node') ?? withoutPostgres() ?? withoutKafka() ?? withoutS3();
}

const bucket = 'emotune';
const areas = ['data', 'featurization', 'tuning', 'evaluation', 'inference'];

export async function startLocal({
  namespace = 'emotune',
  gpus = 2,
  images = [],
}: LocalOptions = {}): Promise<Local> {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-local-'));
  const values = join(folder, 'values.json');
  // In the order in which they are to end.
  const ends: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const end of ends.splice(0)) await end();
  };
  const started = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const one = await starting;
    ends.unshift(() => one.stop());
    return one;
  };
  try {
    const cluster = await started(startCluster('node', { gpus }));
    const host = cluster.address;
    const [postgres, kafka, s3] = await Promise.all([
      started(startPostgres({ host })),
      started(startKafka({ host })),
      started(startS3({ host })),
    ]);
    await mkdir(join(s3.folder, bucket));
    if (images.length > 0) await cluster.images(...images);
    await cluster.apply(
      restrictedNamespace(namespace),
      secret(namespace, 'database', { url: postgres.url }),
      secret(namespace, 'objects', {
        'access-key-id': s3.accessKeyId,
        'secret-access-key': s3.secretAccessKey,
      }),
    );
    await writeFile(values, JSON.stringify(valuesFor(kafka, s3), undefined, 2));
    return { cluster, postgres, kafka, s3, namespace, values, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A namespace in which only pods run that ask for next to no rights. */
export function restrictedNamespace(name: string): object {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

function secret(namespace: string, name: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, stringData };
}

function valuesFor(kafka: Kafka, s3: S3): object {
  // What services reserve, on a machine that may have two CPUs.
  const small = { resources: { requests: { cpu: '50m', memory: '128Mi' } } };
  return {
    image: { pullPolicy: 'Never' },
    database: { existingSecret: 'database' },
    kafka: { brokers: [kafka.broker], replication: 1, partitions: 3 },
    objects: { url: `s3://${bucket}/artifacts`, endpoint: s3.endpoint, existingSecret: 'objects' },
    huggingFace: { offline: true },
    jobs: { image: { repository: 'emotune-trainer' } },
    common: { endpointSeconds: 1, drainSeconds: 5 },
    ...Object.fromEntries(
      areas.map((area) => [area, area === 'data' ? { ...small, download: false } : small]),
    ),
  };
}
