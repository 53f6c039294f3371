/** What is asked of the cluster about Jobs beside their lives, a few requests at a time: what fails is told and tried again later. */
import { type Clock, Lanes } from '@emotune/base';
import type { CoreV1Event } from '@kubernetes/client-node';
import type { JobEvent } from '../runner.js';
import type { Api } from './api.js';
import { eventManifest } from './manifest.js';
import { type Kind, pathOf } from './paths.js';
import { ifGone, ifThere } from './refusals.js';
import { podsOf, type TrackedJob } from './tracked-job.js';

/** Between two changes of a Job's annotations, at least. */
const annotateMs = 10_000;
/** Jobs that are annotated a second, once there are many. */
const annotatedPerSecond = 10;
/** Requests at a time. */
const mostNotes = 4;
/** A Job without a pod for so long is asked about, each time. */
const podlessMs = 10_000;

interface JobNotesOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly namespace: string;
  readonly onFailure: (what: string, error: unknown) => void;
  readonly signal: AbortSignal;
}

export class JobNotes {
  private readonly lanes = new Lanes(mostNotes);

  constructor(private readonly options: JobNotesOptions) {}

  /** Something that is tried again if it fails. */
  note(what: string, work: () => Promise<unknown>): void {
    const { signal, onFailure } = this.options;
    void this.lanes.run(work).catch((error) => {
      if (!signal.aborted) onFailure(what, error);
    });
  }

  private send<T>(
    method: Parameters<Api['json']>[0],
    kind: Kind,
    name: string | undefined,
    request: object,
  ): Promise<T> {
    const { api, namespace, signal } = this.options;
    return api.json<T>(method, pathOf(namespace, kind, name), { ...request, signal });
  }

  /** A Job that has no pod for long has been refused one, by a quota or for its security: its controller says so in an Event. */
  askWhy(known: TrackedJob): void {
    const now = this.options.clock.now();
    if (known.pods.size > 0 || known.job.spec?.suspend || known.gone) known.askedWhyAt = now;
    if (known.ended || now - known.askedWhyAt < podlessMs) return;
    known.askedWhyAt = now;
    const { uid } = known.job.metadata!;
    const query = { fieldSelector: `involvedObject.uid=${uid},reason=FailedCreate` };
    this.note('asking why a trial has no pod', async () => {
      const { items } = await this.send<{ items: CoreV1Event[] }>('GET', 'events', undefined, { query });
      const message = items.at(-1)?.message;
      if (message) known.refusal = `Unschedulable: its pod cannot be created: ${message}`;
    });
  }

  /** Writes what is new of a Job's annotations, to it and to its newest pod. @param jobs How many there are. */
  annotate(known: TrackedJob, jobs: number): void {
    const { job, annotations, annotatedAt, gone } = known;
    const now = this.options.clock.now();
    const fresh = Object.entries(annotations).filter(
      ([n, value]) => job.metadata!.annotations?.[n] !== value,
    );
    const pauseMs = Math.max(annotateMs, (1000 * jobs) / annotatedPerSecond);
    if (fresh.length === 0 || gone || now - annotatedAt < pauseMs) return;
    known.annotatedAt = now;
    const body = { metadata: { annotations: Object.fromEntries(fresh) } };
    this.note('annotating a trial', async () => {
      for (const { metadata } of podsOf(known).slice(-1))
        await this.send('PATCH', 'pods', metadata!.name, { body }).catch(ifGone);
      await this.send('PATCH', 'jobs', known.name, { body }).catch(ifGone);
    });
  }

  announce(known: TrackedJob, event: JobEvent): void {
    const body = eventManifest(known.job, event, new Date(this.options.clock.now()));
    this.note('telling an event of a trial', () =>
      this.send('POST', 'events', undefined, { body }).catch(ifThere),
    );
  }
}
