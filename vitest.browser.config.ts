import { defineConfig } from 'vitest/config';
import base from './vitest.config.js';

/** Tests of pages in Chromium: the one that EMOTUNE_CHROMIUM names, or that is installed; without one they say so and pass over. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['services/*/src/**/*.browser.test.ts'],
    exclude: ['**/node_modules/**'],
    maxWorkers: 1,
  },
});
