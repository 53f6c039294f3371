import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FailedPrecondition, Unavailable } from '@emotune/base';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Database } from './database.js';
import { startEmbeddedPostgres } from './embedded.js';
import type { ServerNews } from './kept-server.js';
import { ClusterInUse } from './postmaster.js';

let root: string;
const loader = import.meta.resolve('../../../scripts/source-loader.mjs');
/** A cluster that was made, used and stopped. */
let template: string;

async function start(dir: string, port?: number) {
  const server = await startEmbeddedPostgres({ dir, durable: false, ...(port ? { port } : {}) });
  onTestFinished(() => server.stop());
  return server;
}

async function read(url: string): Promise<unknown[]> {
  const database = await Database.connect(url, 'kept');
  try {
    return await database.query('select * from facts');
  } finally {
    await database.close();
  }
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'emotune-embedded-'));
  template = join(root, 'template');
  const server = await startEmbeddedPostgres({ dir: template, durable: false });
  const database = await Database.connect(server.url, 'kept');
  await database.query('create table facts (fact text)');
  await database.query("insert into facts values ('still here')");
  await database.close();
  await server.stop();
});
afterAll(() => rm(root, { recursive: true, force: true }));

const kept = [{ fact: 'still here' }];

describe('startEmbeddedPostgres', () => {
  it('keeps data over a stop, and its password in a file of its owner', async () => {
    const server = await start(template);
    expect(await read(server.url)).toEqual(kept);
    const password = join(template, 'data/emotune.password');
    expect((await stat(password)).mode & 0o777).toBe(0o600);
    expect(server.url).toContain(await readFile(password, 'utf8'));
    await expect(read(server.url.replace(/:[0-9a-f]{48}@/, ':wrong@'))).rejects.toThrow(FailedPrecondition);
  });

  it('is back on its port when it was killed, with what was committed', async () => {
    const news: ServerNews[] = [];
    const server = await startEmbeddedPostgres({ dir: template, tell: (item) => news.push(item) });
    onTestFinished(() => server.stop());
    const database = await Database.connect(server.url, 'kept');
    onTestFinished(() => database.close());
    for (let kills = 1; kills <= 2; kills++) {
      await database.query('insert into facts values ($1)', [`kill ${kills}`]);
      process.kill(server.pid, 'SIGKILL');
      await expect.poll(() => news.length).toBe(2 * kills);
      expect(await database.query('select fact from facts where fact = $1', [`kill ${kills}`])).toHaveLength(
        1,
      );
    }
    expect(news.map(({ type }) => type)).toEqual(['ended', 'back', 'ended', 'back']);
    await database.query("delete from facts where fact like 'kill %'");
  });

  it.each([
    [
      'missing',
      async (path: string) => rm(path),
      /expected the password of the database in .*, got nothing; restore/,
    ],
    [
      'damaged',
      async (path: string) => writeFile(path, 'x y'),
      /got something else; restore the file from a copy/,
    ],
  ])('names a password that is %s, and leaves no server', async (_, harm, message) => {
    const path = join(template, 'data/emotune.password');
    const password = await readFile(path);
    onTestFinished(() => writeFile(path, password, { mode: 0o600 }));
    await harm(path);
    const starting = startEmbeddedPostgres({ dir: template });
    await expect(starting).rejects.toThrow(FailedPrecondition);
    await expect(starting).rejects.toThrow(message);
    await expect(stat(join(template, 'data/postmaster.pid'))).rejects.toThrow('ENOENT');
  });

  it('refuses a cluster whose owner lives', async () => {
    await start(template);
    const second = startEmbeddedPostgres({ dir: template });
    await expect(second).rejects.toThrow(`in use by process ${process.pid}`);
    await expect(second).rejects.toThrow(ClusterInUse);
  });

  it('is started by one process at a time; what one that was killed left behind counts for nothing', async () => {
    const lock = join(template, 'starting');
    onTestFinished(() => rm(lock, { force: true }));
    await writeFile(lock, String(process.pid));
    await expect(startEmbeddedPostgres({ dir: template })).rejects.toThrow(
      'being started by another process',
    );
    const ended = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
    await once(ended, 'exit');
    await writeFile(lock, String(ended.pid));
    await start(template);
    await expect(stat(lock)).rejects.toThrow('ENOENT');
  });

  it('ends the server that a killed process left behind', async () => {
    const script = `
      import { startEmbeddedPostgres } from ${JSON.stringify(import.meta.resolve('./embedded.ts'))};
      const { pid } = await startEmbeddedPostgres({ dir: ${JSON.stringify(template)} });
      process.stdout.write(String(pid));
      setInterval(() => {}, 1000);`;
    const child = spawn(
      process.execPath,
      ['--conditions=source', '--import', loader, '--input-type=module', '-e', script],
      { stdio: ['ignore', 'pipe', 'inherit'], cwd: import.meta.dirname },
    );
    const [orphan] = await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(() => process.kill(Number(orphan), 0)).not.toThrow();
    const server = await start(template);
    expect(server.pid).not.toBe(Number(orphan));
    expect(await read(server.url)).toEqual(kept);
  });

  it('ends no other process that has got the number of a dead server', async () => {
    const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    onTestFinished(() => void bystander.kill());
    await writeFile(join(template, 'data/postmaster.pid'), `${bystander.pid}\n${template}/data\n1\n5432\n`);
    const server = await start(template);
    expect(await read(server.url)).toEqual(kept);
    expect(bystander.exitCode).toBeNull();
  });

  it('begins again after it was killed while it made the cluster', async () => {
    const dir = join(root, 'interrupted');
    await mkdir(join(dir, 'data.new/base'), { recursive: true });
    const server = await start(dir);
    await expect(Database.connect(server.url, 'fresh').then((d) => d.close())).resolves.toBeUndefined();
  });

  it('says that a port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    const starting = startEmbeddedPostgres({ dir: template, port });
    await expect(starting).rejects.toThrow(Unavailable);
    await expect(starting).rejects.toThrow(`Port ${port} for PostgreSQL is in use; choose another`);
  });

  it.each([
    [
      'a file in the place of the folder',
      async (dir: string) => writeFile(dir, ''),
      /expected a data folder/,
    ],
    [
      'a cluster of another version',
      async (dir: string) => {
        await mkdir(join(dir, 'data'), { recursive: true });
        await writeFile(join(dir, 'data/PG_VERSION'), '9\n');
      },
      /made by PostgreSQL 9, this is PostgreSQL \d+; .*move the folder away/,
    ],
    [
      'a folder that is no cluster',
      async (dir: string) => mkdir(join(dir, 'data'), { recursive: true }),
      /without PG_VERSION; restore it/,
    ],
  ])('names %s', async (name, make, message) => {
    const dir = join(root, name.replaceAll(' ', '-'));
    await make(dir);
    const starting = startEmbeddedPostgres({ dir });
    await expect(starting).rejects.toThrow(FailedPrecondition);
    await expect(starting).rejects.toThrow(message);
  });

  it('names a damaged cluster', async () => {
    const control = join(template, 'data/global/pg_control');
    const content = await readFile(control);
    onTestFinished(() => writeFile(control, content));
    await writeFile(control, 'damaged');
    const starting = startEmbeddedPostgres({ dir: template });
    await expect(starting).rejects.toThrow(FailedPrecondition);
    await expect(starting).rejects.toThrow(/does not start: .*restore the folder from a copy/s);
  });
});
