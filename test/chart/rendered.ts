/** The chart as Kubernetes would get it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '@emotune/local';
import { parseAllDocuments } from 'yaml';

export const chartFolder = fileURLToPath(new URL('../../helm/emotune', import.meta.url));

export const valueFiles = ['minimal', 'production', 'evaluation'] as const;

export type ValueFile = (typeof valueFiles)[number];

export const valuesOf = (name: ValueFile) => `${chartFolder}/ci/${name}-values.yaml`;

// biome-ignore lint/suspicious/noExplicitAny: objects of Kubernetes, of many kinds
export type Manifest = any;

function manifestsIn(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS())
    .filter(Boolean);
}

/** Objects by `Kind/name`. */
export type Rendered = ReadonlyMap<string, Manifest>;

/** What `helm template` makes of the values and what further arguments say. */
export async function render(
  { helm }: Pick<Cluster, 'helm'>,
  name: ValueFile,
  ...args: readonly string[]
): Promise<Rendered> {
  const text = await helm(
    'template',
    'try',
    chartFolder,
    '--namespace',
    'place',
    '-f',
    valuesOf(name),
    ...args,
  );
  return new Map(manifestsIn(text).map((each) => [`${each.kind}/${each.metadata.name}`, each]));
}

export const services = ['data', 'featurization', 'tuning', 'evaluation', 'inference'] as const;

export const ofKind = (rendered: Rendered, kind: string) =>
  [...rendered.values()].filter((each) => each.kind === kind);

/** The pod templates, by their object's name. */
export function podsOf(rendered: Rendered): [name: string, spec: Manifest][] {
  return [...rendered].flatMap(([name, { kind, spec }]) => {
    if (kind === 'Pod') return [[name, spec]];
    return ['Deployment', 'StatefulSet', 'Job'].includes(kind) ? [[name, spec.template.spec]] : [];
  }) as [string, Manifest][];
}

/** The variables of a service's container; those that are references, as they are written. */
export function environmentOf(rendered: Rendered, area: string): Record<string, unknown> {
  const [container] = rendered.get(`Deployment/try-emotune-${area}`).spec.template.spec.containers;
  return Object.fromEntries(
    container.env.map(({ name, value, valueFrom }: Manifest) => [name, value ?? valueFrom]),
  );
}

export const listOf = (items: readonly Manifest[]): Manifest => ({ apiVersion: 'v1', kind: 'List', items });

/** Gives a YAML file with a text, or an object, while `use` runs. */
export async function withFile<T>(content: Manifest, use: (file: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-object-'));
  try {
    const file = join(folder, 'object.yaml');
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** `kubectl apply`; what it says. */
export function apply({ kubectl }: Cluster, object: Manifest, ...args: readonly string[]): Promise<string> {
  return withFile(object, (file) => kubectl('apply', '--filename', file, ...args));
}
