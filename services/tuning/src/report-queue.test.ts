import { ManualClock, NotFound, systemClock } from '@emotune/base';
import type { Database } from '@emotune/database';
import { testDatabase } from '@emotune/database/testing';
import { beforeAll, expect, it } from 'vitest';
import { type AtLast, ReportQueue } from './report-queue.js';

let database: Database;
beforeAll(async () => {
  database = await testDatabase('reports');
  await database.migrate(['create table heard (number int primary key, transaction xid8 not null)']);
});

const hear = (number: number) => async (sql: Pick<Database, 'query'>) => {
  await sql.query('insert into heard values ($1, pg_current_xact_id())', [number]);
  return number;
};
const heard = async (from: number, to: number) =>
  (
    await database.query<{ number: number }>(
      'select number from heard where number >= $1 and number < $2 order by number',
      [from, to],
    )
  ).map(({ number }) => number);
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

it('lets many that come at once share transactions', async () => {
  const queue = new ReportQueue(database, systemClock);
  const answers = await Promise.all(numbers(0, 100).map((number) => queue.run(hear(number))));
  expect(answers).toEqual(numbers(0, 100));
  expect(await heard(0, 100)).toEqual(numbers(0, 100));
  const [{ transactions }] = await database.query<{ transactions: number }>(
    'select count(distinct transaction) as transactions from heard where number < 100',
  );
  // Three that found nothing to wait for, then sixteen at a time.
  expect(transactions).toBe(3 + Math.ceil(97 / 16));
});

it('takes back what a refused one wrote, and nothing of the others', async () => {
  const queue = new ReportQueue(database, systemClock);
  const order: number[] = [];
  const ends = await Promise.allSettled(
    numbers(100, 150).map((number) =>
      queue.run(async (sql, atLast: AtLast) => {
        atLast(async () => void order.push(number));
        await hear(number)(sql);
        if (number % 5 === 0) throw new NotFound(`number ${number}`);
        return number;
      }),
    ),
  );
  const kept = numbers(100, 150).filter((number) => number % 5 !== 0);
  expect(await heard(100, 150)).toEqual(kept);
  expect(ends.map((end) => (end.status === 'rejected' ? end.reason.message : end.value))).toEqual(
    numbers(100, 150).map((number) => (number % 5 === 0 ? `number ${number}` : number)),
  );
  // What comes last is left out, too.
  expect(order.sort((a, b) => a - b)).toEqual(kept);
});

it('has one that PostgreSQL refuses fail alone', async () => {
  const queue = new ReportQueue(database, systemClock);
  const ends = await Promise.allSettled(numbers(0, 50).map((i) => queue.run(hear(i === 40 ? 0 : 200 + i))));
  expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  expect(ends[40]).toMatchObject({ status: 'rejected', reason: { code: '23505' } });
  expect(await heard(200, 250)).toEqual(numbers(200, 250).filter((number) => number !== 240));
});

it('says for how long the oldest has waited', async () => {
  const clock = new ManualClock(1_000);
  const queue = new ReportQueue(database, clock);
  expect(queue.lateBy).toBe(0);
  const goOn: (() => void)[] = [];
  const wait = () => queue.run(() => new Promise<void>((resolve) => goOn.push(resolve)));
  const first = wait();
  clock.advance(5_000);
  const second = wait();
  clock.advance(2_000);
  expect(queue.lateBy).toBe(7_000);
  await expect.poll(() => goOn.length).toBe(2);
  goOn[0]();
  await first;
  expect(queue.lateBy).toBe(2_000);
  goOn[1]();
  await second;
  expect(queue.lateBy).toBe(0);
});
