import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { JobSpec } from '../runner.js';
import { jobManifest } from './manifest.js';
import { emptyTemplate, readJobTemplate } from './template.js';

const spec: JobSpec = {
  name: 'tweets-t3-a2',
  labels: { 'emotune.io/architecture': 'org/a model' },
  annotations: { 'emotune.io/parameters': '{}' },
  environment: { EMOTUNE_TRIAL: '3' },
  token: 'the token of the trial',
  resources: { cpus: 4, memoryMib: 900, gpus: 1 },
  ranks: 1,
  nodeSelector: { zone: 'a' },
  tolerations: [{ key: 'gpu', operator: 'Exists' }],
  priorityClass: 'large',
};
const place = {
  namespace: 'trials',
  instance: 'emotune',
  image: 'registry:5000/trainer:1.2@sha256:ab',
  template: emptyTemplate,
};

function template(text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-template-'));
  const file = join(folder, 'template.yaml');
  writeFileSync(file, text);
  try {
    return readJobTemplate(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('holds what the experiment asks for, and no secret', () => {
  const job = jobManifest(spec, 'tweets-t3-a2-x', place);
  expect(JSON.stringify(job)).not.toContain(spec.token);
  expect(job.metadata!.labels).toMatchObject({
    'app.kubernetes.io/managed-by': 'emotune',
    'app.kubernetes.io/version': '1.2',
    'emotune.io/architecture': 'org-a-model',
  });
  expect(job.spec!.template.metadata!.labels).toEqual(job.metadata!.labels);
  const pod = job.spec!.template.spec!;
  expect(pod).toMatchObject({
    nodeSelector: { zone: 'a' },
    tolerations: [{ key: 'gpu', operator: 'Exists' }],
    priorityClassName: 'large',
  });
  expect(pod.containers[0].resources).toEqual({
    requests: { cpu: '4', memory: '900Mi', 'nvidia.com/gpu': '1' },
    limits: { memory: '900Mi', 'nvidia.com/gpu': '1' },
  });
  expect(job.spec).not.toHaveProperty('completionMode');
  expect(jobManifest({ ...spec, ranks: 4 }, 's', place).spec).toMatchObject({
    completionMode: 'Indexed',
    completions: 4,
    parallelism: 4,
  });
});

it('holds what the operator adds, which says less than the experiment', () => {
  const added = template(`
labels: {kueue.x-k8s.io/queue-name: tuning, emotune.io/architecture: other}
nodeSelector: {zone: b, disk: fast}
tolerations: [{key: spot, operator: Exists}]
priorityClassName: small
env:
  - {name: AWS_REGION, value: eu-north-1}
  - {name: EMOTUNE_TRIAL, value: "9"}
envFrom:
resources: {requests: {cpu: 1, ephemeral-storage: 1Gi}}
gpuResource: amd.com/gpu
`);
  const job = jobManifest(spec, 's', { ...place, template: added });
  expect(job.metadata!.labels).toMatchObject({
    'kueue.x-k8s.io/queue-name': 'tuning',
    'emotune.io/architecture': 'org-a-model',
  });
  const pod = job.spec!.template.spec!;
  expect(pod).toMatchObject({
    nodeSelector: { zone: 'a', disk: 'fast' },
    tolerations: [{ key: 'spot' }, { key: 'gpu' }],
    priorityClassName: 'large',
  });
  const [{ env, resources }] = pod.containers;
  expect(env!.filter(({ name }) => name === 'EMOTUNE_TRIAL')).toEqual([
    { name: 'EMOTUNE_TRIAL', value: '3' },
  ]);
  expect(env).toContainEqual({ name: 'AWS_REGION', value: 'eu-north-1' });
  expect(resources!.requests).toMatchObject({ cpu: '4', 'ephemeral-storage': '1Gi', 'amd.com/gpu': '1' });
});

it.each([
  ['nodeSelectors: {a: b}', /template\.yaml\.nodeSelectors: /],
  ['tolerations: {key: spot}', /template\.yaml\.tolerations: expected/],
  ['labels: {a: 1}', /template\.yaml\.labels\.a: expected/],
  ['labels: {a', /template\.yaml: expected YAML/],
])('refuses the template %j, with the path', (text, message) => {
  expect(() => template(text)).toThrow(message);
});

it('says which template cannot be read', () => {
  expect(() => readJobTemplate('/nowhere/template.yaml')).toThrow(
    '/nowhere/template.yaml: expected a file that can be read, got ENOENT',
  );
});
