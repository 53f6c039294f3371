import { Unavailable } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deadLetterTopic, type Retry } from './bus.js';
import { prune } from './event-log.js';
import { PostgresBus } from './postgres-bus.js';
import { busContract, freshName, testEvent, textOf } from './testing.js';

const retry: Retry = { tries: 3, pauseMs: 1, longestPauseMs: 4 };
const hourMs = 3_600_000;
const patient = { timeout: 60_000, interval: 5 };

let database: Database;
beforeAll(async () => {
  database = await testDatabase('events');
});

busContract('PostgresBus', (retry) => PostgresBus.open(database, { retry }), 'processes');

describe('PostgresBus', () => {
  const buses: PostgresBus[] = [];
  const open = async (of: Database = database, leaseMs = 30_000) => {
    const bus = await PostgresBus.open(of, { retry, leaseMs });
    buses.push(bus);
    return bus;
  };
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
  });

  it('hands the events of a member that died to another once the lease has ended', async () => {
    const topic = freshName('died');
    const group = freshName('group');
    const connection = await Database.connect(await testDatabaseUrl(), 'events');
    const dying = await open(connection, 300);
    let begun = () => {};
    const first = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let release = () => {};
    const hanging = new Promise<void>((resolve) => {
      release = resolve;
    });
    await dying.subscribe(group, [topic], async () => {
      begun();
      await hanging;
    });
    const living = await open(database, 300);
    await living.publish(['0', '1', '2'].map((text) => testEvent(topic, 'key', text)));
    await first;
    const seen: string[] = [];
    await living.subscribe(group, [topic], async (event) => void seen.push(textOf(event)));
    // As long as it renews its claim nobody else is given the event.
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect(seen).toEqual([]);
    // It can renew nothing any more, as a process that was killed.
    await connection.close();
    await expect.poll(() => seen, patient).toEqual(['0', '1', '2']);
    release();
  });

  it('hands over an event whose member died before the clock was set back', async () => {
    const topic = freshName('set-back');
    const group = freshName('group');
    const dying = await open();
    const leave = await dying.subscribe(group, [topic], async () => {});
    await leave();
    await dying.publish([testEvent(topic, 'key', 'event')]);
    await database.query("update deliveries set free_at = now() + interval '2 hours' where topic = $1", [
      topic,
    ]);
    const seen: string[] = [];
    await (await open()).subscribe(group, [topic], async (event) => void seen.push(textOf(event)));
    await expect.poll(() => seen, patient).toEqual(['event']);
  });

  it('does not let a handler that lost its claim end that of another', async () => {
    const topic = freshName('late');
    const group = freshName('group');
    const connection = await Database.connect(await testDatabaseUrl(), 'events');
    const slow = await open(connection, hourMs);
    let release = () => {};
    await slow.subscribe(group, [topic], () => {
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    await slow.publish([testEvent(topic, 'key', 'event')]);
    await expect.poll(() => claims(topic), patient).toEqual([{ calls: 1 }]);
    // Its claim is over, and somebody else has one.
    await database.query(
      "update deliveries set calls = 2, free_at = now() + interval '50 minutes' where topic = $1",
      [topic],
    );
    release();
    await slow.close();
    await connection.close();
    expect(await claims(topic)).toEqual([{ calls: 2 }]);
  });

  const claims = (topic: string) => database.query('select calls from deliveries where topic = $1', [topic]);

  it('keeps events for a group whose processes are all gone', async () => {
    const topic = freshName('kept');
    const group = freshName('group');
    const before = await open();
    await before.subscribe(group, [topic], async () => {});
    await before.close();
    const publisher = await open();
    await publisher.publish([testEvent(topic, 'key', 'news')]);
    await publisher.close();
    const after = await open();
    const seen: string[] = [];
    await after.subscribe(group, [topic], async (event) => void seen.push(textOf(event)));
    await expect.poll(() => seen, patient).toEqual(['news']);
  });

  it('goes on when its connections break', async () => {
    const topic = freshName('broken');
    const bus = await open(database, 3_000);
    const seen: string[] = [];
    await bus.subscribe(freshName('group'), [topic], async (event) => void seen.push(textOf(event)));
    const wanted = Array.from({ length: 20 }, (_, i) => String(i));
    for (const text of wanted) {
      if (Number(text) % 7 === 3) await endConnections();
      await publishSurely(bus, topic, text);
    }
    await expect.poll(() => [...new Set(seen)], patient).toEqual(wanted);
  });

  async function publishSurely(bus: PostgresBus, topic: string, text: string): Promise<void> {
    for (;;) {
      try {
        return await bus.publish([testEvent(topic, 'key', text)]);
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
      }
    }
  }

  async function endConnections(): Promise<void> {
    await database
      .query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
      .catch(() => {});
  }

  it('prunes what every group has taken, and keeps dead letters for a month', async () => {
    const topic = freshName('pruned');
    const bus = await open();
    const [seen, left] = [freshName('seen'), freshName('left')];
    await bus.subscribe(seen, [topic], async () => {});
    const leave = await bus.subscribe(left, [topic], async () => {});
    await leave();
    await bus.publish([testEvent(topic, 'key', 'event')]);
    const waiting = () => database.query('select consumer from deliveries where topic = $1', [topic]);
    const kept = () => database.query('select topic from events where topic like $1 || $2', [topic, '%']);
    await expect.poll(waiting, patient).toEqual([{ consumer: left }]);
    await prune(database);
    expect(await kept()).toEqual([{ topic }]);
    await bus.subscribe(left, [topic], async () => {
      throw new RangeError('no');
    });
    await expect.poll(waiting, patient).toEqual([]);
    await prune(database);
    const dead = deadLetterTopic(topic);
    expect(await kept()).toEqual([{ topic: dead }]);
    await database.query("update events set published_at = now() - interval '31 days' where topic = $1", [
      dead,
    ]);
    await prune(database);
    expect(await kept()).toEqual([]);
  });
});
