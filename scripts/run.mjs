/** The root commands: `node scripts/run.mjs start|test|test-cluster|test-browser|check|emotune|parity|build|generate [arguments]`. Each sets up what it needs. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './check.mjs';
import { build, node, root, run, setup, turbo } from './setup.mjs';

const inherit = 'inherit';
const bin = (name, file) => join(root, 'node_modules', name, file);

async function emotune(args) {
  await build();
  return run(node, [join(root, 'services', 'platform', 'dist', 'main.js'), ...args], {
    cwd: process.env.INIT_CWD ?? process.cwd(),
    stdio: inherit,
  });
}

/** Runs Vitest and ends with the line `N passed, N failed`. */
async function test(args) {
  // Processes that tests start run compiled code.
  await build();
  const folder = mkdtempSync(join(tmpdir(), 'emotune-test-'));
  const report = join(folder, 'report.json');
  try {
    const code = await run(
      node,
      [
        bin('vitest', 'vitest.mjs'),
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...args,
      ],
      { stdio: inherit },
    );
    const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(readFileSync(report, 'utf8'));
    // A file that fails to load, or an error outside any test, has no failed test of its own.
    process.stdout.write(`${passed} passed, ${code === 0 ? failed : Math.max(failed, 1)} failed\n`);
    return code;
  } catch (error) {
    process.stderr.write(`emotune: the test run left no report (${error.message})\n`);
    process.stdout.write('0 passed, 1 failed\n');
    return 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const commands = {
  start: (args) => emotune(['start', ...args]),
  emotune,
  test,
  // Against real Kafka, Kubernetes and S3, as far as this machine can start them.
  'test-cluster': (args) => test(['--config', 'vitest.cluster.config.ts', ...args]),
  // In Chromium, where this machine has it.
  'test-browser': (args) => test(['--config', 'vitest.browser.config.ts', ...args]),
  check,
  parity: (args) => emotune(['parity', ...args]),
  build: (args) => turbo('build', args),
  generate: (args) => turbo('generate', args),
};

const [name, ...args] = process.argv.slice(2);
const command = commands[name];
if (!command) {
  process.stderr.write(
    `emotune: unknown command "${name ?? ''}", expected one of ${Object.keys(commands).join(', ')}\n`,
  );
  process.exit(2);
}
await setup();
process.exit(await command(args));
