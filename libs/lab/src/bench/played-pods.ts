/**
 * What a node does for the pods of trials, where nodes are fake: their trainers are played here, with the tokens of their
 * Secrets over gRPC; their logs are served; and how a trainer ends becomes how its pod has ended.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Lanes, systemClock, Unavailable } from '@emotune/base';
import { type ClusterPlace, Mirror } from '@emotune/jobs/kubernetes';
import type { V1Job, V1Pod, V1Secret } from '@kubernetes/client-node';
import { type Pace, SimulatedTrainers } from './simulated-trainers.js';

const trials = 'app.kubernetes.io/managed-by=emotune,app.kubernetes.io/instance=emotune';
const loopback = '127.0.0.1';
/** Ends of pods that the API server is told at a time: of all nodes together. */
const mostReports = 16;

interface Played {
  readonly pod: V1Pod;
  /** Of who reads its log as it comes. */
  readonly readers: Set<ServerResponse>;
  over: boolean;
}

/** What has become of the trial of a Job. */
export interface PlayedTrial {
  /** When its Job was seen first, in milliseconds as `performance.now`. */
  readonly createdAt: number;
  runningAt?: number;
  /** When its trainer had told its end. */
  endedAt?: number;
  /** Its Job was deleted. */
  goneAt?: number;
}

export class PlayedPods {
  /** By the names of their Jobs. */
  readonly trials = new Map<string, PlayedTrial>();
  /** Any Job of a trial, as it was created. */
  anyJob: V1Job | undefined;
  /** What went wrong, in words. */
  readonly failures: string[] = [];
  /** By the names of their pods. */
  private readonly played = new Map<string, Played>();
  private readonly tokens = new Map<string, string>();
  /** Pods by the names of the Secrets that they wait for. */
  private readonly waiting = new Map<string, V1Pod>();
  private trainers: SimulatedTrainers | undefined;
  private readonly reports = new Lanes(mostReports);
  private readonly over = new AbortController();

  private constructor(
    private readonly place: ClusterPlace,
    private readonly pace: Pace,
    private readonly kubelet: Server,
  ) {
    kubelet.on('request', ({ url = '' }, response) =>
      this.showLog(new URL(url, 'https://kubelet'), response),
    );
    this.mirror<V1Job>('/apis/batch/v1', 'jobs', {
      onObject: (job) => this.takeJob(job),
      onGone: ({ metadata }) => this.noteOf(metadata!.name!, { goneAt: performance.now() }),
    });
    this.mirror<V1Secret>('/api/v1', 'secrets', {
      onObject: (secret) => this.takeSecret(secret),
      onGone: ({ metadata }) => this.tokens.delete(metadata!.name!),
    });
    this.mirror<V1Pod>('/api/v1', 'pods', {
      onObject: (pod) => this.takePod(pod),
      onGone: (pod) => this.leave(pod),
    });
  }

  /** Plays the pods of all nodes, which it makes its own. @param authority See `Cluster` */
  static async open(place: ClusterPlace, authority: string, pace: Pace): Promise<PlayedPods> {
    const kubelet = await listening(authority);
    const { port } = kubelet.address() as AddressInfo;
    const { items } = await place.api.json<{ items: { metadata: { name: string } }[] }>(
      'GET',
      '/api/v1/nodes',
    );
    const body = {
      status: {
        addresses: [{ type: 'InternalIP', address: loopback }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    };
    for (const { metadata } of items)
      await place.api.json('PATCH', `/api/v1/nodes/${metadata.name}/status`, { body });
    return new PlayedPods(place, pace, kubelet);
  }

  private mirror<T extends V1Job | V1Pod | V1Secret>(
    group: string,
    kind: string,
    seen: { readonly onObject: (object: T) => void; readonly onGone: (object: T) => void },
  ): void {
    const { api, namespace } = this.place;
    void new Mirror<T>({
      ...{ api, clock: systemClock, path: `${group}/namespaces/${namespace}/${kind}`, selector: trials },
      ...seen,
      onListed: () => {},
      onFailure: (error) => this.failures.push(`watching ${kind}: ${error}`),
    }).run(this.over.signal);
  }

  private noteOf(job: string, what: Partial<PlayedTrial>): void {
    const known = this.trials.get(job);
    if (known) Object.assign(known, what);
  }

  private takeJob(job: V1Job): void {
    const { name } = job.metadata!;
    this.anyJob ??= job;
    if (!this.trials.has(name!)) this.trials.set(name!, { createdAt: performance.now() });
  }

  private takeSecret({ metadata, data }: V1Secret): void {
    const name = metadata!.name!;
    this.tokens.set(name, Buffer.from(data!['token'], 'base64').toString());
    const pod = this.waiting.get(name);
    this.waiting.delete(name);
    if (pod) this.takePod(pod);
  }

  private takePod(pod: V1Pod): void {
    const { name, deletionTimestamp } = pod.metadata!;
    if (deletionTimestamp) {
      this.leave(pod);
      return;
    }
    if (pod.status?.phase !== 'Running' || this.played.has(name!)) return;
    const { env = [] } = pod.spec!.containers[0];
    const secret = env.find((one) => one.valueFrom)!.valueFrom!.secretKeyRef!.name!;
    const token = this.tokens.get(secret);
    if (token === undefined) {
      this.waiting.set(secret, pod);
      return;
    }
    const job = jobOf(pod);
    this.played.set(name!, { pod, readers: new Set(), over: false });
    this.noteOf(job, { runningAt: performance.now() });
    const environment = Object.fromEntries(env.map((one) => [one.name, one.value ?? '']));
    delete environment['EMOTUNE_TOKEN'];
    this.trainers ??= new SimulatedTrainers(environment['EMOTUNE_TUNING'], this.pace, (ended, code) =>
      this.end(ended, code),
    );
    this.trainers.start({ name: job, environment, token });
  }

  /** Somebody has deleted the pod. */
  private leave(pod: V1Pod): void {
    const played = this.played.get(pod.metadata!.name!);
    if (played && !played.over) this.trainers?.stop(jobOf(pod));
    for (const [secret, waiting] of this.waiting)
      if (waiting.metadata!.uid === pod.metadata!.uid) this.waiting.delete(secret);
  }

  private end(job: string, exitCode: number): void {
    this.noteOf(job, { endedAt: performance.now() });
    for (const played of this.played.values()) {
      if (played.over || jobOf(played.pod) !== job) continue;
      played.over = true;
      for (const reader of played.readers) reader.end(logLine('ends'));
      this.reports
        .run(() => this.report(played.pod, exitCode))
        .catch((error) => {
          // It was deleted meanwhile.
          if (error.code !== 404 && !this.over.signal.aborted) this.failures.push(`ending ${job}: ${error}`);
        });
    }
  }

  private async report({ metadata, status }: V1Pod, exitCode: number): Promise<void> {
    const [{ state, ...container }] = status!.containerStatuses!;
    const { startedAt } = state!.running!;
    const terminated = {
      exitCode,
      reason: exitCode === 0 ? 'Completed' : 'Error',
      ...{ startedAt, finishedAt: new Date().toISOString() },
    };
    const ended = { ...container, ready: false, state: { terminated } };
    const body = { status: { phase: exitCode === 0 ? 'Succeeded' : 'Failed', containerStatuses: [ended] } };
    const path = `/api/v1/namespaces/${this.place.namespace}/pods/${metadata!.name}/status`;
    // As a kubelet, which says it until it is heard.
    for (let isTold = false; !isTold; )
      isTold = await this.place.api.json('PATCH', path, { body, signal: this.over.signal }).then(
        () => true,
        (error) => {
          if (error instanceof Unavailable) return false;
          throw error;
        },
      );
  }

  /** GET /containerLogs/NAMESPACE/POD/CONTAINER, as a kubelet answers it. */
  private showLog({ pathname, searchParams }: URL, response: ServerResponse): void {
    const played = this.played.get(pathname.split('/')[3] ?? '');
    if (!played) {
      response.writeHead(404).end();
      return;
    }
    response.write(logLine('begins'));
    if (played.over) response.end(logLine('ends'));
    else if (searchParams.get('follow') !== 'true') response.end();
    else {
      played.readers.add(response);
      response.on('close', () => played.readers.delete(response));
    }
  }

  async close(): Promise<void> {
    this.over.abort();
    this.trainers?.close();
    this.kubelet.closeAllConnections();
    this.kubelet.close();
    await once(this.kubelet, 'close');
  }
}

function jobOf({ metadata }: V1Pod): string {
  return metadata!.labels!['batch.kubernetes.io/job-name'];
}

function logLine(text: string): string {
  return `${new Date().toISOString()} a played trainer ${text}\n`;
}

/** By TLS, as the API server calls nodes. */
async function listening(authority: string): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), `emotune-kubelet-${process.pid}-`));
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const signed = ['-CA', join(authority, 'ca.crt'), '-CAkey', join(authority, 'ca.key')];
  const of = ['-subj', '/CN=kubelet', '-addext', `subjectAltName=IP:${loopback}`];
  try {
    const files = ['-keyout', key, '-out', cert];
    await promisify(execFile)('openssl', ['req', '-x509', ...made, ...signed, ...of, ...files]);
    const server = createServer({ key: await readFile(key), cert: await readFile(cert) });
    server.listen(0, loopback);
    await once(server, 'listening');
    return server;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
