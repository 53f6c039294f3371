/**
 * Runs TypeScript sources in plain Node, without a build: `node --conditions=source --import ./scripts/source-loader.mjs FILE.ts`.
 * For child processes of tests. Sources with decorators are not supported.
 */
import { register } from 'node:module';

register('./source-hooks.mjs', import.meta.url);
