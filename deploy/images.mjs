#!/usr/bin/env node
/**
 * Builds images without a Docker engine, by buildah from the same Dockerfile:
 *
 *   node deploy/images.mjs [--out FOLDER] [--device cpu|cuda] [SERVICE...]
 *
 * Each becomes FOLDER/emotune-SERVICE[-cuda].tar (default .emotune/images), which `docker load` and `ctr images import` take,
 * and its SBOM beside it; the command line is emotune.tar. They bear the version of package.json as their tag. Two builds of the
 * same sources on the same Debian give the same image.
 * SOURCE_DATE_EPOCH (default 0) is the time of everything in them; EMOTUNE_CUDA_CACHE (default .emotune/cuda) keeps 1.5 GB
 * of NVIDIA's libraries.
 *
 * Needs Linux, root, Debian's buildah and binutils, and what the project's tests need. This machine stands for the base image
 * of the Dockerfile: its /usr is mounted where packages are gathered, and the libraries in the images are its own (glibc of
 * Debian 12).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build, root, setup } from '../scripts/setup.mjs';

const services = ['data', 'featurization', 'tuning', 'trainer', 'evaluation', 'inference', 'emotune'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: join(root, '.emotune/images') },
    device: { type: 'string', default: 'cpu' },
  },
});
const out = resolve(values.out);
const device = values.device;
const chosen = positionals.length > 0 ? positionals : services;
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

if (spawnSync('buildah', ['--version']).error)
  fail(
    'needs buildah (apt-get install buildah), which is not on PATH; with Docker: docker build -f deploy/Dockerfile .',
  );
if (spawnSync('strip', ['--version']).error)
  fail('needs strip (apt-get install binutils), which is not on PATH');
if (process.getuid?.() !== 0) fail('needs root: buildah mounts and changes owners');

function fail(message) {
  process.stderr.write(`images: ${message}\n`);
  process.exit(2);
}

function buildah(...args) {
  const { status, stdout } = spawnSync('buildah', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) fail(`buildah ${args[0]} failed; the lines above say why`);
  return stdout.trim();
}

/** An image that has nothing but the links of a system whose /usr is mounted into it. */
function baseOfThisMachine() {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-image-'));
  try {
    for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(folder, name));
    for (const name of ['usr', 'etc', 'tmp', 'var']) mkdirSync(join(folder, name));
    const container = buildah('from', 'scratch');
    buildah('add', '--quiet', container, folder, '/');
    buildah('commit', '--quiet', '--rm', '--timestamp', '0', container, base);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const cuda = process.env.EMOTUNE_CUDA_CACHE ?? join(root, '.emotune/cuda');
// Builds at the same time leave each other's alone.
const own = `localhost/emotune-build-${process.pid}`;
const base = `${own}/base`;
const epoch = process.env.SOURCE_DATE_EPOCH || '0';

function nameOf(service) {
  return ['emotune', ...(service === 'emotune' ? [] : [service]), ...(device === 'cpu' ? [] : [device])].join(
    '-',
  );
}

function image(service) {
  const name = nameOf(service);
  const tag = `docker.io/library/${name}:${version}`;
  const built = `${own}/${name}`;
  const archive = join(out, `${name}.tar`);
  const started = performance.now();
  const readOnly = ['/usr', '/etc', '/var/lib/dpkg'].map((path) => `--volume=${path}:${path}:ro`);
  buildah(
    'build',
    '--quiet',
    '--isolation=chroot',
    '--pull=never',
    `--timestamp=${epoch}`,
    `--build-arg=BASE=${base}`,
    `--build-arg=SERVICE=${service}`,
    `--build-arg=DEVICE=${device}`,
    `--build-arg=SOURCE_DATE_EPOCH=${epoch}`,
    ...readOnly,
    ...(device === 'cuda' ? [`--volume=${cuda}:/cuda:ro`] : []),
    `--volume=${root}:/src`,
    `--file=${join(root, 'deploy/Dockerfile')}`,
    `--tag=${built}`,
    root,
  );
  rmSync(archive, { force: true });
  buildah('push', '--quiet', built, `docker-archive:${archive}:${tag}`);
  const container = buildah('from', '--pull=never', built);
  const sbom = join(buildah('mount', container), 'app/sbom.spdx.json');
  writeFileSync(join(out, `${name}.spdx.json`), readFileSync(sbom));
  buildah('rm', container);
  const id = buildah('inspect', '--type=image', '--format={{.FromImageID}}', built);
  buildah('rmi', built);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const mib = (statSync(archive).size / 2 ** 20).toFixed(0);
  process.stdout.write(`${tag} sha256:${id} ${mib} MiB ${seconds} s ${archive}\n`);
}

for (const service of chosen)
  if (!services.includes(service)) fail(`SERVICE: expected one of ${services.join(', ')}, got "${service}"`);
await setup();
await build();
mkdirSync(out, { recursive: true });
if (device === 'cuda')
  execFileSync(join(root, 'deploy/ort-cuda.sh'), ['fetch', cuda], { stdio: ['ignore', 2, 2] });
baseOfThisMachine();
for (const service of chosen) image(service);
buildah('rmi', base);
