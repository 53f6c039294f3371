import { defineConfig } from 'vitest/config';
import base from './vitest.config.js';

/** Tests against real Kafka, Kubernetes and S3, one file after the other: a machine has one such cluster. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['**/*.cluster.test.ts'],
    exclude: ['**/node_modules/**'],
    maxWorkers: 1,
    testTimeout: 1_800_000,
    hookTimeout: 1_800_000,
  },
});
