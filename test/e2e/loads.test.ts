/** What the program loads to answer: a client starts fast because it leaves the platform where it is. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = fileURLToPath(new URL('../../services/platform/dist/main.js', import.meta.url));

/** Writes the address of every module to stderr as it is loaded. */
const recorder = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  import { writeSync } from 'node:fs';
  registerHooks({
    load(url, context, next) {
      writeSync(2, 'loaded ' + url + '\\n');
      return next(url, context);
    },
  });
`)}`;

/** The packages that a command loads modules of: folders of ours, names of others. */
async function loadedBy(command: string): Promise<{ ours: string[]; others: string[]; files: string[] }> {
  const args = ['--import', recorder, program, ...command.split(' ')];
  const run = promisify(execFile)(process.execPath, args, { cwd: root });
  // Nothing answers a command that asks: it has loaded what it needs all the same.
  const { stderr } = await run.catch((error) => error as { stderr: string });
  const files = [...stderr.matchAll(/^loaded file:\/\/(.*)$/gm)].map(([, path]) => relative(root, path));
  const folders = files.map((path) => {
    const [name, inside] = path.split('node_modules/').at(-1)!.split('/');
    if (path.includes('node_modules/')) return { other: name.startsWith('@') ? `${name}/${inside}` : name };
    return { our: name === 'proto' ? name : `${name}/${inside}` };
  });
  const distinct = (names: (string | undefined)[]) =>
    [...new Set(names)].filter((name) => name !== undefined).sort();
  return {
    ours: distinct(folders.map(({ our }) => our)),
    others: distinct(folders.map(({ other }) => other)),
    files,
  };
}

it('its version takes nothing but the table of commands', async () => {
  const { ours, others } = await loadedBy('--version');
  expect(ours).toEqual(['libs/base', 'libs/cli', 'libs/lab', 'services/platform']);
  expect(others).toEqual(['commander', 'fastest-levenshtein']);
});

/** A data folder that a platform serves, of which a command learns no more than that it listens. */
const dataDir = mkdtempSync(join(tmpdir(), 'emotune-loads-'));
const server = createServer((socket) => socket.destroy());

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  writeFileSync(join(dataDir, 'platform.json'), JSON.stringify({ address, pid: process.pid }));
});
afterAll(() => {
  server.close();
  rmSync(dataDir, { recursive: true, force: true });
});

it.each([
  ['the help', '--help'],
  ['a command that names a server', '--server 127.0.0.1:1 source list'],
  ['a command with commands of its own', '--server 127.0.0.1:1 experiment list'],
  ['a command whose data folder is served', `--data-dir ${dataDir} source list`],
])('%s loads the client alone', async (_, command) => {
  const { ours, others, files } = await loadedBy(command);
  expect(ours).toEqual(['libs/base', 'libs/cli', 'libs/lab', 'libs/service', 'proto', 'services/platform']);
  expect(others).toContain('@grpc/grpc-js');
  expect(others.filter((name) => /^(@nestjs\/.*|rxjs|pg|onnxruntime.*|apache-arrow)$/.test(name))).toEqual(
    [],
  );
  expect(
    files.filter((path) => /^services\/platform\/dist\/platform\.js|^libs\/lab\/dist\/bench\//.test(path)),
  ).toEqual([]);
});
