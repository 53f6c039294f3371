import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
    const cluster = await startCluster('kwok');
    expect(await cluster.kubectl('get', 'nodes', '-o', 'name')).toBe('node/fake-1\nnode/fake-2\n');
    expect(await cluster.helm('version', '--short')).toMatch(/^v4\./);
    await cluster.stop();
    await expect(cluster.kubectl('get', 'nodes')).rejects.toThrow();
  });
});

const missing = withoutKafka() ?? withoutPostgres() ?? withoutS3() ?? withoutCluster('control');

describe.skipIf(missing)('components of a process that is killed', () => {
  const loader = new URL('../../../scripts/source-loader.mjs', import.meta.url).href;
  const local = new URL('./index.ts', import.meta.url).href;
  const program = `
    const { startCluster, startKafka, startPostgres, startS3 } = await import('${local}');
    const all = [startKafka(), startPostgres(), startS3(), startCluster('control')];
    if (process.argv[1] === 'early') await new Promise((resolve) => setTimeout(resolve, 2000));
    else await Promise.all(all);
    process.kill(process.pid, 'SIGKILL');`;

  it.each(['early', 'late'])('end with it, and leave no folder: %s', async (when) => {
    const folder = mkdtempSync(join(tmpdir(), 'emotune-killed-'));
    // PostgreSQL runs as another user.
    chmodSync(folder, 0o711);
    const child = spawn(
      process.execPath,
      ['--conditions=source', '--import', loader, '--input-type=module', '-e', program, when],
      { env: { ...process.env, TMPDIR: folder }, stdio: ['ignore', 'ignore', 'inherit'] },
    );
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    expect(readdirSync(folder)).toHaveLength(4);
    await expect.poll(() => readdirSync(folder), { timeout: 200_000, interval: 200 }).toEqual([]);
    const running = readdirSync('/proc').filter((pid) => {
      const file = `/proc/${pid}/cmdline`;
      return /^\d+$/.test(pid) && existsSync(file) && readFileSync(file, 'utf8').includes(folder);
    });
    expect(running).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});

for (const reason of [withoutKafka(), withoutPostgres(), withoutS3(), withoutCluster('kwok')])
  if (reason) process.stderr.write(`skipped: ${reason}\n`);
