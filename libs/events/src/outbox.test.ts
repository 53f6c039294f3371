import { randomUUID } from 'node:crypto';
import { type Clock, Internal, ManualClock, systemClock, Unavailable } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Bus } from './bus.js';
import { consume, on } from './inbox.js';
import { MemoryBus } from './memory-bus.js';
import { emit, eventTables, Outbox, withdraw } from './outbox.js';
import { textOf } from './testing.js';
import { topics } from './topics.js';

const retry = { tries: 3, pauseMs: 1, longestPauseMs: 4 };
const topic = topics.datasetFailed;

let sender: Database;
let receiver: Database;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  sender = await testDatabase('sender');
  receiver = await testDatabase('receiver');
  await sender.migrate([eventTables]);
  await receiver.migrate([
    eventTables,
    'create table effects (number bigint generated always as identity, key text, text text)',
  ]);
});
beforeEach(async () => {
  await sender.query('truncate outbox');
  await receiver.query('truncate effects, inbox');
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function say(key: string, ...texts: readonly string[]): Promise<void> {
  return sender.transaction(async (sql) => {
    for (const reason of texts) await emit(sql, topic, key, { name: key, reason });
  });
}

function start(bus: Pick<Bus, 'publish'>, clock: Clock = systemClock): Outbox {
  const outbox = new Outbox(sender, bus, clock, retry);
  outbox.start();
  closers.push(() => outbox.close());
  return outbox;
}

/** Notes each message in `effects`; `interfere` may throw before and after. */
function listen(bus: Bus, interfere: () => void = () => {}): Promise<unknown> {
  return consume({
    database: receiver,
    bus,
    group: 'listener',
    handlers: [
      on(topic, async (sql, { name, reason }) => {
        interfere();
        await sql.query('insert into effects (key, text) values ($1, $2)', [name, reason]);
        interfere();
      }),
    ],
  });
}

async function effects(): Promise<Record<string, string[]>> {
  const rows = await receiver.query<{ key: string; text: string }>(
    'select key, text from effects order by number',
  );
  const result: Record<string, string[]> = {};
  for (const { key, text } of rows) result[key] = [...(result[key] ?? []), text];
  return result;
}

async function untilSent(wake: () => void = () => {}): Promise<void> {
  await expect
    .poll(
      async () => {
        wake();
        return sender.query('select 1 from outbox where failure is null');
      },
      { interval: 5 },
    )
    .toEqual([]);
}

describe('emit and Outbox', () => {
  it('sends what a transaction said, once it is committed, and nothing of one that failed', async () => {
    const bus = new MemoryBus();
    await listen(bus);
    const failing = sender.transaction(async (sql) => {
      await emit(sql, topic, 'undone', { name: 'undone', reason: 'never' });
      throw new Internal('no');
    });
    await expect(failing).rejects.toThrow('no');
    await say('kept', 'one', 'two');
    start(bus);
    await untilSent();
    expect(await effects()).toEqual({ kept: ['one', 'two'] });
  });

  it('carries id, type and trace in the headers', async () => {
    const bus = new MemoryBus();
    const seen: Record<string, string>[] = [];
    await bus.subscribe('group', [topic.name], async (event) => {
      seen.push({ ...event.headers, id: event.id, topic: event.topic });
    });
    await sender.transaction((sql) => emit(sql, topic, 'key', { name: 'a', reason: 'b' }, '00-aa-bb-01'));
    start(bus);
    await untilSent();
    expect(seen).toEqual([
      {
        id: seen[0]['event-id'],
        topic: 'emotune.dataset.failed.v1',
        'event-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
        'content-type': 'application/x-protobuf; messageType=emotune.data.v1.DatasetFailed',
        traceparent: '00-aa-bb-01',
      },
    ]);
  });

  it('sends within a second without being woken, and at once when it is', async () => {
    const bus = new MemoryBus();
    await listen(bus);
    const clock = new ManualClock(0);
    const outbox = start(bus, clock);
    await say('timed', 'a');
    await untilSent(() => clock.advance(1000));
    const before = clock.now();
    for (let i = 0; i < 5; i++) {
      await say('woken', String(i));
      await untilSent(() => outbox.wake());
    }
    expect(clock.now()).toBe(before);
    expect((await effects())['woken']).toEqual(['0', '1', '2', '3', '4']);
  });

  it('numbers the events of a key in the order of their commits', async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    let emitted = () => {};
    const first = new Promise<void>((resolve) => {
      emitted = resolve;
    });
    const slow = sender.transaction(async (sql) => {
      await emit(sql, topic, 'key', { name: 'key', reason: 'slow' });
      emitted();
      await gate;
    });
    await first;
    const quick = say('key', 'quick');
    await say('other', 'free');
    expect(await sender.query('select key from outbox')).toEqual([{ key: 'other' }]);
    release();
    await Promise.all([slow, quick]);
    const rows = await sender.query<{ payload: Buffer }>(
      "select payload from outbox where key = 'key' order by sequence",
    );
    expect(rows.map(({ payload }) => topic.decode(payload).reason)).toEqual(['slow', 'quick']);
  });

  it('lets a key that is held up hold up no other', async () => {
    const bus = new MemoryBus(systemClock, retry);
    await listen(bus);
    let refused = 0;
    const picky: Pick<Bus, 'publish'> = {
      publish: async (events) => {
        if (events.some(({ key }) => key === 'held')) {
          refused++;
          throw new Unavailable('no leader for the partition');
        }
        await bus.publish(events);
      },
    };
    await say('held', 'x');
    await say('free', ...Array.from({ length: 5 }, (_, i) => String(i)));
    const outbox = start(picky);
    await expect
      .poll(() => {
        outbox.wake();
        return effects();
      })
      .toEqual({ free: ['0', '1', '2', '3', '4'] });
    await expect.poll(() => refused).toBeGreaterThan(retry.tries);
    expect(await sender.query('select key, failure from outbox')).toEqual([{ key: 'held', failure: null }]);
  });

  it('sets an event aside, with the reason, that the bus refuses for good', async () => {
    const bus = new MemoryBus(systemClock, retry);
    await listen(bus);
    const small: Pick<Bus, 'publish'> = {
      publish: async (events) => {
        if (events.some((event) => textOf(event).includes('huge'))) throw new RangeError('too large');
        await bus.publish(events);
      },
    };
    await say('key', 'huge', 'small');
    start(small);
    await untilSent();
    expect(await effects()).toEqual({ key: ['small'] });
    expect(await sender.query('select failure from outbox')).toEqual([{ failure: 'RangeError: too large' }]);
  });

  it('publishes an event once, although the database was away when its row was to go', async () => {
    const breaking = await Database.connect(`${await testDatabaseUrl()}?application_name=breaking`, 'sender');
    closers.push(() => breaking.close());
    const published: string[] = [];
    const bus: Pick<Bus, 'publish'> = {
      publish: async (events) => {
        published.push(...events.map((event) => topic.decode(event.payload).reason));
        if (published.length > 1) return;
        // What the relay asks next fails.
        vi.spyOn(breaking, 'query').mockRejectedValueOnce(new Unavailable('the database is away'));
      },
    };
    await say('key', 'first', 'second');
    const relay = new Outbox(breaking, bus, systemClock, retry);
    closers.push(() => relay.close());
    relay.start();
    await untilSent();
    expect(published).toEqual(['first', 'second']);
  });

  it('does not wait, when it closes, for what nobody takes', async () => {
    const bus = new MemoryBus();
    const leave = await bus.subscribe('absent', [topic.name], async () => {});
    await leave();
    await say('key', 'later');
    const outbox = start(bus);
    await expect.poll(() => sender.query('select 1 as one from outbox')).toEqual([{ one: 1 }]);
    await outbox.close();
    await bus.close();
    const next = new MemoryBus();
    await listen(next);
    start(next);
    await untilSent();
    expect(await effects()).toEqual({ key: ['later'] });
  });
});

describe('two relays of one table', () => {
  it('send hundreds of events in the order of their keys, also when one dies', async () => {
    const published: Record<string, string[]> = {};
    /** Takes its time, so that two relays at work would come in between each other. */
    const recording: Pick<Bus, 'publish'> = {
      publish: async (events) => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
        for (const event of events) {
          const { name, reason } = topic.decode(event.payload);
          published[name] = [...(published[name] ?? []), reason];
        }
      },
    };
    const keys = ['a', 'b', 'c', 'd'];
    const wanted = Array.from({ length: 100 }, (_, i) => String(i));
    const dying = await Database.connect(`${await testDatabaseUrl()}?application_name=dying`, 'sender');
    const relays = [dying, sender].map((database) => new Outbox(database, recording, systemClock, retry));
    relays[0].start();
    await say('a', 'first');
    await untilSent();
    relays[1].start();
    closers.push(() => relays[1].close());
    const emitting = (async () => {
      for (const text of wanted) for (const key of keys) await say(key, text);
    })();
    await expect.poll(() => published['a'].length, { interval: 1 }).toBeGreaterThan(20);
    // It gets no connection any more, and those it has break: as when its process is killed.
    const closed = dying.close();
    await sender.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dying'",
    );
    await Promise.all([closed, emitting]);
    await untilSent();
    await relays[0].close();
    for (const key of keys) {
      const texts = key === 'a' ? ['first', ...wanted] : wanted;
      expect([...new Set(published[key])]).toEqual(texts);
      // What was on its way when the relay died comes twice, one after the other.
      expect(published[key].length).toBeLessThanOrEqual(texts.length + 1);
      expect(published[key].filter((text, i, all) => text !== all[i - 1])).toEqual(texts);
    }
  });

  it('send at once what another process emits', async () => {
    const bus = new MemoryBus();
    await listen(bus);
    const other = await Database.connect(await testDatabaseUrl(), 'sender');
    // On its clock no time passes, so it looks only when it is woken.
    const relay = new Outbox(other, bus, new ManualClock(), retry);
    relay.start();
    for (const text of ['a', 'b', 'c']) {
      await say('key', text);
      await untilSent();
    }
    await relay.close();
    await other.close();
    expect(await effects()).toEqual({ key: ['a', 'b', 'c'] });
  });
});

describe('consume', () => {
  it('acts once on an event that comes twice, and not at all on one whose transaction failed', async () => {
    const bus = new MemoryBus(systemClock, retry);
    let failures = 2;
    await listen(bus, () => {
      if (failures-- > 0) throw new Error('not yet');
    });
    await say('key', 'once');
    const [row] = await sender.query<{ event_id: string; payload: Buffer }>('select * from outbox');
    const event = { id: row.event_id, topic: topic.name, key: 'key', payload: row.payload, headers: {} };
    await bus.publish([event, event]);
    await bus.publish([event]);
    expect(await effects()).toEqual({ key: ['once'] });
  });
});

describe('what others have written into a topic', () => {
  const message = topic.encode({ name: 'key', reason: 'known' });
  /** Field 99, which a later version may have. */
  const later = Buffer.concat([message, Buffer.from([0x9a, 0x06, 0x03, 1, 2, 3])]);

  it.each([
    [
      'of another content type',
      message,
      { 'content-type': 'application/json' },
      /^Poison: header content-type: expected application\/x-protobuf; messageType=emotune.data.v1.DatasetFailed, got "application\/json"/,
    ],
    [
      'of another schema',
      message,
      { 'content-type': 'application/x-protobuf; messageType=shop.v1.Order' },
      /^Poison: header content-type: .* got ".*shop.v1.Order"/,
    ],
    [
      'no message at all',
      Buffer.from('{"name": "key"}'),
      {},
      /^Poison: payload: expected emotune.data.v1.DatasetFailed, got 15 bytes/,
    ],
  ])('%s is a dead letter at once, with the reason', async (_, payload, headers, reason) => {
    const bus = new MemoryBus(systemClock, { ...retry, pauseMs: 1_000_000 });
    await listen(bus);
    await bus.publish([{ id: randomUUID(), topic: topic.name, key: 'key', payload, headers }]);
    const [letter] = await bus.deadLetters.list({ topic: '', group: '' }, { after: '', limit: 10 });
    expect(letter.reason).toMatch(reason);
    expect(await effects()).toEqual({});
  });

  it.each([
    [
      'the fields of a later version',
      later,
      { 'content-type': 'application/x-protobuf; messageType=emotune.data.v1.DatasetFailed' },
    ],
    ['no word of its type', message, {}],
  ])('with %s is acted on', async (_, payload, headers) => {
    const bus = new MemoryBus(systemClock, retry);
    await listen(bus);
    await bus.publish([
      {
        id: randomUUID(),
        topic: topic.name,
        key: 'key',
        payload,
        headers: headers as Record<string, string>,
      },
    ]);
    expect(await effects()).toEqual({ key: ['known'] });
  });
});

/** Where a process dies: before or after an event was published, or in the handler. */
interface Crash {
  readonly point: 'before publish' | 'after publish' | 'in handler';
  /** After how many events. */
  readonly after: number;
}

describe('outbox and inbox together', () => {
  it('lose no event and act on none twice, wherever processes die', async () => {
    const crash: fc.Arbitrary<Crash> = fc.record({
      point: fc.constantFrom('before publish', 'after publish', 'in handler'),
      after: fc.nat(4),
    });
    const said = fc.dictionary(
      fc.constantFrom('a', 'b', 'c'),
      fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 1, maxLength: 5 }),
      { minKeys: 1 },
    );
    await fc.assert(
      fc.asyncProperty(said, fc.array(crash, { maxLength: 4 }), async (texts, crashes) => {
        await sender.query('truncate outbox');
        await receiver.query('truncate effects, inbox');
        for (const [key, of] of Object.entries(texts)) await say(key, ...of);
        for (const { point, after } of crashes) await runUntilCrash(point, after);
        const bus = new MemoryBus(systemClock, retry);
        await listen(bus);
        const outbox = new Outbox(sender, bus, systemClock, retry);
        outbox.start();
        await untilSent();
        await outbox.close();
        expect(await effects()).toEqual({ ...texts });
      }),
      { numRuns: 25 },
    );
  });
});

/** Relays and handles events until the crash comes; what was in flight then is cut off as by kill -9. */
async function runUntilCrash(point: Crash['point'], after: number): Promise<void> {
  const inner = new MemoryBus(systemClock, retry);
  let countdown = after;
  let dead = false;
  const step = (here: Crash['point']) => {
    if (here !== point || countdown-- > 0) return;
    dead = true;
    throw new Unavailable('killed');
  };
  await listen(inner, () => step('in handler'));
  const bus: Pick<Bus, 'publish'> = {
    publish: async (events) => {
      step('before publish');
      await inner.publish(events);
      step('after publish');
    },
  };
  const outbox = new Outbox(sender, bus, systemClock, retry);
  outbox.start();
  await expect
    .poll(async () => dead || (await sender.query('select 1 from outbox')).length === 0, {
      interval: 2,
    })
    .toBe(true);
  await outbox.close();
  await inner.close();
}

it('takes back what waits of a key that is deleted, also what could not be published, and nothing else', async () => {
  await say('gone', 'one', 'two');
  await say('kept', 'three');
  await sender.query(
    "update outbox set failure = 'too large' where sequence = (select min(sequence) from outbox)",
  );
  await sender.transaction((sql) => withdraw(sql, [topics.datasetReady], 'gone'));
  expect(await sender.query('select key from outbox')).toHaveLength(3);
  await sender.transaction((sql) => withdraw(sql, [topics.datasetReady, topic], 'gone'));
  expect(await sender.query('select key from outbox')).toEqual([{ key: 'kept' }]);
});
