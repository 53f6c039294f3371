import { once as event } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { expect, it } from 'vitest';
import { Api } from './api.js';
import { LinesOnce, podLines } from './pod-log.js';
import { configOf } from './testing.js';

const line = (second: number, fraction: string, text: string) =>
  `2026-12-01T04:00:0${second}.${fraction}Z ${text}`;

it('takes each line once, though a stream begins again within a second', () => {
  const all = [
    line(1, '1', 'one'),
    line(2, '25', 'two'),
    // Two streams of a process may be written in another order than they were stamped in.
    line(2, '2', 'three'),
    line(2, '25', 'four'),
    line(3, '5', 'five'),
    line(2, '99', 'late'),
    line(4, '0', ''),
  ];
  for (let broken = 0; broken <= all.length; broken++) {
    const once = new LinesOnce();
    once.begin();
    const taken = all.slice(0, broken).map((one) => once.take(one));
    const { since } = once;
    // What the API server gives from there on: every line of that second or later.
    const rest = all.filter((one) => since === undefined || `${one.slice(0, 19)}Z` >= since);
    once.begin();
    for (const one of rest) taken.push(once.take(one));
    const texts = taken.filter((text) => text !== undefined);
    expect(texts, `broken after ${broken}`).toEqual(['one', 'two', 'three', 'four', 'five', 'late', '']);
  }
});

it('leaves out what a kubelet says in place of a log', () => {
  const once = new LinesOnce();
  once.begin();
  expect(once.take('unable to retrieve container logs for containerd://b957')).toBeUndefined();
  expect(once.since).toBeUndefined();
});

/** What is read of a trainer that writes for two minutes, by a kubelet that answers so; and how often it was asked. */
async function readFor(answer: RequestListener) {
  let asked = 0;
  const server = createServer((request, response) => {
    asked++;
    return answer(request, response);
  });
  const config = await configOf(server);
  let time = 0;
  const clock = {
    now: () => time,
    sleep: async (ms: number) => {
      time += ms;
    },
  };
  const read: string[] = [];
  const { signal } = new AbortController();
  const options = { api: new Api(config, clock), clock, namespace: 'n', pod: 'p', follow: true, signal };
  for await (const text of podLines({ ...options, writes: () => time < 120_000 })) read.push(text);
  server.closeAllConnections();
  server.close();
  await event(server, 'close');
  return { asked, read, time };
}

it('asks seldom for a log that is refused, and once more when its trainer has ended', async () => {
  let ended = false;
  const { asked, read, time } = await readFor((_, response) => {
    response.statusCode = 400;
    response.end(JSON.stringify({ reason: 'BadRequest', message: 'no log' }));
    ended = true;
  });
  expect(ended).toBe(true);
  expect(asked).toBeLessThan(14);
  expect(read).toEqual([]);
  expect(time).toBeLessThan(122_000);
});

it('takes what a kubelet says in place of a log for a refusal', async () => {
  const { asked, read } = await readFor((_, response) => {
    response.end('unable to retrieve container logs for containerd://b957\n');
  });
  expect(asked).toBeLessThan(14);
  expect(read).toEqual([]);
});

it('a stream that breaks is begun again soon, as long as lines come', async () => {
  let second = 0;
  const { asked, read } = await readFor((_, response) => {
    response.end(`${line(0, '0', '').slice(0, 17)}${String(second++ % 60).padStart(2, '0')}.5Z line\n`);
  });
  expect(asked).toBeGreaterThan(100);
  expect(read.length).toBeGreaterThan(50);
});
