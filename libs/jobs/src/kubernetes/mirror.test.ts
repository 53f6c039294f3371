import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@emotune/base';
import { KubeConfig, type V1Job } from '@kubernetes/client-node';
import { expect, it } from 'vitest';
import { Mirror } from './mirror.js';
import { clusterPlace } from './place.js';

it('comes back as soon to an API server that is killed for the tenth time as for the first', async () => {
  const over = new AbortController();
  const metadata = { name: 'a', uid: '1', resourceVersion: '1' };
  let watches = 0;
  const server = createServer((request, response) => {
    if (!request.url!.includes('watch=true')) {
      response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
      return;
    }
    response.write(`${JSON.stringify({ type: 'MODIFIED', object: { metadata } })}\n`);
    setTimeout(() => response.socket?.end(), 20);
    if (++watches === 10) over.abort();
  });
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
  const pauses: number[] = [];
  const clock = {
    now: systemClock.now,
    sleep: async (ms: number) => void pauses.push(ms),
  };
  await new Mirror<V1Job>({
    api: clusterPlace({ config }, systemClock).api,
    clock,
    path: '/apis/batch/v1/namespaces/n/jobs',
    selector: '',
    onObject: () => {},
    onGone: () => {},
    onListed: () => {},
    onFailure: () => {},
  }).run(over.signal);
  expect(pauses).toHaveLength(9);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(100);
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});
