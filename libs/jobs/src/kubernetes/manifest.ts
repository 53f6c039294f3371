/** An attempt as a batch/v1 Job, with the Secret of its token and what is said of it in Events. Pure. */
import { endingExitCodes } from '@emotune/base';
import type { CoreV1Event, V1EnvVar, V1Job, V1Secret } from '@kubernetes/client-node';
import type { JobEvent, JobSpec } from '../runner.js';
import type { JobTemplate } from './template.js';

/** What is the same for all Jobs of a runner. */
export interface JobPlace {
  readonly namespace: string;
  /** Tells the Jobs of several platforms in one namespace apart. */
  readonly instance: string;
  /** Where the experiment's job names none. */
  readonly image: string;
  readonly template: JobTemplate;
}

export const containerName = 'trainer';
export const ownLabels = {
  name: 'app.kubernetes.io/name',
  instance: 'app.kubernetes.io/instance',
  component: 'app.kubernetes.io/component',
  partOf: 'app.kubernetes.io/part-of',
  managedBy: 'app.kubernetes.io/managed-by',
  version: 'app.kubernetes.io/version',
} as const;
/** The owner of fields, and the source of Events. */
export const manager = 'emotune-tuning';
/** Of a Job that was asked to end, with when. */
export const stoppedAnnotation = 'emotune.io/stopped';
/** Of a pod that came after others of its Job: at which byte of the Job's log its own begins. */
export const logOffsetAnnotation = 'emotune.io/log-offset';

const managedBy = 'emotune';

/** Those of one platform. */
export function selectorOf(instance: string): string {
  return `${ownLabels.managedBy}=${managedBy},${ownLabels.instance}=${labelValue(instance)}`;
}

/** A text as a label's value: what it may not hold becomes a dash. */
function labelValue(text: string): string {
  return text
    .replace(/[^A-Za-z0-9_.-]/g, '-')
    .slice(0, 63)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
}

function mapped(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, labelValue(value)]));
}

/** "registry:5000/emotune-trainer:1.2@sha256:…" → "1.2" */
function versionOf(image: string): string {
  return labelValue(/:([^:/@]+)(?:@.*)?$/.exec(image)?.[1] ?? '');
}

function jobLabels(spec: JobSpec, { instance, template }: JobPlace, image: string): Record<string, string> {
  const version = versionOf(image);
  return {
    ...template.labels,
    ...mapped({
      [ownLabels.name]: 'emotune-trainer',
      [ownLabels.instance]: instance,
      [ownLabels.component]: containerName,
      [ownLabels.partOf]: 'emotune',
      [ownLabels.managedBy]: managedBy,
      ...spec.labels,
    }),
    ...(version === '' ? {} : { [ownLabels.version]: version }),
  };
}

function resourcesOf({ resources }: JobSpec, { template }: JobPlace) {
  const { cpus, memoryMib, gpus, gpuResource } = resources;
  const asked = {
    ...(cpus > 0 ? { cpu: String(cpus) } : {}),
    ...(memoryMib > 0 ? { memory: `${memoryMib}Mi` } : {}),
  };
  const devices = gpus > 0 ? { [gpuResource || template.gpuResource]: String(gpus) } : {};
  const { memory } = { memory: undefined, ...asked };
  return {
    requests: { ...template.resources.requests, ...asked, ...devices },
    // Threads that the machine has to spare may be used; memory may not.
    limits: { ...template.resources.limits, ...(memory ? { memory } : {}), ...devices },
  };
}

function environmentOf({ environment }: JobSpec, secret: string, { template }: JobPlace): V1EnvVar[] {
  const given = { TMPDIR: '/tmp', HOME: '/tmp', ...environment };
  return [
    ...(template.env as V1EnvVar[]).filter(({ name }) => !Object.hasOwn(environment, name)),
    ...Object.entries(given).map(([name, value]) => ({ name, value })),
    { name: 'EMOTUNE_TOKEN', valueFrom: { secretKeyRef: { name: secret, key: 'token' } } },
  ];
}

/** @param secret The name of the Secret with its token. */
export function jobManifest(spec: JobSpec, secret: string, place: JobPlace): V1Job {
  const { namespace, template } = place;
  const { name, ranks, nodeSelector, tolerations = [], priorityClass, deadlineSeconds } = spec;
  const image = spec.image ?? place.image;
  const metadata = {
    labels: jobLabels(spec, place, image),
    annotations: { ...template.annotations, ...spec.annotations },
  };
  const given = {
    affinity: template.affinity,
    priorityClassName: priorityClass || template.priorityClassName,
    runtimeClassName: template.runtimeClassName,
    schedulerName: template.schedulerName,
    serviceAccountName: template.serviceAccountName,
  };
  const { OutOfMemory, InvalidConfiguration, Diverged } = endingExitCodes;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace, ...metadata },
    spec: {
      completions: ranks,
      parallelism: ranks,
      ...(ranks > 1 ? { completionMode: 'Indexed' } : {}),
      // Another attempt is another Job, whose trainer shows another token.
      backoffLimit: 0,
      podReplacementPolicy: 'Failed',
      podFailurePolicy: {
        rules: [
          // The machine was taken: the same attempt goes on elsewhere.
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          {
            action: 'FailJob',
            onExitCodes: {
              containerName,
              operator: 'In',
              values: [OutOfMemory, InvalidConfiguration, Diverged],
            },
          },
        ],
      },
      ...(deadlineSeconds === undefined
        ? {}
        : { activeDeadlineSeconds: Math.max(1, Math.ceil(deadlineSeconds)) }),
      ttlSecondsAfterFinished: template.ttlSecondsAfterFinished,
      template: {
        metadata,
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: template.terminationGracePeriodSeconds,
          // The first process of a namespace does not die of a signal that it does not handle yet.
          shareProcessNamespace: true,
          nodeSelector: { ...template.nodeSelector, ...nodeSelector },
          tolerations: [...template.tolerations, ...tolerations],
          topologySpreadConstraints: template.topologySpreadConstraints as never,
          imagePullSecrets: template.imagePullSecrets,
          ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value)) as object),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65532,
            runAsGroup: 65532,
            fsGroup: 65532,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: containerName,
              image,
              ...(template.imagePullPolicy ? { imagePullPolicy: template.imagePullPolicy } : {}),
              env: environmentOf(spec, secret, place),
              envFrom: template.envFrom,
              resources: resourcesOf(spec, place),
              // What a trainer that fails has logged last says why.
              terminationMessagePolicy: 'FallbackToLogsOnError',
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }, ...template.volumeMounts],
            },
          ],
          volumes: [{ name: 'tmp', emptyDir: { sizeLimit: template.tmpSizeLimit } }, ...template.volumes],
        },
      },
    },
  };
}

/** What removes it when the Job goes. */
function ownerOf({ metadata }: V1Job) {
  const { name, uid } = metadata!;
  return { apiVersion: 'batch/v1', kind: 'Job', name: name!, uid: uid!, controller: true };
}

export function secretManifest(name: string, token: string, job: V1Job): V1Secret {
  const { namespace, labels } = job.metadata!;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: namespace!, labels: labels!, ownerReferences: [ownerOf(job)] },
    immutable: true,
    stringData: { token },
  };
}

/** The Secret that a Job takes its token from. */
export function secretNameOf(job: V1Job): string | undefined {
  const { env } = job.spec!.template.spec!.containers[0];
  return env?.find(({ name }) => name === 'EMOTUNE_TOKEN')?.valueFrom?.secretKeyRef?.name;
}

/** At most 1,024 characters of a message are kept. */
const longestMessage = 1024;

/** Named by what it says, so that it is there once however often it is sent. */
export function eventManifest(job: V1Job, { reason, message, warning }: JobEvent, now: Date): CoreV1Event {
  const { name, namespace, uid, resourceVersion } = job.metadata!;
  const at = now.toISOString();
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${uid!.slice(0, 8)}.${reason.toLowerCase()}`, namespace: namespace! },
    involvedObject: {
      apiVersion: 'batch/v1',
      kind: 'Job',
      name: name!,
      namespace: namespace!,
      uid: uid!,
      resourceVersion: resourceVersion!,
    },
    reason,
    message: message.length > longestMessage ? `${message.slice(0, longestMessage - 1)}…` : message,
    type: warning ? 'Warning' : 'Normal',
    source: { component: manager },
    // A date in the client's types, text on the wire.
    firstTimestamp: at as unknown as Date,
    lastTimestamp: at as unknown as Date,
    count: 1,
    reportingComponent: manager,
    reportingInstance: manager,
  };
}
