import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { TestCa } from './testing.js';
import { TokenReviews } from './token-review.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-review-'));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

it('asks over HTTP/1.1, also where the API server offers HTTP/2', async () => {
  const ca = await TestCa.make();
  const versions: string[] = [];
  const server = createSecureServer({ ...(await ca.issue('api')), allowHTTP1: true }, (request, response) => {
    versions.push(request.httpVersion);
    response.setHeader('content-type', 'application/json');
    const user = { username: `user-${versions.length}`, groups: ['people'] };
    response.end(JSON.stringify({ status: { authenticated: true, audiences: ['emotune'], user } }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const kubeconfig = join(folder, 'kubeconfig');
  const cluster = {
    server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    'certificate-authority-data': Buffer.from(ca.pem).toString('base64'),
  };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'x' },
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { token: 'of-the-service' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    }),
  );
  vi.stubEnv('KUBECONFIG', kubeconfig);
  const reviews = await TokenReviews.open('emotune');
  expect(await reviews.user('first')).toEqual({ name: 'user-1', groups: ['people'] });
  expect(await reviews.user('second')).toEqual({ name: 'user-2', groups: ['people'] });
  expect(versions).toEqual(['1.1', '1.1']);
  server.close();
});
