/**
 * Trainers as Jobs of a cluster. Jobs and pods are mirrored, so that looking costs the API server nothing; each change is one
 * request that may come twice. What is asked of a Job that cannot be done now is done when it can.
 */

import { randomBytes } from 'node:crypto';
import {
  AlreadyExists,
  type Clock,
  every,
  FailedPrecondition,
  InvalidArgument,
  Lanes,
  NotFound,
  PermissionDenied,
  ResourceExhausted,
  show,
  systemClock,
  Unavailable,
} from '@emotune/base';
import type { CoreV1Event, V1Job, V1Pod, V1Secret } from '@kubernetes/client-node';
import type { LogPiece } from '../log.js';
import {
  hasEnded,
  type JobEvent,
  type JobSpec,
  type JobStatus,
  jobNameViolation,
  type LogOptions,
  type TrialRunner,
} from '../runner.js';
import { type Api, ApiError } from './api.js';
import { jobLog } from './job-log.js';
import {
  eventManifest,
  type JobPlace,
  jobManifest,
  logOffsetAnnotation,
  manager,
  ownLabels,
  secretManifest,
  secretNameOf,
  selectorOf,
  stoppedAnnotation,
} from './manifest.js';
import { Mirror } from './mirror.js';
import { type ClusterOptions, clusterPlace } from './place.js';
import { endOf, isFinished, type PodEnd, progressOf, troubleOf } from './status.js';
import { emptyTemplate, type JobTemplate } from './template.js';

export interface KubernetesRunnerOptions extends ClusterOptions {
  /** The trainer's image. */
  readonly image: string;
  /** What every Job gets. Jobs of others than the instance of its labels (default emotune) are left alone. */
  readonly template?: JobTemplate;
  /** Between SIGTERM and SIGKILL when the runner closes; default 15. */
  readonly graceSeconds?: number;
  readonly clock?: Clock;
  /** Hears of what fails and is tried again. */
  readonly onFailure?: (what: string, error: unknown) => void;
}

/** How often is looked for what time alone has changed, and for what is left to do. */
const tickMs = 1_000;
/** Between two changes of a Job's annotations, at least. */
const annotateMs = 10_000;
/** Jobs that are annotated a second, once there are many. */
const annotatedPerSecond = 10;
/** Requests for the sake of those who look, at a time. */
const mostNotes = 4;
/** A Job without a pod for so long is asked about, each time. */
const podlessMs = 10_000;
/** Until the first list has come. */
const listedMs = 30_000;

interface Job {
  readonly name: string;
  job: V1Job;
  gone: boolean;
  /** By UID. */
  readonly pods: Map<string, V1Pod>;
  /** How pods ended, also those that are gone. */
  readonly ends: Map<string, PodEnd>;
  /** By UID, since when it is in trouble. */
  readonly troubledSince: Map<string, number>;
  token?: string | undefined;
  /** What listeners have heard last. */
  told?: string;
  /** It was asked to end and is not marked so yet, or pods of it are left. */
  stop?: { readonly graceSeconds: number; marked: boolean };
  /** Its end is known for good. */
  ended?: JobStatus;
  /** Its pods were asked for, since it has ended and none of theirs is known. */
  asked: boolean;
  /** When its controller was last asked why it has no pod. */
  askedWhyAt: number;
  /** Why it has none. */
  refusal?: string;
  annotations: Record<string, string>;
  annotatedAt: number;
}

function newJob(job: V1Job, now: number): Job {
  return {
    name: job.metadata!.name!,
    job,
    gone: false,
    pods: new Map(),
    ends: new Map(),
    troubledSince: new Map(),
    asked: false,
    askedWhyAt: now,
    annotations: {},
    annotatedAt: 0,
  };
}

/** "emotune.io/trial" and its like: those that were asked for. */
function askedLabels(job: V1Job): Record<string, string> {
  const entries = Object.entries(job.metadata!.labels ?? {});
  return Object.fromEntries(entries.filter(([name]) => name.startsWith('emotune.io/')));
}

function isPodless({ phase, waits }: JobStatus, { pods }: Job): boolean {
  return phase === 'queued' && waits === undefined && pods.size === 0;
}

function age(pod: V1Pod): number {
  return new Date(pod.metadata!.creationTimestamp!).getTime();
}

/** The API server's refusal in our words. */
function refused(error: unknown, name: string): Error {
  if (!(error instanceof ApiError)) return error as Error;
  const { code, message } = error;
  const text = `the cluster refuses the Job ${name}: ${message}`;
  if (code === 422 || code === 400) return InvalidArgument.at('', text, { cause: error });
  if (code === 403 && /exceeded quota/.test(message)) return new ResourceExhausted(text, { cause: error });
  if (code === 403 || code === 401) return new PermissionDenied(text, { cause: error });
  return new Unavailable(text, { cause: error });
}

export class KubernetesRunner implements TrialRunner {
  /** By name; one that was removed is not among them. */
  private readonly jobs = new Map<string, Job>();
  /** Pods that were seen before their Jobs, by UID. */
  private readonly early = new Map<string, V1Pod>();
  /** UIDs of Jobs that were removed, until they are gone. */
  private readonly removed = new Set<string>();
  private readonly starting = new Set<Promise<void>>();
  private readonly listeners = new Set<(status: JobStatus) => void>();
  /** Who waits for a change of a Job, by its name. */
  private readonly waiting = new Map<string, Set<() => void>>();
  private readonly notes = new Lanes(mostNotes);
  private readonly over = new AbortController();
  private readonly listed: Promise<void>;
  private readonly stopTicking: () => Promise<void>;
  private closed = false;

  private constructor(
    private readonly api: Api,
    private readonly place: JobPlace,
    private readonly clock: Clock,
    private readonly graceSeconds: number,
    private readonly onFailure: (what: string, error: unknown) => void,
  ) {
    let [jobsListed, podsListed] = [() => {}, () => {}];
    const jobs = new Promise<void>((resolve) => {
      jobsListed = resolve;
    });
    const pods = new Promise<void>((resolve) => {
      podsListed = resolve;
    });
    this.listed = Promise.all([jobs, pods]).then(() => {});
    const common = { api, clock, selector: selectorOf(place.instance) };
    const failed = (what: string) => (error: unknown) => onFailure(what, error);
    void new Mirror<V1Job>({
      ...common,
      path: this.path('jobs'),
      onObject: (job) => this.takeJob(job),
      onGone: (job) => this.dropJob(job),
      onListed: jobsListed,
      onFailure: failed('watching the Jobs of trials'),
    }).run(this.over.signal);
    void new Mirror<V1Pod>({
      ...common,
      path: this.path('pods'),
      onObject: (pod) => this.takePod(pod),
      onGone: (pod) => this.dropPod(pod),
      onListed: podsListed,
      onFailure: failed('watching the pods of trials'),
    }).run(this.over.signal);
    this.stopTicking = every(tickMs, clock, async () => this.tick());
  }

  /** Looks at the Jobs of the namespace, also those of an earlier runner. */
  static open(options: KubernetesRunnerOptions): KubernetesRunner {
    const { clock = systemClock, graceSeconds = 15, onFailure = () => {} } = options;
    const { image, template = emptyTemplate } = options;
    const { api, namespace } = clusterPlace(options, clock);
    const place = { namespace, instance: template.labels[ownLabels.instance] ?? 'emotune', image, template };
    return new KubernetesRunner(api, place, clock, graceSeconds, onFailure);
  }

  /** Requests that were sent to the API server. */
  get calls(): number {
    return this.api.calls;
  }

  private path(kind: 'jobs' | 'pods' | 'secrets' | 'events', name?: string): string {
    const group = kind === 'jobs' ? '/apis/batch/v1' : '/api/v1';
    return `${group}/namespaces/${this.place.namespace}/${kind}${name === undefined ? '' : `/${name}`}`;
  }

  // --- what is seen

  private takeJob(job: V1Job): void {
    const { name, uid } = job.metadata!;
    if (this.removed.has(uid!)) return;
    let known = this.jobs.get(name!);
    if (known && known.job.metadata!.uid === uid) known.job = job;
    else {
      known = newJob(job, this.clock.now());
      this.jobs.set(name!, known);
      for (const [pod, seen] of this.early) {
        if (this.ownerOf(seen) !== known) continue;
        this.early.delete(pod);
        this.addPod(known, seen);
      }
    }
    this.changed(known);
  }

  private dropJob({ metadata }: V1Job): void {
    const { name, uid } = metadata!;
    this.removed.delete(uid!);
    const known = this.jobs.get(name!);
    if (!known || known.job.metadata!.uid !== uid) return;
    known.gone = true;
    this.changed(known);
  }

  /** The Job of a pod. */
  private ownerOf({ metadata }: V1Pod): Job | undefined {
    const owner = metadata!.ownerReferences?.find(({ kind }) => kind === 'Job');
    const known = this.jobs.get(owner?.name ?? '');
    return known?.job.metadata?.uid === owner?.uid ? known : undefined;
  }

  private takePod(pod: V1Pod): void {
    const owner = this.ownerOf(pod);
    if (!owner) {
      this.early.set(pod.metadata!.uid!, pod);
      return;
    }
    this.addPod(owner, pod);
    this.changed(owner);
  }

  private addPod(owner: Job, pod: V1Pod): void {
    const uid = pod.metadata!.uid!;
    const now = this.clock.now();
    owner.pods.set(uid, pod);
    const end = endOf(pod, now);
    if (end) owner.ends.set(uid, end);
    if (troubleOf(pod).cause === undefined) owner.troubledSince.delete(uid);
    else if (!owner.troubledSince.has(uid)) owner.troubledSince.set(uid, now);
  }

  private dropPod(pod: V1Pod): void {
    const uid = pod.metadata!.uid!;
    this.early.delete(uid);
    const owner = this.ownerOf(pod);
    if (!owner) return;
    const end = endOf(pod, this.clock.now());
    if (end) owner.ends.set(uid, end);
    owner.pods.delete(uid);
    this.changed(owner);
  }

  private podsOf({ pods }: Job): V1Pod[] {
    return [...pods.values()].sort((a, b) => age(a) - age(b));
  }

  private statusOf(known: Job): JobStatus {
    if (known.ended) return known.ended;
    const pods = this.podsOf(known);
    const now = this.clock.now();
    for (const pod of pods) {
      const end = endOf(pod, now);
      if (end) known.ends.set(pod.metadata!.uid!, end);
    }
    const { job, gone, ends, troubledSince } = known;
    const since = troubledSince.get(pods.at(-1)?.metadata?.uid ?? '');
    const progress = progressOf({ job, gone, pods, ends: [...ends.values()], troubledSince: since }, now);
    const named = { name: known.name, labels: askedLabels(job) };
    const status = { ...named, ...progress };
    if (isPodless(status, known) && known.refusal) return { ...status, waits: known.refusal };
    if (!hasEnded(status)) return status;
    // A Job may be told of before the pods that say why.
    const unexplained = progress.phase === 'failed' && progress.cause !== 'DeadlineExceeded';
    if (unexplained && isFinished(job) && !this.isTold(known)) return { ...named, phase: 'running' };
    known.ended = status;
    return status;
  }

  /** Whether what is known of the pods of a Job that has ended is all that there is. */
  private isTold(known: Job): boolean {
    const { pods, ends, job } = known;
    const all = [...pods.keys()].every((uid) => ends.has(uid));
    if (all && (ends.size > 0 || known.gone)) return true;
    if (known.asked) return all;
    known.asked = true;
    this.askForPods(job).then(
      (found) => {
        for (const pod of found) this.addPod(known, pod);
        this.changed(known);
      },
      (error) => {
        known.asked = false;
        this.onFailure('listing the pods of a trial', error);
      },
    );
    return false;
  }

  private async askForPods({ metadata }: V1Job): Promise<readonly V1Pod[]> {
    const query = { labelSelector: `batch.kubernetes.io/controller-uid=${metadata!.uid}` };
    const { items } = await this.api.json<{ items: V1Pod[] }>('GET', this.path('pods'), {
      query,
      signal: this.over.signal,
    });
    return items;
  }

  private changed(known: Job): void {
    const status = this.statusOf(known);
    const text = JSON.stringify(status);
    if (text !== known.told) {
      known.told = text;
      for (const listener of this.listeners) listener(status);
    }
    for (const wake of this.waiting.get(known.name) ?? []) wake();
  }

  private tick(): void {
    for (const known of this.jobs.values()) {
      if (!known.ended) this.changed(known);
      if (known.stop && !known.ended) this.note('stopping a trial', () => this.end(known));
      this.flush(known);
      this.askWhy(known);
    }
  }

  /** A Job that has no pod for long has been refused one, by a quota or for its security: its controller says so in an Event. */
  private askWhy(known: Job): void {
    const now = this.clock.now();
    if (known.pods.size > 0 || known.job.spec?.suspend || known.gone) known.askedWhyAt = now;
    if (known.ended || now - known.askedWhyAt < podlessMs) return;
    known.askedWhyAt = now;
    const { uid } = known.job.metadata!;
    const query = { fieldSelector: `involvedObject.uid=${uid},reason=FailedCreate` };
    this.note('asking why a trial has no pod', async () => {
      const { signal } = this.over;
      const { items } = await this.api.json<{ items: CoreV1Event[] }>('GET', this.path('events'), {
        query,
        signal,
      });
      const message = items.at(-1)?.message;
      if (message) known.refusal = `Unschedulable: its pod cannot be created: ${message}`;
    });
  }

  /** Something that is tried again if it fails. */
  private note(what: string, work: () => Promise<unknown>): void {
    void this.notes.run(work).catch((error) => {
      if (!this.over.signal.aborted) this.onFailure(what, error);
    });
  }

  // --- the port

  async start(spec: JobSpec, signal?: AbortSignal): Promise<void> {
    const violation = jobNameViolation(spec.name);
    if (violation) throw violation;
    if (!(Number.isInteger(spec.ranks) && spec.ranks >= 1))
      throw InvalidArgument.at('ranks', `expected a whole number of at least 1, got ${spec.ranks}`);
    if (this.closed) throw new Unavailable('no trainer can be started: the platform is stopping');
    if (this.jobs.has(spec.name)) return;
    const starting = this.create(spec, signal);
    this.starting.add(starting);
    await starting.finally(() => this.starting.delete(starting));
  }

  private async create(spec: JobSpec, signal: AbortSignal | undefined): Promise<void> {
    const { name, token } = spec;
    const secret = `${name}-${randomBytes(4).toString('hex')}`;
    const manifest = jobManifest(spec, secret, this.place);
    const query = { fieldManager: manager, fieldValidation: 'Strict' };
    let job: V1Job;
    try {
      job = await this.api.json<V1Job>('POST', this.path('jobs'), { query, body: manifest, signal });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 409)) throw refused(error, name);
      job = await this.own(manifest);
      // Another call has made it, and its Secret.
      if (secretNameOf(job) !== secret) return this.takeJob(job);
    }
    this.takeJob(job);
    this.jobs.get(name)!.token = token;
    try {
      // A pod that comes before it waits for it.
      await this.api.json('POST', this.path('secrets'), { body: secretManifest(secret, token, job), signal });
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'AlreadyExists') return;
      // Its trainer could not show who it is.
      await this.remove(name, true).catch(() => {});
      throw refused(error, name);
    }
  }

  /** The Job of that name that is there. @throws AlreadyExists when it is somebody else's */
  private async own(manifest: V1Job): Promise<V1Job> {
    const { name, namespace, labels: wanted = {} } = manifest.metadata!;
    const job = await this.api.json<V1Job>('GET', this.path('jobs', name), { signal: this.over.signal });
    const found = job.metadata!.labels ?? {};
    const ours = [ownLabels.managedBy, ownLabels.instance, ...Object.keys(askedLabels(manifest))];
    if (ours.every((label) => found[label] === wanted[label])) return job;
    throw new AlreadyExists(
      `the Job ${name} in the namespace ${namespace} was not created for this trial; remove it, or give the experiment another name`,
    );
  }

  async list(): Promise<JobStatus[]> {
    if (!this.closed) {
      const limit = new AbortController();
      await Promise.race([
        this.listed,
        this.clock.sleep(listedMs, limit.signal).then(() => notListed()),
      ]).finally(() => limit.abort());
    }
    return [...this.jobs.values()].map((known) => this.statusOf(known));
  }

  async stop(name: string, graceSeconds: number): Promise<void> {
    const known = this.jobs.get(name);
    if (!known || hasEnded(this.statusOf(known))) return;
    known.stop = { graceSeconds, marked: known.stop?.marked ?? false };
    this.note('stopping a trial', () => this.end(known));
  }

  /** Marks it as asked to end, then deletes its pods: as far as can be done now. */
  private async end(known: Job): Promise<void> {
    const { stop, name } = known;
    if (!stop || this.over.signal.aborted) return;
    const { signal } = this.over;
    if (!stop.marked) {
      stop.marked = true;
      const annotations = { [stoppedAnnotation]: new Date(this.clock.now()).toISOString() };
      try {
        const metadata = { annotations, uid: known.job.metadata!.uid };
        // One without pods might never have any, and one that has a pod by now has it ended.
        const body = known.pods.size > 0 ? { metadata } : { metadata, spec: { suspend: true } };
        known.job = await this.api.json<V1Job>('PATCH', this.path('jobs', name), { body, signal });
      } catch (error) {
        if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return;
        stop.marked = false;
        throw error;
      }
    }
    const left = this.podsOf(known).filter(
      (pod) => pod.metadata!.deletionTimestamp === undefined && !known.ends.has(pod.metadata!.uid!),
    );
    const body = { gracePeriodSeconds: Math.max(1, Math.ceil(stop.graceSeconds)) };
    for (const { metadata } of left)
      await this.api
        .json('DELETE', this.path('pods', metadata!.name), {
          body: { ...body, preconditions: { uid: metadata!.uid } },
          signal,
        })
        .catch(ifGone);
    this.changed(known);
  }

  async *log(name: string, options: LogOptions = {}): AsyncGenerator<LogPiece> {
    const known = this.jobs.get(name);
    if (!known) throw new NotFound(`expected a job, got ${show(name)}`);
    const { signal } = this.over;
    yield* jobLog(
      {
        api: this.api,
        clock: this.clock,
        namespace: this.place.namespace,
        token: await this.tokenOf(known),
        job: known.job,
        pods: () => this.podsOf(known),
        hasEnded: () => hasEnded(this.statusOf(known)) || this.closed,
        changed: (until) => this.change(known, until),
        mark: (pod, offset) =>
          this.note('noting where the log of a pod begins', () =>
            this.api.json('PATCH', this.path('pods', pod.metadata!.name), {
              body: { metadata: { annotations: { [logOffsetAnnotation]: String(offset) } } },
              signal,
            }),
          ),
      },
      { ...options, signal: options.signal ? AbortSignal.any([options.signal, signal]) : signal },
    );
  }

  /** Of a Job that another process has made: from its Secret. */
  private async tokenOf(known: Job): Promise<string | undefined> {
    if (known.token !== undefined) return known.token;
    const secret = secretNameOf(known.job);
    if (secret === undefined) return undefined;
    const { signal } = this.over;
    const found = await this.api
      .json<V1Secret>('GET', this.path('secrets', secret), { signal })
      .catch(ifGone);
    const token = found?.data?.['token'];
    if (token !== undefined) known.token = Buffer.from(token, 'base64').toString();
    return known.token;
  }

  private async change({ name }: Job, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    const those = this.waiting.get(name) ?? new Set();
    this.waiting.set(name, those.add(wake));
    // What time alone changes is looked at, too.
    await this.clock.sleep(tickMs, AbortSignal.any([signal, woken.signal])).catch(() => {});
    those.delete(wake);
    if (those.size === 0) this.waiting.delete(name);
  }

  async remove(name: string, unfinished = false): Promise<void> {
    const known = this.jobs.get(name);
    if (!known) return;
    if (!unfinished && !hasEnded(this.statusOf(known)))
      throw new FailedPrecondition(`expected a job that has ended, got ${name}, which runs; stop it first`);
    const { uid } = known.job.metadata!;
    const body = { propagationPolicy: 'Background', preconditions: { uid } };
    await this.api.json('DELETE', this.path('jobs', name), { body, signal: this.over.signal }).catch(ifGone);
    if (!known.gone) this.removed.add(uid!);
    if (this.jobs.get(name) === known) this.jobs.delete(name);
    for (const wake of this.waiting.get(name) ?? []) wake();
  }

  annotate(name: string, annotations: Readonly<Record<string, string>>): void {
    const known = this.jobs.get(name);
    if (known) known.annotations = { ...known.annotations, ...annotations };
  }

  /** Writes what is new of a Job's annotations, to it and to its pods. */
  private flush(known: Job): void {
    const { job, annotations, annotatedAt, gone } = known;
    const now = this.clock.now();
    const fresh = Object.entries(annotations).filter(
      ([n, value]) => job.metadata!.annotations?.[n] !== value,
    );
    const pauseMs = Math.max(annotateMs, (1000 * this.jobs.size) / annotatedPerSecond);
    if (fresh.length === 0 || gone || now - annotatedAt < pauseMs) return;
    known.annotatedAt = now;
    const body = { metadata: { annotations: Object.fromEntries(fresh) } };
    const { signal } = this.over;
    this.note('annotating a trial', async () => {
      for (const { metadata } of this.podsOf(known).slice(-1))
        await this.api.json('PATCH', this.path('pods', metadata!.name), { body, signal }).catch(ifGone);
      await this.api.json('PATCH', this.path('jobs', known.name), { body, signal }).catch(ifGone);
    });
  }

  announce(name: string, event: JobEvent): void {
    const known = this.jobs.get(name);
    if (!known) return;
    const body = eventManifest(known.job, event, new Date(this.clock.now()));
    const { signal } = this.over;
    this.note('telling an event of a trial', () =>
      this.api.json('POST', this.path('events'), { body, signal }).catch(ifThere),
    );
  }

  onChange(listener: (status: JobStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async detach(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.starting);
    this.over.abort(new Unavailable('the platform is stopping'));
    await this.stopTicking();
  }

  async close(): Promise<void> {
    this.closed = true;
    if (!this.over.signal.aborted) {
      await Promise.allSettled(this.starting);
      await this.listed;
      const all = [...this.jobs.values()];
      for (const { name } of all) await this.stop(name, this.graceSeconds);
      for (const known of all)
        while (!hasEnded(this.statusOf(known))) await this.change(known, this.over.signal);
    }
    await this.detach();
  }
}

function notListed(): never {
  throw new Unavailable('the API server of the cluster has not told its Jobs yet');
}

function ifGone(error: unknown): undefined {
  if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return undefined;
  throw error;
}

function ifThere(error: unknown): undefined {
  if (error instanceof ApiError && error.reason === 'AlreadyExists') return undefined;
  throw error;
}
