/** The operator's template: what the Job of every trial gets beside what its experiment asks for. */
import { readFileSync } from 'node:fs';
import { InvalidArgument, parse } from '@emotune/base';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { z } from 'zod';

const texts = z.record(z.string(), z.string());
const quantities = z.record(z.string(), z.union([z.string(), z.number()]).transform(String));
/** Objects of Kubernetes that are handed on as they are: the API server says what is wrong with them. */
const handedOn = z.looseObject({});

const template = z.strictObject({
  /** Of Job and pods; `kueue.x-k8s.io/queue-name` queues the Job. */
  labels: texts.prefault({}),
  annotations: texts.prefault({}),
  nodeSelector: texts.prefault({}),
  tolerations: z.array(handedOn).prefault([]),
  affinity: handedOn.optional(),
  topologySpreadConstraints: z.array(handedOn).prefault([]),
  priorityClassName: z.string().optional(),
  runtimeClassName: z.string().optional(),
  schedulerName: z.string().optional(),
  serviceAccountName: z.string().optional(),
  imagePullSecrets: z.array(z.strictObject({ name: z.string() })).prefault([]),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
  env: z.array(z.looseObject({ name: z.string() })).prefault([]),
  envFrom: z.array(handedOn).prefault([]),
  volumes: z.array(z.looseObject({ name: z.string() })).prefault([]),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).prefault([]),
  /** Where the experiment says nothing. */
  resources: z
    .strictObject({ requests: quantities.prefault({}), limits: quantities.prefault({}) })
    .prefault({}),
  /** The resource that a GPU is asked for by, unless the experiment names another. */
  gpuResource: z.string().prefault('nvidia.com/gpu'),
  /** Of /tmp, where a trainer keeps what it has fetched. */
  tmpSizeLimit: z.string().prefault('20Gi'),
  terminationGracePeriodSeconds: z.number().int().min(1).max(3600).prefault(30),
  /** A Job that has ended and that nobody has removed goes after this. */
  ttlSecondsAfterFinished: z.number().int().min(60).prefault(86_400),
});

export type JobTemplate = z.output<typeof template>;

export const emptyTemplate: JobTemplate = template.parse({});

/** @throws InvalidArgument naming the file and every field that is wrong. */
export function readJobTemplate(file: string): JobTemplate {
  const at = (what: string, cause?: unknown) => InvalidArgument.at(file, what, { cause });
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw at(`expected a file that can be read, got ${(error as NodeJS.ErrnoException).code}`, error);
  }
  try {
    const given = Object.entries(parseYaml(text) ?? {});
    // A field that is there without a value says nothing.
    return parse(template, Object.fromEntries(given.filter(([, value]) => value !== null)), [file]);
  } catch (error) {
    if (error instanceof YAMLParseError) throw at(`expected YAML, got: ${error.message}`, error);
    throw error;
  }
}
