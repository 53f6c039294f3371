import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aborted, FailedPrecondition, Rng, Unavailable } from '@emotune/base';
import { type Postgres, startPostgres, withoutPostgres } from '@emotune/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from './database.js';

const reason = withoutPostgres();
if (reason) process.stderr.write(`skipped: ${reason}\n`);
const without = (program: string) => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return false;
  } catch {
    process.stderr.write(`skipped: needs ${program}\n`);
    return true;
  }
};

let postgres: Postgres;
let folder: string;
beforeAll(async () => {
  if (reason) return;
  postgres = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'emotune-database-'));
});
afterAll(async () => {
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(reason)('Database on a server of its own', () => {
  it('loses and doubles nothing where the server is killed again and again under load', async () => {
    const database = await Database.connect(postgres.url, 'load');
    const [accounts, writers, kills] = [5, 8, 4];
    await database.migrate([
      'create table accounts (id int primary key, value int not null)',
      `insert into accounts select i, 1000 from generate_series(0, ${accounts - 1}) i`,
      'create table moves (id text primary key, amount int not null)',
    ]);
    let going = true;
    let lost = 0;
    const asked: string[] = [];
    /** Moves an amount once, however often it is asked for. */
    const move = (id: string, [from, to, amount]: readonly number[]) =>
      database.transaction(async (sql) => {
        const made = await sql.query(
          'insert into moves values ($1, $2) on conflict do nothing returning id',
          [id, amount],
        );
        if (made.length === 0) return;
        const [{ value }] = await sql.query<{ value: number }>('select value from accounts where id = $1', [
          from,
        ]);
        await sql.query('update accounts set value = $2 where id = $1', [from, value - amount]);
        await sql.query('update accounts set value = value + $2 where id = $1', [to, amount]);
      });
    const writing = Array.from({ length: writers }, async (_, writer) => {
      const rng = Rng.of(`writer ${writer}`);
      for (let i = 0; going; i++) {
        const from = rng.int(accounts);
        const order = [from, (from + 1 + rng.int(accounts - 1)) % accounts, 1 + rng.int(9)];
        asked.push(`${writer}/${i}`);
        for (;;)
          try {
            await move(`${writer}/${i}`, order);
            break;
          } catch (error) {
            // A commit waits for the disk, so that others may overtake a writer each time: who is told so asks again.
            if (error instanceof Unavailable) lost++;
            else expect(error).toBeInstanceOf(Aborted);
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
      }
    });
    for (let kill = 0; kill < kills; kill++) {
      const before = asked.length;
      await expect.poll(() => asked.length).toBeGreaterThan(before + 50);
      await postgres.kill();
      await postgres.restart();
    }
    going = false;
    await Promise.all(writing);
    expect(lost).toBeGreaterThan(0);
    expect(await database.query('select count(*) from moves')).toEqual([{ count: asked.length }]);
    expect(await database.query('select sum(value)::int as sum from accounts')).toEqual([
      { sum: accounts * 1000 },
    ]);
    await database.close();
  });

  it.skipIf(without('openssl'))('speaks TLS, with a certificate that it checks', async () => {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
    const key = (name: string) => [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}.key`,
    ];
    for (const ca of ['ca', 'other'])
      openssl('req', '-x509', ...key(ca), '-out', `${ca}.pem`, '-subj', `/CN=${ca}`, '-days', '2');
    openssl(
      ...['req', '-x509', ...key('server'), '-out', 'server.pem', '-subj', '/CN=database', '-days', '2'],
      ...['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'subjectAltName=IP:127.0.0.1'],
    );
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'server.key'), 0o600);
    if (process.getuid?.() === 0) chownSync(join(folder, 'server.key'), 65534, 65534);
    const plain = await Database.connect(postgres.url, 'tls');
    await plain.query(`alter system set ssl_cert_file = '${join(folder, 'server.pem')}'`);
    await plain.query(`alter system set ssl_key_file = '${join(folder, 'server.key')}'`);
    await plain.query('alter system set ssl = on');
    await plain.query('select pg_reload_conf()');
    await plain.close();
    const url = (ca: string) => `${postgres.url}?sslmode=verify-full&sslrootcert=${join(folder, ca)}`;
    const trusting = () => Database.connect(url('ca.pem'), 'tls');
    // The server reads its settings when it comes to it.
    await expect
      .poll(() => trusting().then((database) => database.close().then(() => 'up'), String))
      .toBe('up');
    const database = await trusting();
    expect(await database.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).toEqual([
      { ssl: true },
    ]);
    await database.close();
    const refused = Database.connect(url('other.pem'), 'tls');
    await expect(refused).rejects.toThrow(FailedPrecondition);
    await expect(refused).rejects.toThrow('name its authority by sslrootcert in the URL');
  });
});
