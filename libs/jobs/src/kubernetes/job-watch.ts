/** The Jobs of trials as the cluster shows them: mirrored with their pods, judged, and told of when they change. */
import type { Clock } from '@emotune/base';
import type { V1Job, V1Pod } from '@kubernetes/client-node';
import { hasEnded, type JobStatus } from '../runner.js';
import type { Api } from './api.js';
import { leanJob, leanPod } from './lean.js';
import { type JobPlace, selectorOf } from './manifest.js';
import { Mirror } from './mirror.js';
import { pathOf } from './paths.js';
import { endOf, isFinished, progressOf, troubleOf } from './status.js';
import { askedLabels, isPodless, podsOf, type TrackedJob, tracked } from './tracked-job.js';

interface JobWatchOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly place: Pick<JobPlace, 'namespace' | 'instance'>;
  readonly onFailure: (what: string, error: unknown) => void;
  /** Aborts when nobody looks any more. */
  readonly signal: AbortSignal;
}

export class JobWatch {
  /** By name; one that was removed is not among them. */
  readonly jobs = new Map<string, TrackedJob>();
  /** Resolves when Jobs and pods were listed once. */
  readonly listed: Promise<void>;
  /** Pods that were seen before their Jobs, by UID. */
  private readonly early = new Map<string, V1Pod>();
  /** UIDs of Jobs that were removed, until they are gone. */
  private readonly removed = new Set<string>();
  private readonly listeners = new Set<(status: JobStatus) => void>();
  /** Who waits for a change of a Job, by its name. */
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly options: JobWatchOptions) {
    const { api, clock, place, onFailure, signal } = options;
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
      path: pathOf(place.namespace, 'jobs'),
      kept: leanJob,
      onObject: (job) => this.take(job),
      onGone: (job) => this.drop(job),
      onListed: jobsListed,
      onFailure: failed('watching the Jobs of trials'),
    }).run(signal);
    void new Mirror<V1Pod>({
      ...common,
      path: pathOf(place.namespace, 'pods'),
      kept: leanPod,
      onObject: (pod) => this.takePod(pod),
      onGone: (pod) => this.dropPod(pod),
      onListed: podsListed,
      onFailure: failed('watching the pods of trials'),
    }).run(signal);
  }

  take(job: V1Job): void {
    const { name, uid } = job.metadata!;
    if (this.removed.has(uid!)) return;
    let known = this.jobs.get(name!);
    if (known && known.job.metadata!.uid === uid) known.job = job;
    else {
      known = tracked(job, this.options.clock.now());
      this.jobs.set(name!, known);
      for (const [pod, seen] of this.early) {
        if (this.ownerOf(seen) !== known) continue;
        this.early.delete(pod);
        this.addPod(known, seen);
      }
    }
    this.changed(known);
  }

  private drop({ metadata }: V1Job): void {
    const { name, uid } = metadata!;
    this.removed.delete(uid!);
    const known = this.jobs.get(name!);
    if (!known || known.job.metadata!.uid !== uid) return;
    known.gone = true;
    this.changed(known);
  }

  /** One that was removed: what is still seen of it counts for nothing. */
  forget(known: TrackedJob): void {
    const { name, job, gone } = known;
    if (!gone) this.removed.add(job.metadata!.uid!);
    if (this.jobs.get(name) === known) this.jobs.delete(name);
    this.wake(name);
  }

  /** The Job of a pod. */
  private ownerOf({ metadata }: V1Pod): TrackedJob | undefined {
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

  private addPod(owner: TrackedJob, pod: V1Pod): void {
    const uid = pod.metadata!.uid!;
    const now = this.options.clock.now();
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
    const end = endOf(pod, this.options.clock.now());
    if (end) owner.ends.set(uid, end);
    owner.pods.delete(uid);
    this.changed(owner);
  }

  statusOf(known: TrackedJob): JobStatus {
    if (known.ended) return known.ended;
    const pods = podsOf(known);
    const now = this.options.clock.now();
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
  private isTold(known: TrackedJob): boolean {
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
        this.options.onFailure('listing the pods of a trial', error);
      },
    );
    return false;
  }

  private async askForPods({ metadata }: V1Job): Promise<readonly V1Pod[]> {
    const { api, place, signal } = this.options;
    const query = { labelSelector: `batch.kubernetes.io/controller-uid=${metadata!.uid}` };
    const { items } = await api.json<{ items: V1Pod[] }>('GET', pathOf(place.namespace, 'pods'), {
      query,
      signal,
    });
    return items.map(leanPod);
  }

  /** Tells of what has changed of it, if anything has. */
  changed(known: TrackedJob): void {
    const status = this.statusOf(known);
    const text = JSON.stringify(status);
    if (text !== known.told) {
      known.told = text;
      for (const listener of this.listeners) listener(status);
    }
    this.wake(known.name);
  }

  private wake(name: string): void {
    for (const wake of this.waiting.get(name) ?? []) wake();
  }

  /** Waits for a change of it, `longestMs` at most. */
  async change({ name }: TrackedJob, longestMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    const those = this.waiting.get(name) ?? new Set();
    this.waiting.set(name, those.add(wake));
    await this.options.clock.sleep(longestMs, AbortSignal.any([signal, woken.signal])).catch(() => {});
    those.delete(wake);
    if (those.size === 0) this.waiting.delete(name);
  }

  onChange(listener: (status: JobStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
