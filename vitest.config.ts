import { defineConfig } from 'vitest/config';

/** Packages export their sources under the condition `source`, so tests need no build. */
const conditions = ['source', 'node'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ['source', 'node'] } },
  test: {
    include: [
      'libs/*/src/**/*.test.ts',
      'services/*/src/**/*.test.ts',
      'test/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    exclude: ['**/*.cluster.test.ts', '**/*.browser.test.ts', '**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    // A limit only ends a hang: other work on the machine must not fail a test.
    testTimeout: 300_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 200_000 } },
  },
});
