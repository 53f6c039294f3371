/** From the folder that a final training left to a model version. */
import { createRequire } from 'node:module';
import { besideModule, NotFound } from '@emotune/base';
import { emit, topics } from '@emotune/events';
import type { ObjectStore } from '@emotune/objects';
import type { data, tuning } from '@emotune/proto';
import { architectureOf } from './architecture.js';
import {
  checkpointFiles,
  contentVersion,
  copyInto,
  hashesOf,
  teachingIn,
  withTemporary,
} from './checkpoint-files.js';
import type { Models } from './models.js';
import type { ExperimentRow, TrialRow } from './store.js';
import { trialTrace } from './trial-trace.js';

const { version: codeVersion } = createRequire(import.meta.url)('../package.json') as { version: string };

const exportWork = besideModule(import.meta.url, 'export-work');

/** What a dataset version was made of; nothing where its files are gone. */
async function sourcesOf(objects: ObjectStore, prefix: string): Promise<tuning.LineageSource[]> {
  try {
    const text = Buffer.from(await objects.get(`${prefix}/manifest.json`)).toString();
    const { sources } = JSON.parse(text) as data.Manifest;
    return sources.map(({ name, licence, url, rows }) => ({ name, licence, url, rows }));
  } catch (error) {
    if (error instanceof NotFound) return [];
    throw error;
  }
}

/**
 * Makes a model version of what a final training left in the object store, in state trained, and gives its id.
 * Repeating it is harmless.
 * @throws InvalidArgument, NotFound when that cannot be used.
 */
export async function storeModel(
  models: Models,
  experiment: ExperimentRow,
  trial: TrialRow,
): Promise<string> {
  const { database, objects, clock, outbox, builds } = models.context;
  const name = experiment.spec.model;
  const architecture = architectureOf(experiment.spec, trial.parameters);
  const base = experiment.bases.find((b) => b.architecture === architecture)!;
  const baseRow = await models.find(`${base.model}@${base.version}`);
  await using trained = await objects.folder(trial.model_prefix);
  const folder = trained.path;
  const files = await checkpointFiles(folder);
  const adapter = files.includes('adapter_config.json');
  await builds.run(exportWork, 'check', {
    folder,
    config: adapter ? await models.config(base.prefix) : undefined,
  });
  const version = contentVersion(await hashesOf(folder, files));
  const prefix = `models/${name}/${version}`;
  await withTemporary(async (copies) => {
    await copyInto(copies, folder, files);
    await objects.putFolder(prefix, copies, adapter ? 'adapter_config.json' : 'config.json');
  });
  const features = experiment.features!;
  const lineage: tuning.Lineage = {
    experiment: experiment.name,
    trial: trial.number,
    baseModel: base.model,
    baseVersion: base.version,
    dataset: features.dataset,
    datasetVersion: features.datasetVersion,
    features: experiment.spec.features,
    featuresVersion: features.version,
    parameters: trial.parameters,
    seed: experiment.spec.seed,
    tokens: trial.origin_tokens + trial.tokens,
    tokensPerSecond: trial.tokens_per_second,
    codeVersion,
    sources: await sourcesOf(objects, `datasets/${features.dataset}/${features.datasetVersion}`),
    baseLicence: baseRow.licence,
    baseSource: baseRow.source,
  };
  const teaching = await teachingIn(folder);
  await database.transaction(async (sql) => {
    const inserted = await sql.query(
      `insert into models (name, version, kind, state, family, parameters, tokenizer, prefix, base_prefix, lineage, teaching,
         created_at)
       values ($1, $2, 'tuned', 'trained', $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing returning 1`,
      [
        name,
        version,
        baseRow.family,
        baseRow.parameters,
        baseRow.tokenizer,
        prefix,
        adapter ? base.prefix : '',
        JSON.stringify(lineage),
        teaching && JSON.stringify(teaching),
        new Date(clock.now()),
      ],
    );
    if (inserted.length > 0)
      await emit(
        sql,
        topics.modelTrained,
        name,
        { name, version },
        trialTrace(experiment.name, { number: trial.number, createdAt: trial.created_at.getTime() }),
      );
  });
  outbox.wake();
  return `${name}@${version}`;
}
