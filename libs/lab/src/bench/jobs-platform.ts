/**
 * The tuning service's own process over a real PostgreSQL and a real Kubernetes cluster whose nodes are fake: every Job, pod
 * and Secret is real, and their trainers are played (`played-pods.ts`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FailedPrecondition, systemClock, Unavailable } from '@emotune/base';
import { Database, startEmbeddedPostgres } from '@emotune/database';
import { eventTables, MemoryBus } from '@emotune/events';
import { type ClusterPlace, clusterPlace } from '@emotune/jobs/kubernetes';
import { type Cluster, startCluster, tuningAccount, tuningAccountName, withoutCluster } from '@emotune/local';
import { loadTokenizer } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { type Client, filesModule, Host, jsonLog } from '@emotune/service';
import { Channel, importCheckpoint } from '@emotune/service/client';
import { KubeConfig } from '@kubernetes/client-node';
import { benchExperiment, benchModel, readyFeatures } from './bench-experiment.js';
import { shippedModel } from './model-folder.js';
import { PlayedPods } from './played-pods.js';
import type { Pace } from './simulated-trainers.js';

export interface JobsPlatformOptions extends Pace {
  readonly signal: AbortSignal;
  /** The compiled program of the tuning service; default: where its package is. */
  readonly program?: string;
  /** Of Node.js for the service's process. */
  readonly nodeArguments?: readonly string[];
}

/** What the service's process uses, in bytes. */
export interface Memory {
  /** The most of it that was in memory at once. */
  readonly peakRss: number;
  readonly rss: number;
  /** Of JavaScript, garbage that is not collected yet among it. */
  readonly heap: number;
}

export interface JobsPlatform {
  readonly cluster: Cluster;
  readonly place: ClusterPlace;
  readonly pods: PlayedPods;
  readonly experiments: Client<tuning.ExperimentServiceClient>;
  /** A search that it can run. */
  readonly experiment: typeof benchExperiment;
  /** Of the service's schema. */
  readonly database: Database;
  /** Requests that the API server has taken from the service so far, each watch and each stream of a log one. */
  requests(): Promise<number>;
  memory(): Promise<Memory>;
  /** What the service's log has of warnings and errors, since it serves. */
  troubles(): readonly string[];
  close(): Promise<void>;
}

const namespace = 'trials';
const loopback = '127.0.0.1';
const startMs = 120_000;

/** By which the requests of the service are counted. */
const flowSchema = {
  ...{ apiVersion: 'flowcontrol.apiserver.k8s.io/v1', kind: 'FlowSchema' },
  metadata: { name: tuningAccountName },
  spec: {
    // As other accounts of services have it.
    priorityLevelConfiguration: { name: 'workload-low' },
    matchingPrecedence: 500,
    distinguisherMethod: { type: 'ByUser' },
    rules: [
      {
        subjects: [{ kind: 'ServiceAccount', serviceAccount: { name: tuningAccountName, namespace } }],
        resourceRules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'], namespaces: ['*'] }],
      },
    ],
  },
};

/** The sum of a counter over the series that have these labels. */
async function counted({ api }: ClusterPlace, name: string, ...having: readonly string[]): Promise<number> {
  let sum = 0;
  for await (const line of api.lines('/metrics', {}, AbortSignal.timeout(startMs)))
    if (line.startsWith(`${name}{`) && having.every((label) => line.includes(label)))
      sum += Number(line.slice(line.lastIndexOf(' ')));
  return sum;
}

function usualProgram(): string {
  return new URL('./main.js', import.meta.resolve('@emotune/tuning')).pathname;
}

/** Resolves to its address once the process serves; from then on `onLine` hears what it logs. @throws Unavailable when it ends instead */
function serving(child: ChildProcess, onLine: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let rest = '';
    let serves = false;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        if (serves) onLine(line);
        const { message, address } = JSON.parse(line);
        if (message !== 'serving') continue;
        serves = true;
        resolve(address);
      }
    });
    child.once('exit', (code) => reject(new Unavailable(`the tuning service has ended with code ${code}`)));
  });
}

function kibibytesOf(status: string, field: string): number {
  return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
}

/** @throws FailedPrecondition where no cluster can be started */
export async function openJobsPlatform(options: JobsPlatformOptions): Promise<JobsPlatform> {
  const without = withoutCluster('kwok');
  if (without) throw new FailedPrecondition(without);
  const { signal, program = usualProgram(), nodeArguments = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), `emotune-bench-jobs-${process.pid}-`));
  // In the order they were started; closed the other way round.
  const started: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const stop of started.splice(0).reverse()) await stop();
  };
  try {
    const cluster = await startCluster('kwok', { fakeNodes: 4 });
    started.push(() => cluster.stop());
    const postgres = await startEmbeddedPostgres({ dir: join(folder, 'postgres') });
    started.push(() => postgres.stop());
    await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }, flowSchema);
    const kubeconfig = await tuningAccount(cluster, namespace);
    const config = new KubeConfig();
    config.loadFromFile(cluster.kubeconfig);
    const place = clusterPlace({ config, namespace }, systemClock);
    const pods = await PlayedPods.open(place, cluster.authority, options);
    started.push(() => pods.close());

    const objects = join(folder, 'objects');
    const host = await Host.create({
      database: (schema) => Database.connect(postgres.url, schema),
      objects: await FolderStore.open(objects),
      bus: new MemoryBus(systemClock),
      clock: systemClock,
      log: jsonLog(() => {}),
      listen: `${loopback}:0`,
    });
    started.push(() => host.close());
    const { hash } = await loadTokenizer(shippedModel);
    await host.start([readyFeatures(hash), filesModule(await host.context('files', [eventTables]))]);

    const template = join(folder, 'template.yaml');
    await writeFile(template, "annotations: {test/run-for: 'forever'}\n");
    const told: string[] = [];
    const heap = join(folder, 'heap.json');
    const reports = [
      '--report-on-signal',
      '--report-signal=SIGUSR2',
      '--report-exclude-network',
      `--report-filename=${heap}`,
    ];
    const child = spawn(process.execPath, [...nodeArguments, ...reports, program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        HOME: folder,
        KUBECONFIG: kubeconfig,
        EMOTUNE_LISTEN: `${loopback}:0`,
        EMOTUNE_DATABASE_URL: postgres.url,
        EMOTUNE_BUS_URL: postgres.url,
        EMOTUNE_OBJECTS_URL: `file://${objects}`,
        EMOTUNE_PEERS: `featurization=${host.address},evaluation=${host.address}`,
        EMOTUNE_RUNNER: 'kubernetes',
        EMOTUNE_K8S_NAMESPACE: namespace,
        // Those that its account may hold.
        EMOTUNE_K8S_LEASES: tuningAccountName,
        EMOTUNE_K8S_TRAINER_IMAGE: 'emotune-trainer:played',
        EMOTUNE_K8S_JOB_TEMPLATE: template,
      },
    });
    const ended = once(child, 'exit');
    started.push(async () => {
      child.kill();
      await ended;
    });
    const address = await serving(child, (line) => {
      if (/"level":"(warn|error)"/.test(line)) told.push(line);
    });
    const channel = Channel.toPeers({ tuning: address, data: host.address });
    started.push(async () => channel.close());
    await importCheckpoint(channel, { name: benchModel, path: shippedModel });
    const database = await Database.connect(postgres.url, 'tuning');
    started.push(() => database.close());
    signal.throwIfAborted();
    return {
      ...{ cluster, place, pods, database, close, experiment: benchExperiment },
      experiments: channel.client<tuning.ExperimentServiceClient>('ExperimentService'),
      requests: async () =>
        (await counted(
          place,
          'apiserver_flowcontrol_dispatched_requests_total',
          `flow_schema="${tuningAccountName}"`,
        )) + (await counted(place, 'apiserver_request_total', 'subresource="log"')),
      memory: async () => {
        const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
        child.kill('SIGUSR2');
        return {
          peakRss: kibibytesOf(status, 'VmHWM'),
          rss: kibibytesOf(status, 'VmRSS'),
          heap: await heapIn(heap, signal),
        };
      },
      troubles: () => told,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** From the report that the process is writing. */
async function heapIn(file: string, signal: AbortSignal): Promise<number> {
  for (;;) {
    try {
      const { javascriptHeap } = JSON.parse(await readFile(file, 'utf8'));
      await rm(file);
      return javascriptHeap.usedMemory;
    } catch {
      await delay(100, undefined, { signal });
    }
  }
}
