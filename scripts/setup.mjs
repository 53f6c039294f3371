/**
 * Sets up what is missing, with nothing but Node ≥ 20 and npm: the pinned pnpm (from scripts/pnpm's lockfile),
 * then every package of the workspace, Node 22 among them (from pnpm-lock.yaml). A second call costs nothing.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const pnpmFolder = join(root, 'scripts', 'pnpm');
const stampFile = join(root, 'node_modules', '.emotune-setup');
const pnpmEntry = join(pnpmFolder, 'node_modules', 'pnpm', 'bin', 'pnpm.cjs');

/** The pinned Node. `.bin/node` is a shell wrapper that swallows signals, so programs start by this path. */
export const node = join(root, 'node_modules', 'node', 'bin', 'node');

/** The environment of every program that is started here: none of them reports home. */
function environment() {
  return {
    ...process.env,
    // Its install script would fetch CUDA libraries from outside npm.
    ONNXRUNTIME_NODE_INSTALL: 'skip',
    TURBO_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
    PATH: [
      join(root, 'node_modules', 'node', 'bin'),
      join(pnpmFolder, 'node_modules', '.bin'),
      process.env.PATH,
    ].join(delimiter),
  };
}

/** Runs a program to its end. Its output goes to stderr unless `stdio` says otherwise; `started` gets the process. */
export function run(
  file,
  args,
  { cwd = root, stdio = ['inherit', 2, 2], env = environment(), started = () => {}, endMs = 15_000 } = {},
) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, stdio, env });
    started(child);
    const forward = (signal) => {
      child.kill(signal);
      // One whose event loop is held never hears of it.
      setTimeout(() => child.kill('SIGKILL'), endMs).unref();
    };
    const forwarded = ['SIGTERM', 'SIGHUP'];
    // Ctrl-C reaches the whole process group; the child decides how to end.
    const ignore = () => {};
    process.on('SIGINT', ignore);
    for (const signal of forwarded) process.on(signal, forward);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', ignore);
      for (const name of forwarded) process.off(name, forward);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

function fail(what, code) {
  process.stderr.write(
    `emotune: ${what} failed (exit ${code}); the lines above say why. Run the command again once it is mended.\n`,
  );
  process.exit(1);
}

async function must(what, file, args, options) {
  const code = await run(file, args, options);
  if (code !== 0) fail(what, code);
}

function packageFiles() {
  const folders = [
    'proto',
    'test',
    ...['libs', 'services'].flatMap((f) => readdirSync(join(root, f)).map((n) => join(f, n))),
  ];
  return [
    'package.json',
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    ...folders.map((f) => join(f, 'package.json')),
  ].filter((f) => existsSync(join(root, f)));
}

function stamp() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`);
  for (const file of packageFiles()) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** Installs what the lockfiles pin, when it is not there yet. */
export async function setup() {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) {
    process.stderr.write(
      `emotune: Node 20 or newer is needed to start (this is ${process.version}); it installs its own Node 22.\n`,
    );
    process.exit(1);
  }
  const wanted = stamp();
  if (existsSync(node) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return;
  process.stderr.write('emotune: installing packages (the first time takes a minute or two)\n');
  if (!existsSync(pnpmEntry)) {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    await must(
      'installing pnpm',
      npm,
      ['ci', '--prefix', pnpmFolder, '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'],
      { cwd: pnpmFolder },
    );
  }
  await must('installing packages', process.execPath, [
    pnpmEntry,
    'install',
    '--frozen-lockfile',
    '--reporter=append-only',
    '--loglevel=warn',
  ]);
  writeFileSync(stampFile, wanted);
}

const patienceMs = 2000;

/** Runs a task of turbo.json in every package that has it. */
export function turbo(task, args = [], options = {}) {
  const entry = join(root, 'node_modules', 'turbo', 'bin', 'turbo');
  return run(node, [entry, 'run', task, '--no-update-notifier', ...args], options);
}

/** Compiles what changed since the last time. It says so where that takes a while, and shows what the compiler says where it fails. */
export async function build() {
  const said = [];
  const notice = setTimeout(() => process.stderr.write('emotune: compiling what has changed\n'), patienceMs);
  const code = await turbo('build', ['--output-logs=errors-only', '--log-order=stream'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    started: ({ stdout, stderr }) => {
      for (const stream of [stdout, stderr]) stream.on('data', (chunk) => said.push(chunk));
    },
  });
  clearTimeout(notice);
  if (code === 0) return;
  process.stderr.write(Buffer.concat(said));
  fail('building', code);
}
