/** Everything that can be known without running the program: format, lint, types, boundaries, unused code, generated code. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { node, root, run } from './setup.mjs';

const tool = (...path) => join(root, 'node_modules', ...path);
const proto = join(root, 'proto');
const buf = (...args) =>
  run(node, [join(proto, 'node_modules', '@bufbuild', 'buf', 'bin', 'buf'), ...args], { cwd: proto });

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

async function generatedCodeIsCurrent() {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-generate-'));
  try {
    const code = await buf('generate', '--output', folder);
    if (code !== 0) return code;
    const have = join(proto, 'gen');
    const want = join(folder, 'gen');
    const files = filesBelow(want);
    const stale = files.filter((file) => {
      try {
        return readFileSync(join(have, file), 'utf8') !== readFileSync(join(want, file), 'utf8');
      } catch {
        return true;
      }
    });
    const extra = filesBelow(have).filter((file) => !files.includes(file));
    for (const file of [...stale, ...extra])
      process.stderr.write(`proto/gen/${file} is not what the .proto files give\n`);
    if (stale.length + extra.length === 0) return 0;
    process.stderr.write('Run `pnpm generate` and commit the result.\n');
    return 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const steps = [
  [
    'format and lint',
    () => run(node, [tool('@biomejs', 'biome', 'bin', 'biome'), 'check', '--error-on-warnings', '.']),
  ],
  ['types', () => run(node, [tool('typescript', 'bin', 'tsc'), '-p', 'tsconfig.json'])],
  ['boundaries', () => run(node, [tool('turbo', 'bin', 'turbo'), 'boundaries', '--no-update-notifier'])],
  ['unused code and dependencies', () => run(node, [tool('knip', 'bin', 'knip.js'), '--no-progress'])],
  ['protos', () => buf('lint')],
  ['breaking changes', () => buf('breaking', '--against', 'baseline.binpb')],
  ['generated code', generatedCodeIsCurrent],
];

/** Runs every step, also after one has failed, so that one run shows all there is to mend. */
export async function check() {
  const failed = [];
  for (const [name, step] of steps) {
    const started = Date.now();
    const code = await step();
    process.stderr.write(
      `${code === 0 ? '✓' : '✗'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`,
    );
    if (code !== 0) failed.push(name);
  }
  if (failed.length > 0) process.stderr.write(`check failed: ${failed.join(', ')}\n`);
  return failed.length === 0 ? 0 : 1;
}
