import { readEnvironment } from '@emotune/jobs';
import { expect, it } from 'vitest';
import { jobOf } from './job.js';
import { planOf } from './spec.js';
import { anywhere, experimentSpec } from './testing.js';

const place = { address: '10.0.0.1:50051', objects: 's3://bucket', image: 'emotune/trainer:1' };
const attempt = { attempt: 2, token: 'a secret' };
const { spec } = planOf(
  experimentSpec({
    name: 'tweets',
    baseModels: [
      {
        architecture: 'opt',
        model: 'base-opt',
        nodeSelector: { 'gpu.model': 'a100' },
        tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', value: '', effect: '' }],
        priorityClass: 'large',
        gpus: 2,
        gpuResource: 'nvidia.com/mig-1g.10gb',
      },
      { architecture: '', model: 'base-bloom', ...anywhere },
    ],
    limits: { maxAttemptSeconds: 600 },
    training: { threads: 4, memoryLimitMib: 900 },
  }),
);

it('tells a trainer its attempt, and a runner what the attempt needs', () => {
  const parameters = { architecture: 'opt', learningRate: 1e-3 };
  const job = jobOf(spec, { number: 3, kind: 'search', parameters }, attempt, place);
  expect(job).toMatchObject({
    name: 'tweets-t3-a2',
    labels: {
      'emotune.io/experiment': 'tweets',
      'emotune.io/trial': 'tweets-t3',
      'emotune.io/trial-number': '3',
      'emotune.io/architecture': 'opt',
      'emotune.io/attempt': '2',
    },
    annotations: { 'emotune.io/parameters': '{"architecture":"opt","learningRate":0.001}' },
    token: 'a secret',
    image: 'emotune/trainer:1',
    resources: { cpus: 4, memoryMib: 900, gpus: 2, gpuResource: 'nvidia.com/mig-1g.10gb' },
    tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists' }],
    priorityClass: 'large',
    ranks: 1,
    nodeSelector: { 'gpu.model': 'a100' },
    deadlineSeconds: 600,
  });
  expect(readEnvironment(job.environment)).toMatchObject({
    tuning: '10.0.0.1:50051',
    trial: { experiment: 'tweets', number: 3, attempt: 2 },
    objects: 's3://bucket',
    threads: 4,
  });
  expect(JSON.stringify(job.environment)).not.toContain('a secret');
});

it('gives the final training all of its machine and all the time that it takes', () => {
  const parameters = { architecture: 'base-bloom' };
  const job = jobOf(spec, { number: 9, kind: 'final', parameters }, attempt, place);
  expect(job).not.toHaveProperty('deadlineSeconds');
  expect(job).toMatchObject({ resources: { cpus: 0 }, nodeSelector: {} });
  expect(readEnvironment(job.environment).threads).toBe(0);
});
