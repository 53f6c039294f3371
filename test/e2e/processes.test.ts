/** The five services as five processes over one PostgreSQL, one bus and one folder of objects. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Unavailable } from '@emotune/base';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@emotune/database';
import type { inference } from '@emotune/proto';
import { Channel, Tls } from '@emotune/service';
import { Health, TestCa } from '@emotune/service/testing';
import { status } from '@grpc/grpc-js';
import { afterAll, expect, it, onTestFailed, onTestFinished } from 'vitest';
import { emotune, serve, until } from './platform-process.js';
import {
  type Area,
  areas,
  beginService,
  freePorts,
  programOf,
  type ServiceProcess,
} from './service-process.js';
import { base, tune } from './tune.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-processes-'));
let postgres: EmbeddedPostgres | undefined;
afterAll(async () => {
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const name = 'processes';
const models = fileURLToPath(new URL('../../models', import.meta.url));

it.each([
  ['data', [], 'EMOTUNE_CACHE_DIR: expected a folder, got nothing\n'],
  ['featurization', ['data', 'tuning'], ''],
  [
    'tuning',
    ['featurization', 'evaluation'],
    'EMOTUNE_JOBS_DIR: expected a folder, got nothing\nEMOTUNE_TRAINER: expected the path of the trainer, got nothing\n',
  ],
  ['evaluation', ['data', 'featurization', 'tuning'], ''],
  ['inference', ['tuning'], ''],
] as const)('%s says what its environment lacks: 2', async (area, peers, own) => {
  const database = 'postgres://user:password@host:5432/database';
  expect(await beginService(area, {}).ended).toEqual({
    code: 2,
    stdout: '',
    stderr: [
      `EMOTUNE_DATABASE_URL: expected a URL such as ${database}, got nothing\n`,
      'EMOTUNE_OBJECTS_URL: expected a URL such as s3://bucket/prefix, got nothing\n',
      `EMOTUNE_BUS_URL: expected ${database} or kafka://host:port[,host:port], got nothing\n`,
      ...peers.map((peer) => `EMOTUNE_PEERS: expected ${peer}=host:port among the peers, got nothing\n`),
      own,
    ].join(''),
  });
});

it('they wait for PostgreSQL, tune the model that the embedded platform tunes, and end in order', async () => {
  const [port, ...ports] = await freePorts(1 + 2 * areas.length);
  // As in a cluster: encrypted, with certificates of one CA and the token; probes beside.
  const ca = await TestCa.make();
  const token = 'a-token-of-thirty-two-characters';
  const certificates = new Map<Area, Record<string, string>>();
  for (const area of areas) certificates.set(area, ca.write(join(folder, 'tls', area), await ca.issue(area)));
  const dir = join(folder, 'postgres');
  // The cluster is made, and away while the services start.
  const { url, stop } = await startEmbeddedPostgres({ dir, port });
  await stop();

  const peers = Object.fromEntries(areas.map((area, i) => [area, `127.0.0.1:${ports[i]}`])) as Record<
    Area,
    string
  >;
  const probes = Object.fromEntries(
    areas.map((area, i) => [area, `127.0.0.1:${ports[areas.length + i]}`]),
  ) as Record<Area, string>;
  const objects = join(folder, 'objects');
  const own: Partial<Record<Area, Record<string, string>>> = {
    data: { EMOTUNE_CACHE_DIR: join(folder, 'corpora'), EMOTUNE_DOWNLOAD: 'false' },
    tuning: { EMOTUNE_JOBS_DIR: join(folder, 'jobs'), EMOTUNE_TRAINER: programOf('trainer') },
  };
  const services = areas.map((area): [Area, ServiceProcess] => {
    const service = beginService(area, {
      EMOTUNE_LISTEN: peers[area],
      EMOTUNE_HEALTH_LISTEN: probes[area],
      EMOTUNE_TOKEN: token,
      ...certificates.get(area),
      EMOTUNE_DATABASE_URL: url,
      EMOTUNE_OBJECTS_URL: pathToFileURL(objects).href,
      EMOTUNE_BUS_URL: url,
      EMOTUNE_PEERS: Object.entries(peers)
        .map(([peer, address]) => `${peer}=${address}`)
        .join(','),
      ...own[area],
    });
    onTestFailed(() => void process.stderr.write(`${area}:\n${service.output.stdout}`));
    onTestFinished(async () => {
      service.child.kill('SIGKILL');
      await service.ended;
    });
    return [area, service];
  });
  const health = new Map(areas.map((area) => [area, new Health(probes[area])]));
  onTestFinished(() => {
    for (const one of health.values()) one.close();
  });
  for (const [area, { output, child }] of services) {
    await until(`${area} waits`, () => {
      if (child.exitCode !== null) throw new Error(output.stdout + output.stderr);
      return output.stdout.includes('waiting for the event bus');
    });
    expect(await health.get(area)!.check()).toBe('NOT_SERVING');
  }
  postgres = await startEmbeddedPostgres({ dir, port });
  for (const [area] of services)
    await until(`${area} serves`, async () => (await health.get(area)!.check()) === 'SERVING');

  const channel = Channel.toPeers(peers, { token, tls: Tls.files(certificates.get('data')!) });
  onTestFinished(() => channel.close());
  const env = {
    EMOTUNE_SERVER: areas.map((area) => `${area}=https://${peers[area]}`).join(','),
    EMOTUNE_TOKEN: token,
    ...certificates.get('data'),
  };
  const ask = (...args: readonly string[]) => emotune(args, { env });
  expect(await ask('model', 'import', join(models, base), '--name', base)).toMatchObject({ code: 0 });
  const { modelVersion } = await tune(channel, name);
  for (const [line, said] of [
    [['dataset', 'list'], name],
    [['features', 'list'], name],
    [['experiment', 'get', name], modelVersion],
    [['evaluation', 'list'], modelVersion],
    [['dlq', 'list'], ''],
    [['analyze', 'What a lovely day'], modelVersion],
  ] as const) {
    const { code, stdout, stderr } = await ask(...line);
    expect([code, stderr], line.join(' ')).toEqual([0, '']);
    expect(stdout).toContain(said);
  }
  expect(await ask('--server', `data=https://${peers.data}`, 'model', 'list')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--server: expected tuning=HOST:PORT, which this command calls'),
  });

  const embedded = await serve(join(folder, 'embedded'));
  onTestFinished(() => embedded.end('SIGKILL').then(() => {}));
  expect((await tune(embedded.channel, name)).modelVersion).toBe(modelVersion);
  await embedded.end('SIGTERM');

  // A call that is being answered, and a stream that never ends.
  const analyses = channel.client<inference.AnalysisServiceClient>('AnalysisService');
  const texts = new Array(64).fill({ text: 'What a lovely day' });
  const batch = analyses.call('analyzeBatch', { requests: texts });
  const stream = analyses
    .duplex(
      'analyzeStream',
      (async function* () {
        yield { text: 'What a dreadful day' };
        await new Promise(() => {});
      })(),
    )
    [Symbol.asyncIterator]();
  // They share a connection, so that the batch has arrived too.
  expect((await stream.next()).value.model).toBe(modelVersion);
  const watches = services.map(([area]) => health.get(area)!.watch());
  for (const watch of watches) expect((await watch.next()).value).toBe('SERVING');
  for (const [, { child }] of services) child.kill('SIGTERM');
  for (const watch of watches) {
    expect((await watch.next()).value).toBe('NOT_SERVING');
    await expect(watch.next()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  }
  await expect(stream.next()).rejects.toBeInstanceOf(Unavailable);
  expect((await batch).analyses).toHaveLength(texts.length);
  for (const [area, { ended }] of services) {
    const { code, stdout, stderr } = await ended;
    expect([area, code, stderr]).toEqual([area, 0, '']);
    // Its address is told, its password never.
    expect(stdout).toContain(peers[area]);
    expect(stdout).not.toContain(new URL(url).password);
    expect(stdout).not.toContain(token);
    expect(stdout).not.toContain('a connection was refused');
    if (area === 'tuning')
      expect(stdout).toContain('"method":"emotune.tuning.v1.ExperimentService/CreateExperiment"');
  }
}, 900_000);
