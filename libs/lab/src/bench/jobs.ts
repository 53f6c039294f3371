/**
 * Trials as Jobs of a real Kubernetes cluster with fake nodes: how soon so many run, and what each costs, beside the API
 * server's own rate of creating the same objects.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Lanes, systemClock } from '@emotune/base';
import { Mirror } from '@emotune/jobs/kubernetes';
import type { V1Job, V1Pod } from '@kubernetes/client-node';
import { benchName } from './bench-experiment.js';
import { type JobsPlatform, type JobsPlatformOptions, openJobsPlatform } from './jobs-platform.js';
import { quantile } from './timing.js';

export interface JobsWorkload extends JobsPlatformOptions {
  /** That run at the same time. */
  readonly trials: number;
  /** That are measured, once all run. */
  readonly seconds: number;
}

/** Seconds from the beginning of many launches until a share of them has come so far. */
interface Ramp {
  readonly createdP50: number;
  readonly createdP95: number;
  readonly runningP95: number;
  readonly allRunning: number;
}

export interface JobsFigures {
  readonly trials: number;
  readonly trialSeconds: number;
  readonly seconds: number;
  /** From the acceptance of an experiment with as many places. */
  readonly ramp: Ramp;
  /** The same Jobs and Secrets, created by nothing but requests, as many at a time as the service has. */
  readonly bare: Ramp;
  /** Trials that began while measured. */
  readonly launches: number;
  /** From the end of a trial until the next Job is there in its place; absent: none ended. */
  readonly launchP50Ms?: number;
  readonly launchP95Ms?: number;
  /** Of the service, for each trial until all run. */
  readonly callsToRun: number;
  /** Of the service, for each trial of the whole run, until all Jobs are gone. */
  readonly callsInAll: number;
  /** Of the service, a second, once all run. */
  readonly callsPerSecond: number;
  readonly peakRssMiB: number;
  readonly rssMiB: number;
  readonly heapMiB: number;
  /** Trials that were started, and those of them that ended once and left no Job. */
  readonly started: number;
  readonly accounted: number;
  /** Warnings and errors of the service, and what went wrong with playing. */
  readonly troubles: readonly string[];
}

/** Requests of one who launches, at a time. */
const atATime = 32;
const mebibyte = 2 ** 20;
const lookMs = 50;

async function until(happens: () => boolean | Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await happens())) await delay(lookMs, undefined, { signal });
}

function rampOf(began: number, created: readonly number[], running: readonly number[]): Ramp {
  const secondsTo = (times: readonly number[], share: number) => (quantile(times, share) - began) / 1000;
  return {
    createdP50: secondsTo(created, 0.5),
    createdP95: secondsTo(created, 0.95),
    runningP95: secondsTo(running, 0.95),
    allRunning: secondsTo(running, 1),
  };
}

/** The Job as it is asked for, of another name, which no service looks at. */
function bareJob({ metadata, spec }: V1Job, name: string): V1Job {
  const labels = { 'app.kubernetes.io/name': 'bare' };
  const { selector: _, template, ...rest } = spec!;
  return {
    ...{ apiVersion: 'batch/v1', kind: 'Job' },
    metadata: { name, labels, annotations: metadata!.annotations! },
    spec: { ...rest, template: { ...template, metadata: { ...template.metadata, labels } } },
  };
}

async function bareRamp({ place, pods }: JobsPlatform, trials: number, signal: AbortSignal): Promise<Ramp> {
  const { api, namespace } = place;
  const [jobs, secrets] = [
    `/apis/batch/v1/namespaces/${namespace}/jobs`,
    `/api/v1/namespaces/${namespace}/secrets`,
  ];
  const lanes = new Lanes(atATime);
  const created: number[] = [];
  const running = new Map<string, number>();
  const over = new AbortController();
  void new Mirror<V1Pod>({
    ...{
      api,
      clock: systemClock,
      path: `/api/v1/namespaces/${namespace}/pods`,
      selector: 'app.kubernetes.io/name=bare',
    },
    onObject: ({ metadata, status }) => {
      if (status?.phase === 'Running')
        running.set(metadata!.name!, running.get(metadata!.name!) ?? performance.now());
    },
    onGone: () => {},
    onListed: () => {},
    onFailure: () => {},
  }).run(over.signal);
  const began = performance.now();
  const create = async (name: string) => {
    const job = await api.json<V1Job>('POST', jobs, { body: bareJob(pods.anyJob!, name), signal });
    created.push(performance.now());
    const { uid } = job.metadata!;
    const owner = { apiVersion: 'batch/v1', kind: 'Job', name, uid };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name, ownerReferences: [owner] } };
    await api.json('POST', secrets, { body: { ...secret, stringData: { token: name } }, signal });
  };
  try {
    await Promise.all(Array.from({ length: trials }, (_, i) => lanes.run(() => create(`bare-${i}`))));
    await until(() => running.size >= trials, signal);
  } finally {
    over.abort();
  }
  return rampOf(began, created, [...running.values()]);
}

/** Milliseconds that places stayed free, in the order in which they came free. */
function launchesOf(ended: readonly number[], created: readonly number[]): number[] {
  const [free, taken] = [ended, created].map((times) => [...times].sort((a, b) => a - b));
  return taken.slice(0, free.length).map((at, i) => Math.max(0, at - free[i]));
}

/** In temporary folders. @throws FailedPrecondition where no cluster can be started here */
export async function benchJobs(workload: JobsWorkload): Promise<JobsFigures> {
  const { trials, seconds, signal, trialSeconds } = workload;
  let held = true;
  const platform = await openJobsPlatform({ ...workload, held: () => held });
  try {
    const { pods, experiments, requests, troubles } = platform;
    const all = () => [...pods.trials.values()];
    const before = await requests();
    const began = performance.now();
    await experiments.call('createExperiment', {
      spec: platform.experiment({ maxTrials: 10_000, parallelTrials: trials }),
    });
    await until(() => all().filter(({ runningAt }) => runningAt !== undefined).length >= trials, signal);
    const first = all();
    const ramp = rampOf(
      began,
      first.map(({ createdAt }) => createdAt),
      first.flatMap(({ runningAt }) => runningAt ?? []),
    );
    const toRun = (await requests()) - before;

    held = false;
    const from = performance.now();
    await delay(1000 * seconds, undefined, { signal });
    const to = performance.now();
    const steady = (await requests()) - before - toRun;
    const memory = await platform.memory();
    const within = (at: number | undefined): number[] =>
      at !== undefined && at >= from && at <= to ? [at] : [];
    const launches = launchesOf(
      all().flatMap(({ endedAt }) => within(endedAt)),
      all().flatMap(({ createdAt }) => within(createdAt)),
    );

    await experiments.call('cancelExperiment', { name: benchName });
    await until(() => all().every(({ goneAt }) => goneAt !== undefined), signal);
    const inAll = (await requests()) - before;
    const attempts = await platform.database.query<{ trial: number; outcome: string | null }>(
      'select trial, outcome from attempts where experiment = $1',
      [benchName],
    );
    const tries = new Map<number, number>();
    for (const { trial } of attempts) tries.set(trial, (tries.get(trial) ?? 0) + 1);
    const once = attempts.filter(({ trial, outcome }) => outcome !== null && tries.get(trial) === 1);
    const bare = await bareRamp(platform, trials, signal);
    return {
      ...{ trials, trialSeconds, seconds, ramp, bare },
      launches: launches.length,
      ...(launches.length === 0
        ? {}
        : { launchP50Ms: quantile(launches, 0.5), launchP95Ms: quantile(launches, 0.95) }),
      callsToRun: toRun / trials,
      callsInAll: inAll / tries.size,
      callsPerSecond: (1000 * steady) / (to - from),
      peakRssMiB: memory.peakRss / mebibyte,
      rssMiB: memory.rss / mebibyte,
      heapMiB: memory.heap / mebibyte,
      started: pods.trials.size,
      accounted: once.length,
      troubles: [...pods.failures, ...troubles()],
    };
  } finally {
    await platform.close();
  }
}
