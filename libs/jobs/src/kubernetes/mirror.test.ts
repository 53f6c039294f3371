import { once } from 'node:events';
import { createServer } from 'node:http';
import { systemClock } from '@emotune/base';
import type { V1Job } from '@kubernetes/client-node';
import { expect, it } from 'vitest';
import { Mirror } from './mirror.js';
import { clusterPlace } from './place.js';
import { configOf } from './testing.js';

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
  const config = await configOf(server);
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
