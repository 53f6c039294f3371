import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type Clock, systemClock } from '@emotune/base';
import { HttpMethod } from '@kubernetes/client-node';
import { afterEach, expect, it } from 'vitest';
import { Api, ApiError } from './api.js';
import { configOf } from './testing.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function apiOf(answer: RequestListener, clock: Clock = systemClock): Promise<Api> {
  const server = createServer(answer);
  closing.push(() => {
    server.closeAllConnections();
    server.close();
    return once(server, 'close');
  });
  return new Api(await configOf(server), clock);
}

const forbidden = JSON.stringify({
  reason: 'Forbidden',
  message: 'jobs.batch is forbidden: User "u" cannot',
});

it('asks again where an API server that has just come back denies what it allows', async () => {
  let asked = 0;
  const api = await apiOf((request, response) => {
    asked++;
    if (asked === 1) return request.socket.destroy();
    if (asked === 2) response.statusCode = 403;
    return response.end(asked === 2 ? forbidden : '{"kind":"Job"}');
  });
  expect(await api.json(HttpMethod.GET, '/jobs')).toEqual({ kind: 'Job' });
  expect(asked).toBe(3);
});

it('asks again where a stream broke before, too', async () => {
  let asked = 0;
  const api = await apiOf((request, response) => {
    asked++;
    if (asked === 1) {
      response.write('one\n');
      return void setTimeout(() => request.socket.destroy(), 20);
    }
    if (asked === 2) response.statusCode = 403;
    return void response.end(asked === 2 ? forbidden : '{}');
  });
  const lines: string[] = [];
  const reading = (async () => {
    for await (const line of api.lines('/log', {}, new AbortController().signal)) lines.push(line);
  })();
  await expect(reading).rejects.toThrow();
  expect(lines).toEqual(['one']);
  expect(await api.json(HttpMethod.GET, '/jobs')).toEqual({});
});

it('believes a denial of an API server that was there', async () => {
  let asked = 0;
  let time = 0;
  const clock = {
    now: () => time,
    sleep: async () => {
      time += 60_000;
    },
  };
  const api = await apiOf((request, response) => {
    if (++asked === 1) return request.socket.destroy();
    response.statusCode = 403;
    return response.end(forbidden);
  }, clock);
  await expect(api.json(HttpMethod.GET, '/jobs')).rejects.toBeInstanceOf(ApiError);
  expect(asked).toBe(2);
});
