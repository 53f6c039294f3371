import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import {
  type Bus,
  consume,
  emit,
  eventTables,
  MemoryBus,
  on,
  PostgresBus,
  PostgresLetters,
  topics,
} from '@emotune/events';
import { FolderStore } from '@emotune/objects';
import type { events } from '@emotune/proto';
import { afterAll, afterEach, expect, it } from 'vitest';
import { deadLettersModule } from './dead-letters.js';
import { Host } from './host.js';
import { jsonLog } from './log.js';

const topic = topics.datasetFailed;
const folder = mkdtempSync(join(tmpdir(), 'emotune-letters-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const retry = { tries: 2, pauseMs: 1, longestPauseMs: 5 };
const buses: Record<string, () => Promise<Bus>> = {
  'in memory': async () => new MemoryBus(systemClock, retry),
  'of the embedded platform': async () =>
    new MemoryBus(systemClock, retry, await PostgresLetters.open(await testDatabase('letters'))),
  'in PostgreSQL': async () => PostgresBus.open(await testDatabase('bus'), { retry }),
};

it.each(Object.keys(buses))(
  'dead letters of a bus %s are listed, shown and replayed to whom they concern',
  async (name) => {
    const bus = await buses[name]();
    await testDatabase('data');
    const host = await Host.create({
      database: async (schema) => Database.connect(await testDatabaseUrl(), schema),
      objects: await FolderStore.open(folder),
      log: jsonLog(() => {}),
      ...{ bus, clock: systemClock, listen: '127.0.0.1:0' },
    });
    closers.push(() => host.close());
    const context = await host.context('data', [eventTables]);
    const receivers = await testDatabase('receivers');
    await receivers.migrate([
      eventTables,
      'create table effects (number serial, consumer text, reason text)',
    ]);
    let mended = false;
    for (const group of ['fails', 'acts'])
      await consume({
        ...{ database: receivers, bus, group },
        handlers: [
          on(topic, async (sql, { reason }) => {
            if (group === 'fails' && !mended) throw new Error(`cannot act on ${reason}`);
            await sql.query('insert into effects (consumer, reason) values ($1, $2)', [group, reason]);
          }),
        ],
      });
    await host.start([deadLettersModule(context)]);
    const letters = host.channel.client<events.DeadLetterServiceClient>('DeadLetterService');
    const list = async () => (await letters.call('listDeadLetters', {})).deadLetters;
    for (const reason of ['one', 'two', 'three'])
      await context.database.transaction((sql) => emit(sql, topic, 'reviews', { name: 'reviews', reason }));
    await expect.poll(list).toHaveLength(3);

    const { deadLetters: two, nextPageToken } = await letters.call('listDeadLetters', {
      pageSize: 2,
      group: 'fails',
    });
    expect(two.map(({ reason }) => reason)).toEqual(['Error: cannot act on one', 'Error: cannot act on two']);
    const rest = await letters.call('listDeadLetters', { pageToken: nextPageToken, topic: topic.name });
    expect(rest).toMatchObject({
      deadLetters: [{ reason: 'Error: cannot act on three' }],
      nextPageToken: '',
    });
    expect((await letters.call('listDeadLetters', { group: 'acts' })).deadLetters).toEqual([]);

    const [{ id }] = two;
    const shown = await letters.call('getDeadLetter', { id });
    expect(shown).toMatchObject({
      group: 'fails',
      key: 'reviews',
      topic: topic.name,
      messageType: topic.message,
    });
    expect(id).toBe(`fails/${shown.eventId}`);
    expect(JSON.parse(shown.messageJson)).toMatchObject({ name: 'reviews', reason: 'one' });
    await expect(letters.call('getDeadLetter', { id: 'fails/none' })).rejects.toThrow(
      /no dead letter fails\/none/,
    );
    await expect(letters.call('replayDeadLetters', { ids: [] })).rejects.toThrow(
      /ids: expected 1 to 1000 ids/,
    );
    await expect(letters.call('replayDeadLetters', { ids: [id, 'fails/none'] })).rejects.toThrow(
      /fails\/none/,
    );
    expect(await list()).toHaveLength(3);

    // Too early: it dies again.
    await letters.call('replayDeadLetters', { ids: [id] });
    await expect
      .poll(async () => (await list()).map(({ reason }) => reason.split(' ').at(-1)))
      .toEqual(['two', 'three', 'one']);
    mended = true;
    await letters.call('replayDeadLetters', { ids: (await list()).map((letter) => letter.id) });
    const effects = async (group: string) =>
      (
        await receivers.query<{ reason: string }>(
          'select reason from effects where consumer = $1 order by number',
          [group],
        )
      ).map(({ reason }) => reason);
    await expect.poll(() => effects('fails')).toEqual(['two', 'three', 'one']);
    expect(await effects('acts')).toEqual(['one', 'two', 'three']);
    expect(await list()).toEqual([]);
  },
);
