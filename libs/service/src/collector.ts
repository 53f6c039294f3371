/** Removes what nothing needs any more, of the object store and of the machine's temporary folder. */
import { readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, isAlive, temporaryOwner } from '@emotune/base';
import {
  common,
  type data,
  type evaluation,
  type featurization,
  type files,
  type tuning,
} from '@emotune/proto';
import type { Channel } from './channel.js';
import { folderOf, type Known, whyUnneeded } from './garbage.js';
import type { ServiceContext } from './host.js';
import { everyPage } from './paging.js';

const usualAgeSeconds = 3_600;

type Context = Pick<ServiceContext, 'objects' | 'channel'>;

const isBuilt = (state: common.BuildState) =>
  state === common.BuildState.BUILD_STATE_READY || state === common.BuildState.BUILD_STATE_FAILED;

const datasetsOf = (channel: Channel): Promise<data.Dataset[]> =>
  everyPage(
    (pageToken) =>
      channel.client<data.DatasetServiceClient>('DatasetService').call('listDatasets', { pageToken }),
    (reply) => reply.datasets,
  );

const evaluationsOf = (channel: Channel): Promise<evaluation.Evaluation[]> =>
  everyPage(
    (pageToken) =>
      channel
        .client<evaluation.EvaluationServiceClient>('EvaluationService')
        .call('listEvaluations', { pageToken }),
    (reply) => reply.evaluations,
  );

/** What is still to be made of an uploaded file. @throws Unavailable while a service does not answer. */
export async function usersOfUpload(channel: Channel, sha256: string): Promise<string[]> {
  const datasets = (await datasetsOf(channel)).filter(
    ({ state, spec }) =>
      !isBuilt(state) &&
      spec?.sources.some(
        ({ file, import: imported }) =>
          file?.upload?.sha256 === sha256 || imported?.uploads.some((upload) => upload.sha256 === sha256),
      ),
  );
  const evaluations = (await evaluationsOf(channel)).filter(
    ({ state, upload }) => !isBuilt(state) && upload === sha256,
  );
  return [
    ...datasets.map(({ name }) => `data set ${name}`),
    ...evaluations.map(({ id }) => `evaluation ${id}`),
  ];
}

/** @throws Unavailable while one of them does not answer. */
async function whatServicesHave({ channel }: Context): Promise<Known> {
  const datasets = await datasetsOf(channel);
  const featureSets = await everyPage(
    (pageToken) =>
      channel
        .client<featurization.FeatureServiceClient>('FeatureService')
        .call('listFeatureSets', { pageToken }),
    (reply) => reply.featureSets,
  );
  const models = await everyPage(
    (pageToken) =>
      channel.client<tuning.ModelServiceClient>('ModelService').call('listModels', { pageToken }),
    (reply) => reply.models,
  );
  const experiments = await everyPage(
    (pageToken) =>
      channel
        .client<tuning.ExperimentServiceClient>('ExperimentService')
        .call('listExperiments', { pageToken }),
    (reply) => reply.experiments,
  );
  const evaluations = await evaluationsOf(channel);
  return {
    datasets: new Map(datasets.map(({ name, prefix, state }) => [name, { prefix, built: isBuilt(state) }])),
    featureSets: new Map(
      featureSets.map(({ name, prefix, state, spec }) => [
        name,
        { prefix, built: isBuilt(state), dataset: spec?.dataset ?? '' },
      ]),
    ),
    models: new Set(models.flatMap(({ prefix, basePrefix }) => [prefix, basePrefix])),
    experiments: new Map(
      experiments.map(({ name, endTime, spec }) => [
        name,
        { ended: Boolean(endTime), features: spec?.features ?? '' },
      ]),
    ),
    evaluations: new Set(evaluations.map(({ id }) => id)),
  };
}

/** Folders of which nothing changed since `sinceMs`, by the clock that file systems go by, with their bytes. */
async function folders({ objects }: Context, sinceMs: number): Promise<Map<string, number>> {
  const bytes = new Map<string, number>();
  const recent = new Set<string>();
  for (const object of await objects.list('')) {
    const folder = folderOf(object.key);
    if (folder === undefined) continue;
    bytes.set(folder, (bytes.get(folder) ?? 0) + object.bytes);
    if (object.putMs >= sinceMs) recent.add(folder);
  }
  for (const folder of recent) bytes.delete(folder);
  return bytes;
}

/** Bytes below a folder of the machine, and when something in it changed last. */
async function contentOf(folder: string): Promise<{ bytes: number; changedMs: number }> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const all = await Promise.all(
    ['.', ...names].map((name) => stat(join(folder, name)).catch(() => undefined)),
  );
  const found = all.filter((one) => one !== undefined);
  return {
    bytes: found.reduce((sum, one) => sum + (one.isFile() ? one.size : 0), 0),
    changedMs: Math.max(0, ...found.map(({ mtimeMs }) => mtimeMs)),
  };
}

/** Folders of processes that are gone, which would have removed them. */
async function temporaryGarbage(ageSeconds: number): Promise<files.Garbage[]> {
  const garbage: files.Garbage[] = [];
  for (const name of await readdir(tmpdir())) {
    const owner = temporaryOwner(name);
    if (owner === undefined || isAlive(owner)) continue;
    const { uid } = await stat(join(tmpdir(), name)).catch(() => ({ uid: -1 }));
    if (uid !== process.getuid?.()) continue;
    const { bytes, changedMs } = await contentOf(join(tmpdir(), name));
    if (Date.now() - changedMs >= ageSeconds * 1000)
      garbage.push({ name: join(tmpdir(), name), bytes, reason: 'its process was killed' });
  }
  return garbage;
}

/**
 * What nothing needs any more; removed unless it is only asked for.
 * @throws InvalidArgument; Unavailable while a service does not answer.
 */
export async function collectGarbage(
  context: Context,
  { dryRun, minAgeSeconds }: files.CollectGarbageRequest,
): Promise<files.CollectGarbageResponse> {
  if (minAgeSeconds < 0)
    throw InvalidArgument.at('minAgeSeconds', `expected 0 or more, got ${minAgeSeconds}`);
  const ageSeconds = minAgeSeconds || usualAgeSeconds;
  const sinceMs = Date.now() - ageSeconds * 1000;
  // Listed first: what comes meanwhile is no candidate.
  const stored = await folders(context, sinceMs);
  const known = await whatServicesHave(context);
  const unneeded = [...stored].flatMap(([name, bytes]): files.Garbage[] => {
    const reason = whyUnneeded(name, known);
    return reason === undefined ? [] : [{ name, bytes, reason }];
  });
  const temporary = await temporaryGarbage(ageSeconds);
  // Whatever age was asked for: a disk that is busy may take its time with what a writer at work has written.
  const left = await context.objects.leftovers(Math.max(ageSeconds, usualAgeSeconds) * 1000, !dryRun);
  if (!dryRun) {
    // A folder may have been taken into use again since its services were asked: what was put there since stays.
    for (const { name } of unneeded) await context.objects.deleteOld(name, sinceMs);
    for (const { name } of temporary) await rm(name, { recursive: true, force: true });
  }
  const leftovers = left.map(({ key, bytes }) => ({ name: key, bytes, reason: 'its writer was killed' }));
  const garbage = [...unneeded, ...leftovers, ...temporary].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { garbage, bytes: garbage.reduce((sum, { bytes }) => sum + bytes, 0) };
}
