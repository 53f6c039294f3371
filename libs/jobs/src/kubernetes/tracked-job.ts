/** A Job of the cluster with what is known of it, and what was asked of it. */
import type { V1Job, V1Pod } from '@kubernetes/client-node';
import type { JobStatus } from '../runner.js';
import type { PodEnd } from './status.js';

export interface TrackedJob {
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

export function tracked(job: V1Job, now: number): TrackedJob {
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
export function askedLabels(job: V1Job): Record<string, string> {
  const entries = Object.entries(job.metadata!.labels ?? {});
  return Object.fromEntries(entries.filter(([name]) => name.startsWith('emotune.io/')));
}

export function isPodless({ phase, waits }: JobStatus, { pods }: TrackedJob): boolean {
  return phase === 'queued' && waits === undefined && pods.size === 0;
}

function age(pod: V1Pod): number {
  return new Date(pod.metadata!.creationTimestamp!).getTime();
}

/** The oldest first. */
export function podsOf({ pods }: TrackedJob): V1Pod[] {
  return [...pods.values()].sort((a, b) => age(a) - age(b));
}
