import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Aborted, FailedPrecondition, Unavailable } from '@emotune/base';
import fc from 'fast-check';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectMs, Database, type DatabaseSettings, SchemaBehind } from './database.js';
import { testDatabase, testDatabaseUrl } from './testing.js';

let database: Database;
beforeAll(async () => {
  database = await testDatabase('main');
  await database.query('create table counters (name text primary key, value bigint not null)');
});

async function counter(name: string): Promise<void> {
  await database.query('insert into counters values ($1, 0) on conflict (name) do update set value = 0', [
    name,
  ]);
}

describe('Database', () => {
  it('reads whole and decimal numbers as numbers', async () => {
    const [row] = await database.query(
      'select 9007199254740991::bigint as big, 1.25::numeric as exact, 0.5::float8 as float, count(*) from counters',
    );
    expect(row).toEqual({ big: Number.MAX_SAFE_INTEGER, exact: 1.25, float: 0.5, count: expect.any(Number) });
  });

  it('keeps any text and bytes as they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.uint8Array(), async (text, bytes) => {
        const sent = text.replaceAll('\0', '');
        const [row] = await database.query('select $1::text as text, $2::bytea as bytes', [
          sent,
          Buffer.from(bytes),
        ]);
        expect(row).toEqual({ text: sent, bytes: Buffer.from(bytes) });
      }),
      { numRuns: 50 },
    );
  });

  it('runs a transaction again when another came in between, so no change is lost', async () => {
    await counter('shared');
    let runs = 0;
    await Promise.all(
      Array.from({ length: 12 }, () =>
        database.transaction(async (sql) => {
          runs++;
          const [{ value }] = await sql.query<{ value: number }>(
            "select value from counters where name = 'shared'",
          );
          await sql.query("update counters set value = $1 where name = 'shared'", [value + 1]);
        }),
      ),
    );
    expect(await database.query("select value from counters where name = 'shared'")).toEqual([{ value: 12 }]);
    expect(runs).toBeGreaterThan(12);
  });

  it('runs a transaction again after a deadlock', async () => {
    await Promise.all([counter('left'), counter('right')]);
    let arrived = 0;
    let open: () => void = () => {};
    const both = new Promise<void>((resolve) => {
      open = resolve;
    });
    const add = (first: string, second: string) =>
      database.transaction(async (sql) => {
        await sql.query('update counters set value = value + 1 where name = $1', [first]);
        if (++arrived === 2) open();
        await both;
        await sql.query('update counters set value = value + 1 where name = $1', [second]);
      });
    await Promise.all([add('left', 'right'), add('right', 'left')]);
    const rows = await database.query("select value from counters where name in ('left', 'right')");
    expect(rows).toEqual([{ value: 2 }, { value: 2 }]);
  });

  it('gives up when others come in between every time', async () => {
    await counter('contested');
    const losing = database.transaction(async (sql) => {
      await sql.query("select value from counters where name = 'contested'");
      await database.query("update counters set value = value + 1 where name = 'contested'");
      await sql.query("update counters set value = -1 where name = 'contested'");
    });
    await expect(losing).rejects.toThrow(Aborted);
  });

  it('keeps others from a contended table once they came in between', async () => {
    await counter('crowded');
    const change = () =>
      database.transaction(async (sql) => {
        await sql.query("select from counters where name = 'crowded' for update");
        await sql.query("update counters set value = value + 1 where name = 'crowded'");
      }, 'read committed');
    const others: Promise<void>[] = [];
    let runs = 0;
    await database.transaction(
      async (sql) => {
        runs++;
        await sql.query("select value from counters where name = 'crowded'");
        const other = change();
        others.push(other);
        // Kept from it, the other comes after this.
        await Promise.race([other, delay(500)]);
        await sql.query("update counters set value = value + 100 where name = 'crowded'");
      },
      'serializable',
      'counters',
    );
    await Promise.all(others);
    const [{ value }] = await database.query<{ value: number }>(
      "select value from counters where name = 'crowded'",
    );
    expect(value).toBe(100 + runs);
    expect(runs).toBeLessThan(12);
  });

  it('takes nothing from a transaction that throws', async () => {
    const failing = database.transaction(async (sql) => {
      await sql.query("insert into counters values ('half', 1)");
      throw new FailedPrecondition('no');
    });
    await expect(failing).rejects.toThrow(FailedPrecondition);
    expect(await database.query("select from counters where name = 'half'")).toEqual([]);
  });

  it('keeps the schemas of services apart', async () => {
    const other = await testDatabase('other');
    await expect(other.query('select * from counters')).rejects.toThrow('does not exist');
  });

  it('survives the loss of every connection', async () => {
    const lost = database.transaction(async (sql) => {
      await sql.query('select pg_terminate_backend(pg_backend_pid())');
    });
    await expect(lost).rejects.toThrow(Unavailable);
    const idle = database.transaction(async (sql) => {
      const [{ pid }] = await sql.query<{ pid: number }>('select pg_backend_pid() as pid');
      await database.query('select pg_terminate_backend($1, 5000)', [pid]);
      await sql.query('select 1');
    });
    await expect(idle).rejects.toThrow(Unavailable);
    expect(await database.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('says that a server does not answer', async () => {
    const connecting = Database.connect('postgres://nobody@127.0.0.1:1/none', 'main');
    await expect(connecting).rejects.toThrow(Unavailable);
    // Its name may be known later, as that of a service that is being created.
    const unknown = Database.connect('postgres://nobody@no-such-host.invalid/none', 'main');
    await expect(unknown).rejects.toThrow(Unavailable);
  });

  it('says that a server takes a connection and says nothing', async () => {
    const url = new URL(await testDatabaseUrl());
    const port = Number(url.port);
    const sockets: Socket[] = [];
    let isSilent = false;
    const between = createServer((socket) => {
      sockets.push(socket);
      if (!isSilent) socket.pipe(connect(port, url.hostname)).pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(between, 'listening');
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      between.close();
    });
    url.port = String((between.address() as AddressInfo).port);
    const there = await Database.connect(url.href, 'main');
    isSilent = true;
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const asked = expect(there.session()).rejects.toThrow(Unavailable);
    vi.advanceTimersByTime(connectMs);
    await asked;
    await there.close();
  });
});

describe('Database.migrate', () => {
  const migrations = ['create table steps (step int)', 'insert into steps values (1)'];

  it('runs each migration once, whoever starts at the same time', async () => {
    await testDatabase('migrated');
    const url = await testDatabaseUrl();
    const services = await Promise.all(Array.from({ length: 4 }, () => Database.connect(url, 'migrated')));
    try {
      await Promise.all(services.map((service) => service.migrate(migrations)));
      await services[0].migrate([...migrations, 'insert into steps values (2)']);
      expect(await services[0].query('select step from steps order by step')).toEqual([
        { step: 1 },
        { step: 2 },
      ]);
      await expect(services[1].migrate(migrations)).rejects.toThrow('written by a newer version');
    } finally {
      await Promise.all(services.map((service) => service.close()));
    }
  });

  it('makes a schema once, whoever connects at the same time', async () => {
    const url = await testDatabaseUrl();
    const services = await Promise.all(Array.from({ length: 6 }, () => Database.connect(url, 'raced')));
    await Promise.all(services.flatMap((service) => [service.close(), service.close()]));
    await expect(services[0].query('select 1')).rejects.toThrow(Unavailable);
  });

  it('takes nothing from a list of migrations of which one fails', async () => {
    const failed = await testDatabase('failed');
    await expect(failed.migrate([...migrations, 'create nonsense'])).rejects.toThrow('syntax error');
    await failed.migrate(migrations);
    expect(await failed.query('select step from steps')).toEqual([{ step: 1 }]);
  });
});

describe('a Database that others migrate', () => {
  const migrations = [
    'create table steps (step int, at int generated always as identity)',
    'insert into steps values (1)',
  ];
  const roles = (name: string) => `services_of_${name}`;

  /** What docs/operations.md has a superuser do, for a database of its own. */
  async function divided(name: string) {
    const admin = await testDatabase('divided');
    await admin.query(`create database ${name}`);
    const document = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
    const [, sql] = /```sql\n(create role emotune_owner[^`]*)```/.exec(document)!;
    const url = new URL(await testDatabaseUrl());
    const of = async (user: string, password: string, settings: DatabaseSettings = {}) => {
      const own = Object.assign(new URL(url), { username: user, password, pathname: `/${name}` });
      const database = await Database.connect(own.href, 'main', settings);
      onTestFinished(() => database.close());
      return database;
    };
    const superuser = await of(url.username, url.password, { migratedByOthers: true });
    const named = sql.replaceAll('emotune_owner', `${name}_owner`).replace(/\bemotune\b/g, roles(name));
    await superuser.query(named.replace(`on database ${roles(name)}`, `on database ${name}`));
    return {
      superuser,
      owner: () => of(`${name}_owner`, 'one'),
      service: () => of(roles(name), 'another', { migratedByOthers: true }),
    };
  }

  it('waits for them, then works as a user that can change no schema', async () => {
    const { owner, service } = await divided('first');
    const waiting = await service();
    const behind = (found: number) => `the schema main has ${found} of 2 migrations`;
    await expect(waiting.migrate(migrations)).rejects.toThrow(SchemaBehind);
    await expect(waiting.migrate(migrations)).rejects.toThrow(behind(0));
    const owning = await owner();
    await expect(waiting.migrate(migrations)).rejects.toThrow(behind(0));
    expect(await owning.migrate(migrations.slice(0, 1))).toBe(0);
    await expect(waiting.migrate(migrations)).rejects.toThrow(behind(1));
    expect(await owning.migrate(migrations)).toBe(1);
    expect(await waiting.migrate(migrations)).toBe(2);
    await waiting.query('insert into steps values (2)');
    expect(await waiting.query('update steps set step = step returning step')).toEqual([
      { step: 1 },
      { step: 2 },
    ]);
    await waiting.query('delete from steps');
    await expect(waiting.query('alter table steps add column more int')).rejects.toThrow('must be owner');
    await expect(waiting.query('create table own (a int)')).rejects.toThrow('permission denied');
    await expect((await service()).migrate(migrations.slice(0, 1))).rejects.toThrow(
      'written by a newer version',
    );
  });

  it('names what it may not use', async () => {
    const { superuser, owner, service } = await divided('second');
    await (await owner()).migrate(migrations);
    const user = roles('second');
    await superuser.query(`revoke update on main.steps from ${user}`);
    await expect((await service()).migrate(migrations)).rejects.toThrow(
      `the user ${user} may not use the table main.steps`,
    );
    await superuser.query(`revoke usage on schema main from ${user}`);
    await expect((await service()).migrate(migrations)).rejects.toThrow(
      `may not use the schema main; who migrates must grant it`,
    );
  });
});

describe('the limits of a Database', () => {
  const connected = async (settings: DatabaseSettings, schema = 'limited') => {
    const limited = await Database.connect(await testDatabaseUrl(), schema, settings);
    onTestFinished(() => limited.close());
    return limited;
  };

  it('has so many connections, for which others wait', async () => {
    const limited = await connected({ pool: 2 });
    let [now, most] = [0, 0];
    await Promise.all(
      Array.from({ length: 8 }, () =>
        limited.transaction(async (sql) => {
          most = Math.max(most, ++now);
          await sql.query('select pg_sleep(0.02)');
          now--;
        }),
      ),
    );
    expect(most).toBe(2);
  });

  it('ends a statement that takes too long, but no migration and who waits for one', async () => {
    const limited = await connected({ statementSeconds: 1 });
    const slow = limited.query('select pg_sleep(60)');
    await expect(slow).rejects.toThrow(Unavailable);
    await expect(slow).rejects.toThrow('longer than EMOTUNE_DATABASE_STATEMENT_SECONDS allows');
    const others = [await connected({ statementSeconds: 1 }), await connected({ statementSeconds: 1 })];
    await Promise.all(
      others.map((other) => other.migrate(['create table slow (a int)', 'select pg_sleep(2)'])),
    );
    expect(await limited.query('select * from slow')).toEqual([]);
  });

  it('ends a transaction whose program does nothing with it, and frees what it had locked', async () => {
    const limited = await connected({ statementSeconds: 1 });
    await limited.query('create table if not exists idle (a int)');
    const idle = limited.transaction(async (sql) => {
      await sql.query('lock table idle');
      await database.query('select pg_sleep(3)');
      await sql.query('select 1');
    });
    await expect(idle).rejects.toThrow(Unavailable);
    expect(await limited.query('select * from idle')).toEqual([]);
  });

  it('reads its password from a file at each connection, and says when it cannot', async () => {
    const url = new URL(await testDatabaseUrl());
    const folder = mkdtempSync(join(tmpdir(), 'emotune-password-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, `${decodeURIComponent(url.password)}\n`);
    url.password = '';
    const limited = await Database.connect(url.href, 'limited', { pool: 1, passwordFile });
    onTestFinished(() => limited.close());
    const end = () =>
      expect(limited.query('select pg_terminate_backend(pg_backend_pid())')).rejects.toThrow(Unavailable);
    writeFileSync(passwordFile, 'another');
    await end();
    await expect(limited.query('select 1')).rejects.toThrow('PostgreSQL refuses the connection: password');
    rmSync(passwordFile);
    await expect(limited.query('select 1')).rejects.toThrow(
      `EMOTUNE_DATABASE_PASSWORD_FILE: expected a readable file, got ENOENT: ${passwordFile}`,
    );
    await expect(Database.connect(url.href, 'limited', { passwordFile })).rejects.toThrow(FailedPrecondition);
  });

  it('says that a server has no TLS, and which file of the URL it cannot read', async () => {
    const url = await testDatabaseUrl();
    await expect(Database.connect(`${url}?sslmode=verify-full`, 'limited')).rejects.toThrow(
      'PostgreSQL has no TLS; take sslmode out of the URL, or turn it on there',
    );
    await expect(
      Database.connect(`${url}?sslmode=verify-full&sslrootcert=/no/such/ca.pem`, 'limited'),
    ).rejects.toThrow(
      'expected a readable file where the URL of PostgreSQL names one, got ENOENT: /no/such/ca.pem',
    );
  });
});
