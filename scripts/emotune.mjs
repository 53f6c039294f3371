#!/usr/bin/env node
/** The command line as a program: `npm link` in the project's root puts `emotune` on the path. */
process.argv.splice(2, 0, 'emotune');
await import('./run.mjs');
