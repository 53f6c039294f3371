import { Unavailable } from '@emotune/base';
import { credentials, makeGenericClientConstructor, status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { Access } from './access.js';
import { cumulative, Metrics } from './metrics.js';
import { EmotuneServer } from './server.js';

const name = 'emotune_wait_seconds';

it('buckets of a histogram hold what is no larger than their bounds', () => {
  const rows = [
    { bucket: 0, count: 2, sum: 0.5 },
    { bucket: 2, count: 1, sum: 90 },
  ];
  expect(
    cumulative(name, [1, 60], rows).map(({ metricName, labels, value }) => [metricName, labels, value]),
  ).toEqual([
    [`${name}_bucket`, { le: 1 }, 2],
    [`${name}_bucket`, { le: 60 }, 2],
    [`${name}_bucket`, { le: '+Inf' }, 3],
    [`${name}_sum`, {}, 90.5],
    [`${name}_count`, {}, 3],
  ]);
});

it('what cannot be read is left out and counted, and the rest is told', async () => {
  const metrics = new Metrics();
  metrics.lag({ lag: async () => [{ group: 'tuning', topic: 'facts', events: 7 }] });
  metrics.rows({ name: 'emotune_away', help: 'Away.' }, async () => {
    throw new Unavailable('PostgreSQL is away');
  });
  metrics.histogram({ name, help: 'Waits.', bounds: [1] }, () => new Promise(() => {}));
  const text = await metrics.registry.metrics();
  expect(text).toContain('emotune_consumer_lag_events{group="tuning",topic="facts"} 7');
  expect(text).toContain(`# TYPE ${name} histogram`);
  // Zeros would be told from values that fell.
  expect(text).not.toMatch(/^(emotune_away|emotune_wait_seconds)/m);
  expect(await metrics.registry.getSingleMetricAsString('emotune_metrics_unread_total')).toMatch(/ 2$/);
});

it('calls that are given up are told of once, as cancelled', async () => {
  const metrics = new Metrics();
  const server = await EmotuneServer.listen({ listen: '127.0.0.1:0', access: new Access({}), metrics });
  const client = new (makeGenericClientConstructor({}, ''))(server.address, credentials.createInsecure());
  const bytes = (value: Buffer) => value;
  const watch = client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', bytes, bytes, Buffer.alloc(0));
  const code = new Promise((resolve) => watch.on('status', (end) => resolve(end.code)));
  watch.on('error', () => {});
  watch.once('data', () => watch.cancel());
  expect(await code).toBe(status.CANCELLED);
  const told = async () => {
    const text = await metrics.registry.metrics();
    return [...text.matchAll(/^emotune_rpc_duration_seconds_count(.*)$/gm)].map(([, what]) => what);
  };
  await expect
    .poll(told, { timeout: 60_000 })
    .toEqual(['{method="grpc.health.v1.Health/Watch",code="CANCELLED"} 1']);
  client.close();
  await server.close();
});
