/**
 * A process that stands for election and acts while it leads: each act is a row, written in a transaction of its epoch. What it is
 * told stands in its environment; on stdout it tells, a line each, what becomes of it.
 */
import { systemClock } from '@emotune/base';
import { beginEpoch, Database, lead } from '@emotune/database';
import { clusterPlace, LeaseElection } from '@emotune/jobs/kubernetes';

const actMs = 20;

const { DATABASE_URL: url = '', IDENTITY: identity = '', PREFIX: prefix = '' } = process.env;
const database = await Database.connect(url, 'acts');
const { api, namespace } = clusterPlace({ namespace: process.env['NAMESPACE'] }, systemClock);
const say = (message: string, fields: object) =>
  process.stdout.write(`${JSON.stringify({ at: Date.now(), message, ...fields })}\n`);
const election = new LeaseElection({
  ...{ api, namespace, prefix, identity, clock: systemClock, tell: say },
  onFailure: (what, error) => say(`${what} failed`, { error: String(error) }),
});
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

await lead(
  database,
  'controller',
  { clock: systemClock, signal: stop.signal, election },
  async ({ signal }) => {
    const fence = await beginEpoch(database, 'controller');
    while (!signal.aborted) {
      await database
        .transaction(async (sql) => {
          await fence(sql);
          await sql.query('insert into acts (who) values ($1)', [identity]);
        }, 'read committed')
        .catch((error) => say('an act failed', { error: String(error) }));
      await systemClock.sleep(actMs, signal).catch(() => {});
    }
  },
);
await database.close();
say('ended', {});
