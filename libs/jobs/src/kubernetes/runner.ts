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
  NotFound,
  show,
  systemClock,
  Unavailable,
} from '@emotune/base';
import type { V1Job, V1Secret } from '@kubernetes/client-node';
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
import { JobNotes } from './job-notes.js';
import { JobWatch } from './job-watch.js';
import { leanJob } from './lean.js';
import {
  type JobPlace,
  jobManifest,
  logOffsetAnnotation,
  manager,
  ownLabels,
  secretManifest,
  secretNameOf,
  stoppedAnnotation,
} from './manifest.js';
import { type Kind, pathOf } from './paths.js';
import { type ClusterOptions, clusterPlace } from './place.js';
import { ifGone, refused } from './refusals.js';
import { emptyTemplate, type JobTemplate } from './template.js';
import { askedLabels, podsOf, type TrackedJob } from './tracked-job.js';

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
/** Until the first list has come. */
const listedMs = 30_000;

export class KubernetesRunner implements TrialRunner {
  private readonly watch: JobWatch;
  private readonly starting = new Set<Promise<void>>();
  private readonly notes: JobNotes;
  private readonly over = new AbortController();
  private readonly stopTicking: () => Promise<void>;
  private closed = false;

  private constructor(
    private readonly api: Api,
    private readonly place: JobPlace,
    private readonly clock: Clock,
    private readonly graceSeconds: number,
    onFailure: (what: string, error: unknown) => void,
  ) {
    const common = { api, clock, onFailure, signal: this.over.signal };
    this.watch = new JobWatch({ ...common, place });
    this.notes = new JobNotes({ ...common, namespace: place.namespace });
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

  private path(kind: Kind, name?: string): string {
    return pathOf(this.place.namespace, kind, name);
  }

  private tick(): void {
    for (const known of this.watch.jobs.values()) {
      if (!known.ended) this.watch.changed(known);
      if (known.stop && !known.ended) this.notes.note('stopping a trial', () => this.end(known));
      this.notes.annotate(known, this.watch.jobs.size);
      this.notes.askWhy(known);
    }
  }

  async start(spec: JobSpec, signal?: AbortSignal): Promise<void> {
    const violation = jobNameViolation(spec.name);
    if (violation) throw violation;
    if (!(Number.isInteger(spec.ranks) && spec.ranks >= 1))
      throw InvalidArgument.at('ranks', `expected a whole number of at least 1, got ${spec.ranks}`);
    if (this.closed) throw new Unavailable('no trainer can be started: the platform is stopping');
    if (this.watch.jobs.has(spec.name)) return;
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
      job = leanJob(await this.api.json<V1Job>('POST', this.path('jobs'), { query, body: manifest, signal }));
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 409)) throw refused(error, name);
      job = await this.own(manifest);
      // Another call has made it, and its Secret.
      if (secretNameOf(job) !== secret) return this.watch.take(job);
    }
    this.watch.take(job);
    this.watch.jobs.get(name)!.token = token;
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
    if (ours.every((label) => found[label] === wanted[label])) return leanJob(job);
    throw new AlreadyExists(
      `the Job ${name} in the namespace ${namespace} was not created for this trial; remove it, or give the experiment another name`,
    );
  }

  async list(): Promise<JobStatus[]> {
    if (!this.closed) {
      const limit = new AbortController();
      await Promise.race([
        this.watch.listed,
        this.clock.sleep(listedMs, limit.signal).then(() => notListed()),
      ]).finally(() => limit.abort());
    }
    return [...this.watch.jobs.values()].map((known) => this.watch.statusOf(known));
  }

  async stop(name: string, graceSeconds: number): Promise<void> {
    const known = this.watch.jobs.get(name);
    if (!known || hasEnded(this.watch.statusOf(known))) return;
    known.stop = { graceSeconds, marked: known.stop?.marked ?? false };
    this.notes.note('stopping a trial', () => this.end(known));
  }

  /** Marks it as asked to end, then deletes its pods: as far as can be done now. */
  private async end(known: TrackedJob): Promise<void> {
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
        const path = this.path('jobs', name);
        known.job = leanJob(await this.api.json<V1Job>('PATCH', path, { body, signal }));
      } catch (error) {
        if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return;
        stop.marked = false;
        throw error;
      }
    }
    const left = podsOf(known).filter(
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
    this.watch.changed(known);
  }

  async *log(name: string, options: LogOptions = {}): AsyncGenerator<LogPiece> {
    const known = this.watch.jobs.get(name);
    if (!known) throw new NotFound(`expected a job, got ${show(name)}`);
    const { signal } = this.over;
    yield* jobLog(
      {
        api: this.api,
        clock: this.clock,
        namespace: this.place.namespace,
        token: await this.tokenOf(known),
        job: known.job,
        pods: () => podsOf(known),
        hasEnded: () => hasEnded(this.watch.statusOf(known)) || this.closed,
        changed: (until) => this.watch.change(known, tickMs, until),
        mark: (pod, offset) =>
          this.notes.note('noting where the log of a pod begins', () =>
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
  private async tokenOf(known: TrackedJob): Promise<string | undefined> {
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

  async remove(name: string, unfinished = false): Promise<void> {
    const known = this.watch.jobs.get(name);
    if (!known) return;
    if (!unfinished && !hasEnded(this.watch.statusOf(known)))
      throw new FailedPrecondition(`expected a job that has ended, got ${name}, which runs; stop it first`);
    const { uid } = known.job.metadata!;
    const body = { propagationPolicy: 'Background', preconditions: { uid } };
    await this.api.json('DELETE', this.path('jobs', name), { body, signal: this.over.signal }).catch(ifGone);
    this.watch.forget(known);
  }

  annotate(name: string, annotations: Readonly<Record<string, string>>): void {
    const known = this.watch.jobs.get(name);
    if (known) known.annotations = { ...known.annotations, ...annotations };
  }

  announce(name: string, event: JobEvent): void {
    const known = this.watch.jobs.get(name);
    if (known) this.notes.announce(known, event);
  }

  onChange(listener: (status: JobStatus) => void): () => void {
    return this.watch.onChange(listener);
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
      await this.watch.listed;
      const all = [...this.watch.jobs.values()];
      for (const { name } of all) await this.stop(name, this.graceSeconds);
      for (const known of all)
        while (!hasEnded(this.watch.statusOf(known)))
          await this.watch.change(known, tickMs, this.over.signal);
    }
    await this.detach();
  }
}

function notListed(): never {
  throw new Unavailable('the API server of the cluster has not told its Jobs yet');
}
