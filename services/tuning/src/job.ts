/** The job of an attempt: what its trainer is told, and what a runner needs to place it. Pure. */
import { annotations, type JobSpec, labels, type Toleration, writeEnvironment } from '@emotune/jobs';
import type { tuning } from '@emotune/proto';
import { architectureOf } from './architecture.js';
import { jobName, type Trial } from './state.js';

/** What is the same for all trainers of a service. */
export interface TrainerPlace {
  /** host:port where trainers reach the tuning service. */
  readonly address: string;
  /** The CA by which they call it by TLS, PEM; empty: those of the system. Undefined where nothing is encrypted. */
  readonly ca?: string | undefined;
  /** How they trace, and the trace of the trial; without, not at all. */
  readonly tracing?: { readonly variables: Record<string, string>; readonly parent: string } | undefined;
  /** URL of the object store. */
  readonly objects: string;
  /** The container image of trainers, where the runner starts containers. */
  readonly image?: string | undefined;
}

/** Without the fields that say nothing. */
function filled(toleration: tuning.Toleration): Toleration {
  return Object.fromEntries(Object.entries(toleration).filter(([, value]) => value !== ''));
}

export function jobOf(
  spec: tuning.ExperimentSpec,
  trial: Pick<Trial, 'number' | 'kind' | 'parameters'>,
  { attempt, token }: { readonly attempt: number; readonly token: string },
  { address, ca, tracing, objects, image }: TrainerPlace,
): JobSpec {
  const { name, training, limits } = spec;
  const { number, kind, parameters } = trial;
  const architecture = architectureOf(spec, parameters);
  const base = spec.baseModels.find((b) => (b.architecture || b.model) === architecture);
  // The final training runs alone: it takes what its machine has.
  const threads = kind === 'final' ? 0 : (training?.threads ?? 0);
  const deadlineSeconds = kind === 'final' ? 0 : (limits?.maxAttemptSeconds ?? 0);
  return {
    name: jobName(name, number, attempt),
    labels: {
      [labels.experiment]: name,
      [labels.trial]: `${name}-t${number}`,
      [labels.trialNumber]: String(number),
      [labels.architecture]: architecture,
      [labels.attempt]: String(attempt),
    },
    annotations: { [annotations.parameters]: JSON.stringify(parameters) },
    environment: {
      ...tracing?.variables,
      ...writeEnvironment({
        traceparent: tracing?.parent,
        tuning: address,
        tls: ca === undefined ? undefined : { ca },
        trial: { experiment: name, number, attempt },
        objects,
        threads,
      }),
    },
    token,
    ...(image === undefined ? {} : { image }),
    resources: {
      cpus: threads,
      memoryMib: training?.memoryLimitMib ?? 0,
      gpus: base?.gpus ?? 0,
      ...(base?.gpuResource ? { gpuResource: base.gpuResource } : {}),
    },
    ranks: 1,
    nodeSelector: base?.nodeSelector ?? {},
    tolerations: (base?.tolerations ?? []).map(filled),
    ...(base?.priorityClass ? { priorityClass: base.priorityClass } : {}),
    ...(deadlineSeconds > 0 ? { deadlineSeconds } : {}),
  };
}
