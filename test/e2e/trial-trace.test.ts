/** One trial's trace, from services and a trainer that are processes of their own, and from the embedded platform. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { testDatabaseUrl } from '@emotune/database/testing';
import { tuning } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { TestCollector, type ToldSpan } from '@emotune/service/testing';
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import { serve, until } from './platform-process.js';
import { type Area, areas, beginService, freePorts, programOf } from './service-process.js';
import { base, tune } from './tune.js';

const name = 'traced';

/** What is told of an experiment that was tuned, by programs of these names: each trial is one trace, whole. */
async function expectTraces(
  channel: Channel,
  collector: TestCollector,
  named: { readonly tuning: string; readonly evaluation: string },
): Promise<void> {
  const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
  const { trials } = await experiments.call('listTrials', { experiment: name });
  const final = trials.find(({ kind }) => kind === tuning.TrialKind.TRIAL_KIND_FINAL)!;

  const spanOf = (number: number, what: string): ToldSpan | undefined =>
    collector.spans.find(
      ({ name: each, attributes }) =>
        each === what &&
        attributes['emotune.experiment'] === name &&
        attributes['emotune.trial'] === String(number),
    );
  await until('each trial is told', () => trials.every(({ number }) => spanOf(number, 'trial')));
  const within = (trace: string) => collector.spans.filter((span) => span.trace === trace);
  const last = spanOf(final.number, 'trial')!;
  const ends = ['evaluation', 'take emotune.evaluation.completed.v1'];
  await until('the evaluation is told', () =>
    ends.every((what) => within(last.trace).some((span) => span.name === what)),
  );

  expect(new Set(trials.map(({ number }) => spanOf(number, 'trial')!.trace)).size).toBe(trials.length);
  for (const { number } of trials) {
    const root = spanOf(number, 'trial')!;
    expect(root).toMatchObject({ parent: '', service: named.tuning, failed: false });
    for (const what of ['attempt', 'train']) expect(spanOf(number, what)).toMatchObject({ parent: root.id });
    const trace = within(root.trace);
    const train = spanOf(number, 'train')!;
    expect(train.service).toBe('emotune-trainer');
    // The trainer's calls, as the service has them.
    for (const method of ['GetAssignment', 'FinishTrial'])
      expect(trace.find((span) => span.name === `emotune.tuning.v1.TrialService/${method}`)).toMatchObject({
        parent: train.id,
        service: named.tuning,
        failed: false,
      });
    // Nobody finds a span that hangs in the air, nor one that is told twice.
    const ids = trace.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(trace.filter(({ parent }) => parent !== '' && !ids.includes(parent))).toEqual([]);
    expect(trace.filter(({ parent }) => parent === '')).toEqual([root]);
  }
  const ended = within(last.trace);
  const taken = ended.find((span) => span.name === 'take emotune.model.trained.v1')!;
  expect(taken).toMatchObject({ parent: last.id, failed: false });
  for (const what of ends) expect(ended.find((span) => span.name === what)!.failed).toBe(false);
  expect(ended.find((span) => span.name === 'evaluation')).toMatchObject({
    parent: taken.id,
    service: named.evaluation,
  });
}

it('a trial is one trace, from its root over the trainer to the evaluation of its model', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-trace-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const collector = await TestCollector.start();
  onTestFinished(() => collector.close());
  const database = await testDatabaseUrl();
  const ports = await freePorts(areas.length);
  const peers = Object.fromEntries(areas.map((area, i) => [area, `127.0.0.1:${ports[i]}`]));
  const own: Partial<Record<Area, Record<string, string>>> = {
    data: { EMOTUNE_CACHE_DIR: join(folder, 'corpora'), EMOTUNE_DOWNLOAD: 'false' },
    tuning: { EMOTUNE_JOBS_DIR: join(folder, 'jobs'), EMOTUNE_TRAINER: programOf('trainer') },
  };
  const services = areas.map((area) => {
    const service = beginService(area, {
      EMOTUNE_LISTEN: peers[area],
      EMOTUNE_DATABASE_URL: database,
      EMOTUNE_OBJECTS_URL: pathToFileURL(join(folder, 'objects')).href,
      EMOTUNE_BUS_URL: database,
      EMOTUNE_PEERS: Object.entries(peers)
        .map(([peer, address]) => `${peer}=${address}`)
        .join(','),
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '100',
      ...own[area],
    });
    onTestFailed(() => void process.stderr.write(`${area}:\n${service.output.stdout}`));
    onTestFinished(async () => {
      service.child.kill('SIGKILL');
      await service.ended;
    });
    return service;
  });
  for (const { output, child } of services)
    await until('it serves', () => {
      if (child.exitCode !== null) throw new Error(output.stdout + output.stderr);
      return output.stdout.includes('"serving"');
    });
  const channel = Channel.toPeers(peers as Record<Area, string>);
  onTestFinished(() => channel.close());
  const models = fileURLToPath(new URL('../../models', import.meta.url));
  await importCheckpoint(channel, { name: base, path: join(models, base) });
  await tune(channel, name);
  await expectTraces(channel, collector, { tuning: 'emotune-tuning', evaluation: 'emotune-evaluation' });
}, 1_200_000);

it('the embedded platform tells of trials as services do, and nobody where no collector is named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-trace-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const collector = await TestCollector.start();
  onTestFinished(() => collector.close());
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '100' };
  const platform = await serve(folder, { env });
  onTestFinished(() => platform.end('SIGKILL').then(() => {}));
  await tune(platform.channel, name);
  const all = 'emotune-platform';
  await expectTraces(platform.channel, collector, { tuning: all, evaluation: all });
  expect((await platform.end('SIGTERM')).code).toBe(0);
  const told = collector.spans.length;
  const silent = await serve(folder);
  onTestFinished(() => silent.end('SIGKILL').then(() => {}));
  await silent.channel.client<tuning.ExperimentServiceClient>('ExperimentService').call('getExperiment', {
    name,
  });
  expect((await silent.end('SIGTERM')).code).toBe(0);
  expect(collector.spans).toHaveLength(told);
}, 1_200_000);
