/** The log of a Job: those of its pods one after the other, secrets taken out. */
import type { Clock } from '@emotune/base';
import type { V1Job, V1Pod } from '@kubernetes/client-node';
import type { LogPiece } from '../log.js';
import { SafeLines, secretsOf } from '../log-secrets.js';
import type { LogOptions } from '../runner.js';
import type { Api } from './api.js';
import { logOffsetAnnotation } from './manifest.js';
import { podLines } from './pod-log.js';
import { hasStarted } from './status.js';

export interface JobLogOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly namespace: string;
  readonly token: string | undefined;
  readonly job: V1Job;
  /** Those that are there now, the oldest first. */
  readonly pods: () => readonly V1Pod[];
  readonly hasEnded: () => boolean;
  /** Resolves when the Job or one of its pods has changed. */
  readonly changed: (signal: AbortSignal) => Promise<void>;
  /** Where the log of a pod that came after others begins, for whoever reads it later. */
  readonly mark: (pod: V1Pod, offset: number) => void;
}

/** The variables that a Job gives its trainer. */
function environmentOf(job: V1Job): Record<string, string | undefined> {
  const [{ env = [] }] = job.spec!.template.spec!.containers;
  return Object.fromEntries(env.map(({ name, value }) => [name, value]));
}

export async function* jobLog(
  options: JobLogOptions,
  { from = 0, follow = false, signal }: LogOptions,
): AsyncGenerator<LogPiece> {
  const { job, pods, hasEnded, changed, mark, token, ...reach } = options;
  const secrets = secretsOf(environmentOf(job), token);
  const until = signal ?? new AbortController().signal;
  const read = new Set<string>();
  let position = 0;
  while (!until.aborted) {
    const ended = hasEnded();
    const pod = pods().find((one) => hasStarted(one) && !read.has(one.metadata!.uid!));
    if (!pod) {
      if (!follow || ended) return;
      await changed(until);
      continue;
    }
    const { name, uid, annotations } = pod.metadata!;
    const noted = annotations?.[logOffsetAnnotation];
    if (noted !== undefined) position = Number(noted);
    // Those before it are gone, or it is the first.
    else if (read.size === 0 && job.status?.failed) position = from;
    if (noted === undefined && position > 0 && follow) mark(pod, position);
    read.add(uid!);
    const current = () => pods().find((one) => one.metadata!.uid === uid);
    const writes = () => {
      const [state] = current()?.status?.containerStatuses ?? [];
      return state?.state?.running !== undefined;
    };
    const safe: Buffer[] = [];
    const lines = new SafeLines(secrets, (bytes) => safe.push(bytes));
    const pieces = function* (): Generator<LogPiece> {
      for (const bytes of safe.splice(0)) {
        const begin = position;
        position += bytes.length;
        if (position > from)
          yield { offset: Math.max(begin, from), bytes: bytes.subarray(Math.max(0, from - begin)) };
      }
    };
    for await (const line of podLines({ ...reach, pod: name!, follow, writes, signal: until })) {
      lines.take(Buffer.from(line));
      yield* pieces();
    }
    lines.end();
    yield* pieces();
  }
}
