import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { startCluster, withoutCluster } from './cluster.js';
import { startKafka, withoutKafka } from './kafka.js';
import { startPostgres, withoutPostgres } from './postgres.js';
import { startS3, withoutS3 } from './s3.js';

const answers = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const [host, port] = address.split(':');
    const socket = connect({ host, port: Number(port) });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

describe.skipIf(withoutKafka())('Kafka', () => {
  it('answers, is killed, comes back and is gone', async () => {
    const kafka = await startKafka();
    expect(await answers(kafka.broker)).toBe(true);
    await kafka.kill();
    expect(await answers(kafka.broker)).toBe(false);
    await kafka.restart();
    expect(await answers(kafka.broker)).toBe(true);
    await kafka.stop();
    expect(await answers(kafka.broker)).toBe(false);
  });
});

describe.skipIf(withoutPostgres())('PostgreSQL', () => {
  it('answers, is killed, comes back and is gone', async () => {
    const postgres = await startPostgres();
    const { host } = new URL(postgres.url);
    expect(await answers(host)).toBe(true);
    await postgres.kill();
    expect(await answers(host)).toBe(false);
    await postgres.restart();
    expect(await answers(host)).toBe(true);
    await postgres.stop();
    expect(await answers(host)).toBe(false);
  });
});

describe.skipIf(withoutS3())('S3', () => {
  it('answers, and is gone', async () => {
    const s3 = await startS3();
    // Nobody may list its buckets without a key.
    expect((await fetch(s3.endpoint)).status).toBe(403);
    await s3.stop();
    await expect(fetch(s3.endpoint)).rejects.toThrow();
  });
});

describe.skipIf(withoutCluster('kwok'))('Kubernetes', () => {
  it('has nodes, and is gone', async () => {
    const cluster = await startCluster('kwok', { net: '10.89', port: 16460 });
    expect(await cluster.kubectl('get', 'nodes', '-o', 'name')).toBe('node/fake-1\nnode/fake-2\n');
    expect(await cluster.helm('version', '--short')).toMatch(/^v4\./);
    await cluster.stop();
    await expect(cluster.kubectl('get', 'nodes')).rejects.toThrow();
  });
});

for (const reason of [withoutKafka(), withoutPostgres(), withoutS3(), withoutCluster('kwok')])
  if (reason) process.stderr.write(`skipped: ${reason}\n`);
