/** The images as deploy/images.mjs builds them: what is in them, and that they run on a real node. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  type Cluster,
  type Postgres,
  restrictedNamespace,
  startCluster,
  startPostgres,
  withoutCluster,
  withoutImages,
  withoutPostgres,
} from '@emotune/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImages, readyImages } from './built-images.js';
import { ImageArchive } from './image-archive.js';
import { pod } from './pods.js';

const services = ['data', 'featurization', 'tuning', 'evaluation', 'inference'];
const names = ['emotune', ...[...services, 'trainer'].map((service) => `emotune-${service}`)];
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'emotune-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Packages of npm that lie in an image, `name@version` each. */
async function installed(image: ImageArchive): Promise<string[]> {
  const found: string[] = [];
  for (const { path } of image.files) {
    const [, name] = /\/\.pnpm\/[^/]+\/node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(path) ?? [];
    if (name === undefined) continue;
    found.push(`${name}@${JSON.parse(await image.read(path)).version}`);
  }
  return [...new Set(found)].sort();
}

const reason = withoutImages() ?? withoutCluster('node') ?? withoutPostgres();
if (reason) process.stderr.write(`skipped: images: ${reason}\n`);

describe.skipIf(reason)('images', () => {
  let archives: string[];
  beforeAll(async () => {
    archives = await readyImages(folder);
  });
  const archive = (name: string) => {
    const found = archives.find((file) => basename(file) === `${name}.tar`);
    if (found === undefined) throw new Error(`no ${name}.tar among ${archives.join(', ')}`);
    return found;
  };

  const opened = new Map<string, Promise<ImageArchive>>();
  const open = (name: string) => {
    const image = opened.get(name) ?? ImageArchive.open(archive(name), join(folder, name));
    opened.set(name, image);
    return image;
  };

  it.each(names)(
    '%s runs as nobody, holds nothing that only builds need, and nobody may write to it',
    async (name) => {
      const image = await open(name);
      expect(image.config).toMatchObject({
        User: '65532:65532',
        Entrypoint: ['node', '/app/main.js'],
        WorkingDir: '/app',
      });
      const { files } = image;
      expect(files.filter(({ owner }) => owner !== '0/0')).toEqual([]);
      const writable = files.filter(
        ({ mode }) => !mode.startsWith('l') && /^.{5}w|^.{8}w|^.{3}s|^.{6}s/.test(mode),
      );
      expect(writable).toEqual([{ mode: 'drwxrwxrwt', owner: '0/0', path: 'tmp' }]);
      const paths = files.map(({ path }) => path);
      expect(
        paths.filter((path) => /\.(?:ts|map|tsbuildinfo)$|\.test\.|(?:^|\/)bin\/(?:ba)?sh$/.test(path)),
      ).toEqual([]);
      expect(paths.filter((path) => /\/(?:vitest|typescript|@biomejs|turbo|vite)\//.test(path))).toEqual([]);
      // Of another system.
      expect(paths.filter((path) => /\.(?:dll|dylib|exe)$|(?:darwin|win32)[^/]*\.node$/.test(path))).toEqual(
        [],
      );
    },
  );

  it('two builds of the same sources are the same image', async () => {
    const builds = [];
    for (const time of ['first', 'second']) {
      const to = join(folder, time);
      await buildImages(to, 'data');
      const { id } = await ImageArchive.open(join(to, 'emotune-data.tar'), join(to, 'files'));
      builds.push({ id, bill: readFileSync(join(to, 'emotune-data.spdx.json'), 'utf8') });
    }
    expect(builds[1]).toEqual(builds[0]);
  });

  const bill = async (name: string) =>
    (
      JSON.parse(await (await open(name)).read('app/sbom.spdx.json')) as {
        packages: { name: string; versionInfo: string; checksums?: { checksumValue: string }[] }[];
      }
    ).packages;

  it.each(names)('the bill of materials of %s lists what is in it', async (name) => {
    const image = await open(name);
    const text = await image.read('app/sbom.spdx.json');
    expect(readFileSync(archive(name).replace(/\.tar$/, '.spdx.json'), 'utf8')).toBe(text);
    const packages = await bill(name);
    const listed = packages
      .filter(({ checksums }) => checksums)
      .map((one) => `${one.name}@${one.versionInfo}`);
    expect([...new Set(listed)].sort()).toEqual(await installed(image));
    const others = packages.filter(({ checksums }) => !checksums).map((one) => one.name);
    expect(others).toEqual(
      expect.arrayContaining(['node', 'libc6', 'libstdc++6', 'ca-certificates', '@emotune/base']),
    );
    for (const { checksums } of packages)
      for (const { checksumValue } of checksums ?? []) expect(checksumValue).toMatch(/^[\da-f]{128}$/);
  });

  describe('on a node', () => {
    const namespace = 'images';
    let cluster: Cluster;
    let postgres: Postgres;
    beforeAll(async () => {
      cluster = await startCluster('node');
      postgres = await startPostgres({ host: cluster.address });
      await cluster.images(...names.map(archive));
      await cluster.apply(restrictedNamespace(namespace));
    });
    afterAll(async () => {
      await postgres?.stop();
      await cluster?.stop();
    });

    const run = (name: string, options: Partial<Parameters<typeof pod>[0]> = {}) =>
      cluster.apply(pod({ namespace, name, image: `${name}:${version}`, ...options }));
    const kubectl = (...args: string[]) => cluster.kubectl('-n', namespace, ...args);
    const ended = (name: string) =>
      kubectl(
        'wait',
        `pod/${name}`,
        '--for=jsonpath={.status.containerStatuses[0].state.terminated}',
        '--timeout=600s',
      );

    const nodeVersion = async () =>
      (await bill('emotune-data')).find(({ name }) => name === 'node')?.versionInfo;

    it('each service serves, as a user without rights who cannot change it', async () => {
      const token = randomBytes(32).toString('hex');
      const peers = ['data', 'featurization', 'tuning', 'evaluation']
        .map((area) => `${area}=${area}:50051`)
        .join(',');
      for (const service of services)
        await run(`emotune-${service}`, {
          serves: true,
          env: {
            EMOTUNE_DATABASE_URL: postgres.url,
            EMOTUNE_BUS_URL: postgres.url,
            EMOTUNE_OBJECTS_URL: 'file:///tmp/objects',
            EMOTUNE_PEERS: peers,
            EMOTUNE_TOKEN: token,
            ...(service === 'data' && { EMOTUNE_CACHE_DIR: '/tmp/corpora' }),
            ...(service === 'tuning' && { EMOTUNE_JOBS_DIR: '/tmp/jobs', EMOTUNE_TRAINER: '/app/main.js' }),
          },
        });
      for (const service of services) {
        await kubectl('wait', `pod/emotune-${service}`, '--for=condition=Ready', '--timeout=600s');
        const program = `
          const { writeFileSync } = require('node:fs');
          const attempt = (path) => { try { writeFileSync(path, ''); return 'written'; } catch (error) { return error.code; } };
          console.log(process.version, process.getuid(), attempt('/app/main.js'), attempt('/new'), attempt('/tmp/new'));`;
        expect(await kubectl('exec', `emotune-${service}`, '--', 'node', '-e', program)).toBe(
          `v${await nodeVersion()} 65532 EROFS EROFS written\n`,
        );
      }
      await kubectl('delete', 'pod', '--all');
      for (const service of services) expect(await kubectl('get', 'pods', '-o', 'name'), service).toBe('');
    });

    it('a service without its settings says which, and ends', async () => {
      await run('emotune-evaluation');
      await ended('emotune-evaluation');
      expect(await kubectl('logs', 'emotune-evaluation')).toMatch(/^EMOTUNE_DATABASE_URL: expected a URL/);
    });

    it('a trainer without its settings says which, and ends', async () => {
      await run('emotune-trainer');
      await ended('emotune-trainer');
      expect(await kubectl('logs', 'emotune-trainer')).toContain('EMOTUNE_TUNING');
    });

    it('the command line is there, with the base models', async () => {
      await run('emotune', { args: ['--version'] });
      await ended('emotune');
      expect(await kubectl('logs', 'emotune')).toBe(`${version}\n`);
    });
  });
});
