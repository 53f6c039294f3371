/** What has become of a Job, read from it and its pods: a table of Kubernetes' words. Pure. */
import type { V1Job, V1Pod } from '@kubernetes/client-node';
import type { JobStatus } from '../runner.js';
import { stoppedCause } from '../trainer-protocol.js';
import { containerName, stoppedAnnotation } from './manifest.js';

/** How a pod has ended. */
export interface PodEnd {
  /** Of its trainer, where that has run. */
  readonly exitCode?: number;
  /** See `JobStatus.cause`. */
  readonly cause?: string;
  /** The words of whoever has ended it. */
  readonly message?: string;
}

/** A pod that still is not gone so long after its grace period has passed, went with its machine. */
const lostMs = 30_000;
/** An image that cannot be pulled, or a container that cannot be made, is tried for so long. */
const troubleMs = 40_000;

const pullTroubles: ReadonlySet<string> = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'ErrImageNeverPull',
  'InvalidImageName',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);
const createTroubles: ReadonlySet<string> = new Set([
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'PreCreateHookError',
  'PreStartHookError',
  'PostStartHookError',
  'CrashLoopBackOff',
]);
/** What no repetition mends. */
const hopeless: ReadonlySet<string> = new Set(['ErrImageNeverPull', 'InvalidImageName']);

/** By the reason of the condition DisruptionTarget. */
const disruptions: ReadonlyMap<string, string> = new Map([
  ['PreemptionByScheduler', 'Preempted'],
  ['DeletionByTaintManager', 'NodeLost'],
  ['DeletionByPodGC', 'NodeLost'],
  ['EvictionByEvictionAPI', 'Evicted'],
  ['TerminationByKubelet', 'Evicted'],
]);

/** By the reason of a pod. */
const podReasons: ReadonlyMap<string, string> = new Map([
  ['Evicted', 'Evicted'],
  ['Preempting', 'Preempted'],
  ['NodeLost', 'NodeLost'],
  ['NodeShutdown', 'Evicted'],
  ['Terminated', 'Evicted'],
  ['Shutdown', 'Evicted'],
  ['DeadlineExceeded', 'DeadlineExceeded'],
  // The kubelet did not take what the scheduler has sent: the machine had less than was thought.
  ['NodeAffinity', 'Evicted'],
  ['UnexpectedAdmissionError', 'Evicted'],
]);

function conditionOf(object: V1Job | V1Pod, type: string) {
  const conditions: { type: string; status: string; reason?: string; message?: string }[] =
    object.status?.conditions ?? [];
  return conditions.find((condition) => condition.type === type && condition.status === 'True');
}

function trainerOf(pod: V1Pod) {
  return pod.status?.containerStatuses?.find(({ name }) => name === containerName)?.state;
}

/** An instant of the API, which is text on the wire. */
function timeOf(instant: Date | string | undefined): number {
  return instant === undefined ? Number.NaN : new Date(instant).getTime();
}

export function hasStarted(pod: V1Pod): boolean {
  const state = trainerOf(pod);
  return state?.running !== undefined || state?.terminated !== undefined;
}

function causeOfPod(pod: V1Pod): string | undefined {
  const { reason = '' } = pod.status ?? {};
  const ended = trainerOf(pod)?.terminated;
  if (ended?.reason === 'OOMKilled') return 'OOMKilled';
  const disruption = conditionOf(pod, 'DisruptionTarget');
  if (disruption) return disruptions.get(disruption.reason ?? '') ?? 'Evicted';
  if (/^OutOf/.test(reason)) return 'Evicted';
  const known = podReasons.get(reason);
  if (known) return known;
  if (ended?.reason === 'ContainerStatusUnknown') return 'NodeLost';
  if (ended?.reason === 'StartError' || ended?.reason === 'ContainerCannotRun') return 'CreateContainerError';
  return undefined;
}

/** Exit codes that say more than what has become of the machine meanwhile. */
const ownWords: ReadonlySet<number | undefined> = new Set([0, 42, 43, 44]);

/** How a pod has ended; undefined while it has not. */
export function endOf(pod: V1Pod, now: number): PodEnd | undefined {
  const { phase, message } = pod.status ?? {};
  const ended = trainerOf(pod)?.terminated;
  const deleted = timeOf(pod.metadata?.deletionTimestamp);
  if (phase !== 'Failed' && phase !== 'Succeeded' && !ended)
    return now > deleted + lostMs ? { cause: 'NodeLost', message: message ?? '' } : undefined;
  const cause = causeOfPod(pod);
  const code = ended && { exitCode: ended.exitCode };
  // A process that never ran has no code of its own.
  if (cause === 'CreateContainerError') return { cause, message: ended?.message ?? '' };
  if (cause === undefined || (ownWords.has(ended?.exitCode) && cause !== 'OOMKilled')) return { ...code };
  const words = message || conditionOf(pod, 'DisruptionTarget')?.message;
  return { ...code, cause, ...(words ? { message: words } : {}) };
}

/** What keeps a pod from running, as a reason; empty: nothing but time. */
export function troubleOf(pod: V1Pod): { readonly cause?: string; readonly words: string } {
  const scheduled = (pod.status?.conditions ?? []).find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False')
    return {
      words: `${scheduled.reason === 'SchedulingGated' ? 'Queued' : 'Unschedulable'}: ${scheduled.message ?? ''}`,
    };
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const { state, image } of statuses) {
    const { reason = '', message = '' } = state?.waiting ?? {};
    if (pullTroubles.has(reason))
      return { cause: 'ErrImagePull', words: `ImagePull: ${image}: ${message || reason}` };
    if (createTroubles.has(reason))
      return { cause: 'CreateContainerError', words: `CreateContainer: ${message || reason}` };
  }
  return { words: '' };
}

function isHopeless(pod: V1Pod): boolean {
  return (pod.status?.containerStatuses ?? []).some(({ state }) =>
    hopeless.has(state?.waiting?.reason ?? ''),
  );
}

/** What a Job has come to, beside what names it. */
export type Progress = Omit<JobStatus, 'name' | 'labels'>;

/** What is known of a Job. */
export interface Seen {
  /** As it is, or was before it was deleted. */
  readonly job: V1Job;
  /** Somebody has deleted it. */
  readonly gone: boolean;
  /** Those that are there, the oldest first. */
  readonly pods: readonly V1Pod[];
  /** How pods ended that may be gone. */
  readonly ends: readonly PodEnd[];
  /** Since when the newest pod has a trouble that ends it if it lasts; undefined: it has none. */
  readonly troubledSince?: number | undefined;
}

/** The end that says most: what a trainer has said of itself before what has become of its machine. */
function tellingEnd(ends: readonly PodEnd[]): PodEnd {
  const rank = ({ exitCode, cause }: PodEnd) => {
    if (cause === 'OOMKilled' || ownWords.has(exitCode)) return 0;
    if (cause !== undefined) return 2;
    return exitCode !== undefined && exitCode < 128 ? 1 : 3;
  };
  const failed = ends.filter(({ exitCode }) => exitCode !== 0);
  // Of those that say as much, the newest.
  return (
    failed.reduceRight<PodEnd | undefined>(
      (best, end) => (best === undefined || rank(end) < rank(best) ? end : best),
      undefined,
    ) ?? {}
  );
}

function failed({ job, ends }: Pick<Seen, 'job' | 'ends'>, otherwise?: string): Progress {
  const { exitCode, cause, message } = tellingEnd(ends);
  const killed = exitCode === undefined || exitCode > 128;
  const stopped =
    job.metadata?.annotations?.[stoppedAnnotation] !== undefined && killed ? stoppedCause : undefined;
  // A pod that is deleted before its container is there ends as one of which its node knows nothing any more.
  const known = cause === 'NodeLost' ? (stopped ?? cause) : cause;
  const told = known ?? stopped ?? (exitCode === undefined ? otherwise : undefined);
  return {
    phase: 'failed',
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(told === undefined ? {} : { cause: told }),
    ...(known !== undefined && known !== stopped && message ? { message } : {}),
  };
}

/** Whether the Job has ended, by its own word. */
export function isFinished(job: V1Job): boolean {
  return conditionOf(job, 'Complete') !== undefined || conditionOf(job, 'Failed') !== undefined;
}

export function progressOf({ job, gone, pods, ends, troubledSince }: Seen, now: number): Progress {
  if (conditionOf(job, 'Complete')) return { phase: 'succeeded', exitCode: 0 };
  const end = conditionOf(job, 'Failed');
  if (end?.reason === 'DeadlineExceeded') return { phase: 'failed', cause: 'DeadlineExceeded' };
  if (end) return failed({ job, ends }, end.reason);
  const live = pods.filter((pod) => endOf(pod, now) === undefined);
  if (live.some((pod) => trainerOf(pod)?.running)) return { phase: 'running' };
  const asked = job.metadata?.annotations?.[stoppedAnnotation] !== undefined;
  const waits = live.filter((pod) => pod.metadata?.deletionTimestamp === undefined || pod.spec?.nodeName);
  if (gone && live.length === 0) return failed({ job, ends }, 'Deleted');
  // A pod that was on no machine when it was deleted never runs.
  if (asked && waits.length === 0 && (pods.length > 0 || job.spec?.suspend)) return failed({ job, ends });
  const lost = ends.at(-1)?.cause === 'NodeLost' && pods.length > 0 && live.length === 0;
  // The Job waits for a pod that nobody will end.
  if (lost && pods.some((pod) => pod.metadata?.deletionTimestamp !== undefined)) return failed({ job, ends });
  if (job.spec?.suspend)
    return { phase: 'queued', waits: `Queued: ${conditionOf(job, 'Suspended')?.message ?? 'suspended'}` };
  const newest = live.at(-1);
  if (!newest) return waitsForPod(ends);
  const { cause, words } = troubleOf(newest);
  const given = troubledSince !== undefined && now - troubledSince > troubleMs;
  if (cause !== undefined && (given || isHopeless(newest)))
    return { phase: 'failed', cause, message: words.slice(words.indexOf(': ') + 2) };
  return { phase: 'queued', ...(words === '' ? {} : { waits: words }) };
}

/** None of its pods lives: there was none yet, or another comes for one that was taken, or the Job is about to say that it has ended. */
function waitsForPod(ends: readonly PodEnd[]): Progress {
  const last = ends.at(-1);
  if (last === undefined) return { phase: 'queued' };
  if (last.cause === undefined) return { phase: 'running' };
  return { phase: 'queued', waits: `Evicted: ${last.message || last.cause}` };
}
