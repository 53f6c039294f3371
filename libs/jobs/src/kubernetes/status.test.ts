import type { V1Job, V1Pod } from '@kubernetes/client-node';
import { expect, it } from 'vitest';
import type { JobStatus } from '../runner.js';
import { meaningOf, reasonOfEnd } from '../trainer-protocol.js';
import { stoppedAnnotation } from './manifest.js';
import { endOf, type PodEnd, progressOf } from './status.js';

const now = Date.parse('2026-12-01T12:00:00Z');
const before = (seconds: number) => new Date(now - seconds * 1000).toISOString();

type Condition = readonly [type: string, reason?: string, message?: string, status?: string];
const conditions = (given: readonly Condition[]) =>
  given.map(([type, reason, message, status = 'True']) => ({ type, status, reason, message }));

interface PodShape {
  readonly phase?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly conditions?: readonly Condition[];
  readonly state?: unknown;
  readonly deleted?: string;
  readonly node?: string;
}

function pod({ conditions: given = [], state, deleted, node, ...status }: PodShape): V1Pod {
  return {
    metadata: { uid: 'p', ...(deleted ? { deletionTimestamp: deleted } : {}) },
    spec: node ? { nodeName: node } : {},
    status: {
      phase: 'Pending',
      ...status,
      conditions: conditions(given),
      containerStatuses: [{ name: 'trainer', image: 'registry/trainer:1', state }],
    },
  } as unknown as V1Pod;
}

const exited = (exitCode: number, reason = 'Error', more: PodShape = {}) =>
  pod({ phase: 'Failed', state: { terminated: { exitCode, reason } }, ...more });

function job(given: readonly Condition[], more: { suspend?: boolean; stopped?: boolean } = {}): V1Job {
  const annotations = more.stopped ? { [stoppedAnnotation]: 'then' } : {};
  return {
    metadata: { annotations },
    spec: { suspend: more.suspend ?? false },
    status: { conditions: conditions(given) },
  } as unknown as V1Job;
}

function seen(of: V1Job, pods: readonly V1Pod[] = [], more: { gone?: boolean; troubledSince?: number } = {}) {
  const ends = pods.flatMap((one): PodEnd | PodEnd[] => endOf(one, now) ?? []);
  return progressOf({ job: of, gone: false, pods, ends, ...more }, now);
}

const failed: readonly Condition[] = [['Failed', 'BackoffLimitExceeded', 'Job has reached the limit']];
const disrupted = (reason: string): Condition => ['DisruptionTarget', reason, 'words of the cluster'];

it.each<[string, V1Job, V1Pod[], word: string, interrupts: boolean, blames: string]>([
  ['exit 42', job([['Failed', 'PodFailurePolicy']]), [exited(42)], 'OutOfMemory', false, 'parameters'],
  [
    'exit 43',
    job([['Failed', 'PodFailurePolicy']]),
    [exited(43)],
    'InvalidConfiguration',
    false,
    'parameters',
  ],
  ['exit 44', job([['Failed', 'PodFailurePolicy']]), [exited(44)], 'Diverged', false, 'parameters'],
  ['exit 75', job(failed), [exited(75)], 'Interrupted', true, 'machine'],
  ['exit 76', job(failed), [exited(76)], 'DiskFull', true, 'machine'],
  ['exit 77', job(failed), [exited(77)], 'Damaged', true, 'machine'],
  ['exit 1', job(failed), [exited(1)], 'Crashed', false, 'unknown'],
  ['killed for its memory', job(failed), [exited(137, 'OOMKilled')], 'OutOfMemory', false, 'parameters'],
  ['killed by somebody', job(failed), [exited(137)], 'Killed', false, 'machine'],
  [
    'killed after it was stopped',
    job(failed, { stopped: true }),
    [exited(137)],
    'Interrupted',
    true,
    'machine',
  ],
  [
    'stopped before its container was there',
    job(failed, { stopped: true }),
    [exited(137, 'ContainerStatusUnknown')],
    'Interrupted',
    true,
    'machine',
  ],
  ['stopped before it had a pod', job(failed, { stopped: true }), [], 'Interrupted', true, 'machine'],
  [
    'its own word, though stopped',
    job(failed, { stopped: true }),
    [exited(43)],
    'InvalidConfiguration',
    false,
    'parameters',
  ],
  [
    'preempted',
    job(failed),
    [exited(143, 'Error', { conditions: [disrupted('PreemptionByScheduler')] })],
    'Evicted',
    true,
    'machine',
  ],
  [
    'evicted by the API',
    job(failed),
    [exited(75, 'Error', { conditions: [disrupted('EvictionByEvictionAPI')] })],
    'Evicted',
    true,
    'machine',
  ],
  [
    'evicted for its disk',
    job(failed),
    [pod({ phase: 'Failed', reason: 'Evicted', message: 'usage of EmptyDir exceeds' })],
    'Evicted',
    true,
    'machine',
  ],
  [
    'its node tainted away',
    job(failed),
    [exited(137, 'Error', { conditions: [disrupted('DeletionByTaintManager')] })],
    'Evicted',
    true,
    'machine',
  ],
  [
    'its node gone',
    job(failed),
    [pod({ phase: 'Failed', conditions: [disrupted('DeletionByPodGC')] })],
    'Evicted',
    true,
    'machine',
  ],
  [
    'a container that nobody knows',
    job(failed),
    [exited(137, 'ContainerStatusUnknown')],
    'Evicted',
    true,
    'machine',
  ],
  [
    'not admitted by its node',
    job(failed),
    [pod({ phase: 'Failed', reason: 'OutOfnvidia.com/gpu' })],
    'Evicted',
    true,
    'machine',
  ],
  [
    'a diverged one whose machine goes',
    job(failed),
    [exited(44, 'Error', { conditions: [disrupted('EvictionByEvictionAPI')] })],
    'Diverged',
    false,
    'parameters',
  ],
  ['no such program', job(failed), [exited(128, 'StartError')], 'CreateContainer', true, 'machine'],
  [
    'the deadline',
    job([['Failed', 'DeadlineExceeded']]),
    [exited(75)],
    'DeadlineExceeded',
    false,
    'parameters',
  ],
  ['nothing known of its pods', job(failed), [], 'Killed', false, 'machine'],
  [
    'one of several ranks',
    job(failed),
    [exited(143), exited(42), exited(75)],
    'OutOfMemory',
    false,
    'parameters',
  ],
])('%s ends as the trainer protocol says', (_, of, pods, word, interrupts, blames) => {
  const reason = reasonOfEnd(seen(of, pods) as JobStatus);
  const meaning = meaningOf(reason);
  expect([reason.split(':')[0], meaning.interrupts ?? false, meaning.blames]).toEqual([
    word,
    interrupts,
    blames,
  ]);
});

const waiting = (reason: string, message = 'words of the registry') =>
  pod({ node: 'n', state: { waiting: { reason, message } } });
const unplaced = pod({
  conditions: [
    ['PodScheduled', 'Unschedulable', '0/3 nodes are available: 3 Insufficient nvidia.com/gpu.', 'False'],
  ],
});

it.each<[string, ReturnType<typeof seen>, ReturnType<typeof seen>]>([
  ['without a pod', seen(job([])), { phase: 'queued' }],
  [
    'suspended',
    seen(job([['Suspended', 'JobSuspended', 'Job suspended']], { suspend: true })),
    { phase: 'queued', waits: 'Queued: Job suspended' },
  ],
  ['with a container that is made', seen(job([]), [waiting('ContainerCreating', '')]), { phase: 'queued' }],
  [
    'that no node can hold',
    seen(job([]), [unplaced]),
    { phase: 'queued', waits: 'Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.' },
  ],
  [
    'whose image does not come yet',
    seen(job([]), [waiting('ErrImagePull')], { troubledSince: now - 5_000 }),
    { phase: 'queued', waits: 'ImagePull: registry/trainer:1: words of the registry' },
  ],
  [
    'whose image does not come at all',
    seen(job([]), [waiting('ImagePullBackOff')], { troubledSince: now - 50_000 }),
    { phase: 'failed', cause: 'ErrImagePull', message: 'registry/trainer:1: words of the registry' },
  ],
  [
    'with an image that has no name',
    seen(job([]), [waiting('InvalidImageName')], { troubledSince: now }),
    { phase: 'failed', cause: 'ErrImagePull', message: 'registry/trainer:1: words of the registry' },
  ],
  [
    'whose Secret is not there',
    seen(job([]), [waiting('CreateContainerConfigError', 'secret "s" not found')], {
      troubledSince: now - 50_000,
    }),
    { phase: 'failed', cause: 'CreateContainerError', message: 'secret "s" not found' },
  ],
  ['that runs', seen(job([]), [pod({ phase: 'Running', state: { running: {} } })]), { phase: 'running' }],
  ['whose pod has ended a moment ago', seen(job([]), [exited(1)]), { phase: 'running' }],
  [
    'whose pod was taken and comes again',
    seen(job([]), [exited(143, 'Error', { conditions: [disrupted('PreemptionByScheduler')] })]),
    { phase: 'queued', waits: 'Evicted: words of the cluster' },
  ],
  [
    'on a node that does not answer, deleted long ago',
    seen(job([]), [pod({ phase: 'Running', node: 'n', deleted: before(60), state: { running: {} } })]),
    { phase: 'failed', cause: 'NodeLost' },
  ],
  [
    'that was stopped while it was queued',
    seen(job([['Suspended']], { suspend: true, stopped: true })),
    { phase: 'failed', cause: 'Stopped' },
  ],
  [
    'that was stopped before it was on a node',
    seen(job([], { stopped: true }), [pod({ deleted: before(1) })]),
    { phase: 'failed', cause: 'Stopped' },
  ],
  [
    'that somebody has deleted, whose pod still ends',
    seen(job([]), [pod({ phase: 'Running', node: 'n', deleted: before(-5), state: { running: {} } })], {
      gone: true,
    }),
    { phase: 'running' },
  ],
  ['that somebody has deleted', seen(job([]), [], { gone: true }), { phase: 'failed', cause: 'Deleted' }],
  ['that is done', seen(job([['Complete']])), { phase: 'succeeded', exitCode: 0 }],
])('a Job %s', (_, found, expected) => expect(found).toEqual(expected));
