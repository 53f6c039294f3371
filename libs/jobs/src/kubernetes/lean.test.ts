import type { V1Job, V1Pod } from '@kubernetes/client-node';
import { expect, it } from 'vitest';
import { leanJob, leanPod } from './lean.js';
import { jobManifest, secretNameOf } from './manifest.js';
import { emptyTemplate } from './template.js';

const spec = {
  ...{ name: 'a-t0-a1', labels: { 'emotune.io/trial': 'a-t0' }, annotations: {}, ranks: 1, token: 'secret' },
  environment: { EMOTUNE_TRIAL: 'a/0/1', AWS_SECRET_ACCESS_KEY: 'hidden' },
  resources: { cpus: 1, memoryMib: 512, gpus: 0, gpuResource: '' },
};
const place = { namespace: 'trials', instance: 'emotune', image: 'trainer:1', template: emptyTemplate };
const managedFields = [{ manager: 'kube-controller-manager', fieldsV1: { 'f:status': {} } }];
const told = { uid: 'u', resourceVersion: '7', managedFields };

it('keeps of a Job what its log and its state are read by, and its Secret', () => {
  const made = jobManifest(spec as never, 'a-t0-a1-1', place);
  const status = { failed: 1, conditions: [{ type: 'Failed', status: 'True' }] };
  const metadata = { ...made.metadata, ...told } as never;
  const job: V1Job = { ...made, metadata, spec: { ...made.spec!, suspend: true }, status };
  const lean = leanJob(job);
  expect(lean.metadata).toEqual({ ...made.metadata, uid: 'u', resourceVersion: '7' });
  expect(lean.status).toEqual(status);
  expect(lean.spec!.suspend).toBe(true);
  expect(secretNameOf(lean)).toBe('a-t0-a1-1');
  const variables = (of: V1Job) => of.spec!.template.spec!.containers.map(({ env }) => env);
  expect(variables(lean)).toEqual(variables(job));
  expect(JSON.stringify(lean).length).toBeLessThan(JSON.stringify(job).length / 1.5);
});

it('keeps of a pod its metadata, its node and its state', () => {
  const status = { phase: 'Running', containerStatuses: [] };
  const pod = {
    metadata: { name: 'a', ...told, ownerReferences: [{ kind: 'Job', name: 'a-t0-a1', uid: 'j' }] },
    spec: { nodeName: 'n', containers: [{ name: 'trainer' }], volumes: [{ name: 'tmp' }] },
    status,
  } as unknown as V1Pod;
  const { managedFields: _, ...metadata } = pod.metadata!;
  expect(leanPod(pod)).toEqual({ metadata, spec: { containers: [], nodeName: 'n' }, status });
});
