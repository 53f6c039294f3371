import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { testDatabaseUrl } from '@emotune/database/testing';
import type { tuning } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import { until } from './e2e/platform-process.js';
import { beginService, freePorts, programOf } from './e2e/service-process.js';

it('the dashboard asks for nothing that services do not tell', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-telemetry-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [port, metricsPort] = await freePorts(2);
  const database = await testDatabaseUrl();
  const service = beginService('tuning', {
    EMOTUNE_LISTEN: `127.0.0.1:${port}`,
    EMOTUNE_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
    EMOTUNE_DATABASE_URL: database,
    EMOTUNE_OBJECTS_URL: pathToFileURL(folder).href,
    EMOTUNE_BUS_URL: database,
    EMOTUNE_PEERS: 'featurization=127.0.0.1:1,evaluation=127.0.0.1:1',
    EMOTUNE_JOBS_DIR: join(folder, 'jobs'),
    EMOTUNE_TRAINER: programOf('trainer'),
  });
  onTestFinished(async () => {
    service.child.kill('SIGKILL');
    await service.ended;
  });
  onTestFailed(() => void process.stderr.write(service.output.stdout + service.output.stderr));
  await until('it serves', () => service.output.stdout.includes('"serving"'));
  const channel = Channel.connect(`127.0.0.1:${port}`);
  const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
  await experiments.call('listExperiments', {});
  await experiments.call('getExperiment', { name: 'none' }).catch(() => {});
  channel.close();

  const url = `http://127.0.0.1:${metricsPort}/metrics`;
  const response = await fetch(url);
  expect(response.headers.get('content-type')).toContain('text/plain');
  const text = await response.text();
  expect((await fetch(url.replace('metrics', ''))).status).toBe(404);
  expect(text).toContain('emotune_metrics_unread_total 0');
  expect(text).toMatch(
    /emotune_rpc_duration_seconds_count{method="emotune.tuning.v1.ExperimentService\/GetExperiment",code="NOT_FOUND"} 1/,
  );
  const told = new Set(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name, kind]) =>
      kind === 'histogram' ? [`${name}_count`, `${name}_sum`, `${name}_bucket`] : [name],
    ),
  );
  const dashboard = readFileSync(
    fileURLToPath(new URL('../helm/emotune/files/dashboards/emotune.json', import.meta.url)),
    'utf8',
  );
  const asked = new Set(dashboard.match(/\bemotune_\w+/g));
  expect(asked.size).toBeGreaterThan(15);
  // Told of by services with TLS alone.
  told.add('emotune_tls_certificate_expiry_timestamp_seconds');
  expect([...asked].filter((name) => !told.has(name))).toEqual([]);
  for (const name of told) expect(name).toMatch(/^emotune_[a-z0-9_]+$/);
}, 300_000);
