import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@emotune/base';
import { KubeConfig } from '@kubernetes/client-node';
import { expect, it } from 'vitest';
import { clusterPlace } from './place.js';

const requests = 20;

it('does not open a connection for each request', async () => {
  let connections = 0;
  const server = createServer((_, response) => response.end('{}'));
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
    users: [{ name: 'u', token: 'shown' }],
    contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
    currentContext: 'x',
  });
  const { api } = clusterPlace({ config }, systemClock);
  for (let i = 0; i < requests; i++) await api.json('GET', '/version');
  // One may not be free yet when the next is sent.
  expect(connections).toBeLessThan(requests / 2);
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});
