import { once } from 'node:events';
import { createServer } from 'node:http';
import { systemClock } from '@emotune/base';
import { expect, it } from 'vitest';
import { clusterPlace } from './place.js';
import { configOf } from './testing.js';

const requests = 20;

it('does not open a connection for each request', async () => {
  let connections = 0;
  const server = createServer((_, response) => response.end('{}'));
  server.on('connection', () => connections++);
  const config = await configOf(server);
  const { api } = clusterPlace({ config }, systemClock);
  for (let i = 0; i < requests; i++) await api.json('GET', '/version');
  // One may not be free yet when the next is sent.
  expect(connections).toBeLessThan(requests / 2);
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});
