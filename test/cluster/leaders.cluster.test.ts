/** Of two processes that stand for election at a real API server one acts at a time, whatever happens to them and to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { systemClock } from '@emotune/base';
import { type Database, epochTable } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import { type Cluster, startCluster, tuningAccount, tuningAccountName, withoutCluster } from '@emotune/local';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { beginService, freePorts } from '../e2e/service-process.js';

const reason = withoutCluster('control');
if (reason) process.stderr.write(`skipped: leaders on a cluster: ${reason}\n`);

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const patience = { timeout: 200_000, interval: 20 };
/** What the chart lets tuning hold. */
const prefix = tuningAccountName;
const name = `${prefix}-controller`;
/** Longer than a Lease is for. */
const longMs = 20_000;

interface Act {
  readonly who: string;
  readonly at: Date;
}

describe.skipIf(reason)('leaders by a Lease', () => {
  let cluster: Cluster;
  let database: Database;
  let kubeconfig: string;
  let url: string;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    cluster = await startCluster('control');
    kubeconfig = await tuningAccount(cluster, 'default');
    url = await testDatabaseUrl();
    database = await testDatabase('acts');
    await database.migrate([
      epochTable,
      'create table acts (id bigserial, who text not null, at timestamptz not null default clock_timestamp())',
    ]);
  });
  afterAll(() => cluster?.stop());
  beforeEach(async () => {
    await database.query('truncate acts');
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
    await cluster.kubectl('delete', 'leases', '-n', 'default', '--all');
  });

  function candidate(identity: string, environment: Readonly<Record<string, string>> = {}) {
    const child = spawn(
      process.execPath,
      [
        '--conditions=source',
        '--disable-warning=ExperimentalWarning',
        '--import',
        pathOf('../../scripts/source-loader.mjs'),
        pathOf('candidate.ts'),
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {
          ...{ PATH: process.env['PATH'], KUBECONFIG: kubeconfig, PREFIX: prefix, IDENTITY: identity },
          ...{ DATABASE_URL: url, NAMESPACE: 'default' },
          ...environment,
        },
      },
    );
    children.push(child);
    const said: { at: number; message: string; reason?: string; error?: string }[] = [];
    let rest = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      said.push(...lines.map((line) => JSON.parse(line)));
    });
    return { child, said, identity, messages: () => said.map(({ message }) => message) };
  }
  const acts = () => database.query<Act>('select who, at from acts order by id');
  const actsOf = async (identity: string) => (await acts()).filter(({ who }) => who === identity);
  const acting = (identity: string) =>
    expect.poll(() => actsOf(identity).then(({ length }) => length), patience).toBeGreaterThan(5);
  const lease = async () =>
    JSON.parse(await cluster.kubectl('get', 'lease', name, '-n', 'default', '-o', 'json')).spec;
  /** Who acted, one after the other, a name as often as it came to. */
  const turns = async () => (await acts()).map(({ who }) => who).filter((who, i, all) => who !== all[i - 1]);
  /** Between the last act of one and the first of the next. */
  const pauseMs = async (before: string, after: string) =>
    Number((await actsOf(after))[0].at) - Number((await actsOf(before)).at(-1)!.at);
  const report = (what: string, ms: number) => process.stderr.write(`${what}: ${(ms / 1000).toFixed(1)} s\n`);

  /** Both stand; the first leads. */
  async function two() {
    const a = candidate('a');
    await acting('a');
    const b = candidate('b');
    await expect.poll(b.messages, patience).toContain('another process leads');
    return { a, b };
  }

  it('one that ends hands over at once', async () => {
    const { a } = await two();
    expect(await lease()).toMatchObject({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      leaseTransitions: 0,
    });
    a.child.kill('SIGTERM');
    await acting('b');
    expect(await turns()).toEqual(['a', 'b']);
    expect(await lease()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(a.messages().slice(-2)).toEqual(['this process leads no more', 'ended']);
    const ms = await pauseMs('a', 'b');
    report('a clean hand-over', ms);
    expect(ms).toBeLessThan(10_000);
  });

  it('one that is killed is followed when its Lease has run out, not before', async () => {
    const { a } = await two();
    a.child.kill('SIGKILL');
    await acting('b');
    expect(await turns()).toEqual(['a', 'b']);
    const ms = await pauseMs('a', 'b');
    report('a hand-over after a crash', ms);
    // It was renewed at most one renewal before the end.
    expect(ms).toBeGreaterThan(15_000 - 2_500);
    expect(ms).toBeLessThan(60_000);
  });

  it('one that stood still while its Lease ran out acts no more once it goes on', async () => {
    const { a } = await two();
    a.child.kill('SIGSTOP');
    await acting('b');
    const before = (await actsOf('a')).length;
    a.child.kill('SIGCONT');
    await expect.poll(a.messages, patience).toContain('this process leads no more');
    await expect.poll(() => a.messages().at(-1), patience).toBe('another process leads');
    expect((await actsOf('a')).length).toBe(before);
    expect(await turns()).toEqual(['a', 'b']);
  });

  it('while the API server is away for longer than a Lease lasts nobody acts, then one does', async () => {
    const { a, b } = await two();
    const restart = await cluster.kill('apiserver');
    const killed = Date.now();
    await expect.poll(a.messages, patience).toContain('this process leads no more');
    const over = a.said.find(({ message }) => message === 'this process leads no more')!;
    expect(over.reason).toMatch(/^it could not be renewed for 10 s: /);
    report('it leads on without the API server for', over.at - killed);
    const held = (await acts()).length;
    await systemClock.sleep(longMs);
    expect((await acts()).length).toBe(held);
    await restart();
    await expect.poll(async () => (await acts()).length, patience).toBeGreaterThan(held + 5);
    expect([['a'], ['a', 'b']]).toContainEqual(await turns());
    const { holderIdentity } = await lease();
    const leading = [a, b].filter(
      ({ messages }) =>
        messages()
          .filter((message) => / leads/.test(message))
          .at(-1) === 'this process leads',
    );
    expect(leading.map(({ identity }) => identity)).toEqual([holderIdentity]);
  });

  it('a Lease that is deleted is made again, and one leads', async () => {
    await two();
    await cluster.kubectl('delete', 'lease', name, '-n', 'default');
    const held = (await acts()).length;
    await expect.poll(() => lease().catch(() => ({})), patience).toHaveProperty('holderIdentity');
    await expect.poll(async () => (await acts()).length, patience).toBeGreaterThan(held + 5);
    expect([['a'], ['a', 'b']]).toContainEqual(await turns());
  });

  it('who may not have the Lease says so, and does not act', async () => {
    await cluster.kubectl('create', 'namespace', 'barred');
    const barred = await tuningAccount(cluster, 'barred');
    await cluster.kubectl('delete', 'role', `${prefix}-leases`, '-n', 'barred');
    const c = candidate('c', { KUBECONFIG: barred, NAMESPACE: 'barred' });
    await expect.poll(c.messages, patience).toEqual([`standing for the Lease ${name} failed`]);
    expect(c.said[0].error).toMatch(/cannot get resource "leases" .* in the namespace "barred"/);
    expect(await actsOf('c')).toEqual([]);
  });

  it('of two tuning services one holds both Leases, and hands them over when it ends', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'emotune-leaders-'));
    const ports = await freePorts(2);
    const begun = ports.map((port) =>
      beginService('tuning', {
        EMOTUNE_LISTEN: `127.0.0.1:${port}`,
        ...{ EMOTUNE_DATABASE_URL: url, EMOTUNE_BUS_URL: url },
        EMOTUNE_OBJECTS_URL: pathToFileURL(folder).href,
        EMOTUNE_PEERS: 'featurization=127.0.0.1:9,evaluation=127.0.0.1:9',
        ...{ EMOTUNE_RUNNER: 'kubernetes', EMOTUNE_K8S_TRAINER_IMAGE: 'emotune-trainer:1' },
        ...{ EMOTUNE_K8S_LEASES: prefix, EMOTUNE_K8S_EXPERIMENTS: 'true', KUBECONFIG: kubeconfig },
      }),
    );
    children.push(...begun.map(({ child }) => child));
    const holders = async () => {
      const path = 'jsonpath={.items[*].spec.holderIdentity}';
      return (await cluster.kubectl('get', 'leases', '-n', 'default', '-o', path)).split(' ').sort();
    };
    const both = ({ child }: (typeof begun)[number]) => Array(2).fill(`${hostname()}-${child.pid}`);
    const [first, second] = begun;
    await expect.poll(holders, patience).toHaveLength(2);
    const leading = (await holders())[0] === both(first)[0] ? first : second;
    const other = leading === first ? second : first;
    leading.child.kill('SIGTERM');
    expect(await leading.ended).toMatchObject({ code: 0 });
    await expect.poll(holders, patience).toEqual(both(other));
    expect(other.output.stdout).toContain('"message":"this process leads"');
    other.child.kill('SIGTERM');
    await other.ended;
    rmSync(folder, { recursive: true });
  });
});
