/** From the folder that a final training left to a model version. */
import { createRequire } from 'node:module';
import { emit, topics } from '@emotune/events';
import { loadAdapter, loadModel } from '@emotune/models';
import type { tuning } from '@emotune/proto';
import { checkpointFiles, contentVersion, copyInto, hashesOf, withTemporary } from './checkpoint-files.js';
import type { Models } from './models.js';
import { architectureOf } from './spec.js';
import type { ExperimentRow, TrialRow } from './store.js';

const { version: codeVersion } = createRequire(import.meta.url)('../package.json') as { version: string };

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
  const { database, objects, clock, outbox } = models.context;
  const name = experiment.spec.model;
  const architecture = architectureOf(experiment.spec, trial.parameters);
  const base = experiment.bases.find((b) => b.architecture === architecture)!;
  const baseRow = await models.find(`${base.model}@${base.version}`);
  await using trained = await objects.folder(trial.model_prefix);
  const folder = trained.path;
  const files = await checkpointFiles(folder);
  const adapter = files.includes('adapter_config.json');
  if (adapter) await loadAdapter(folder, await models.config(base.prefix));
  else await loadModel(folder);
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
  };
  await database.transaction(async (sql) => {
    const inserted = await sql.query(
      `insert into models (name, version, kind, state, family, parameters, tokenizer, prefix, base_prefix, lineage, created_at)
       values ($1, $2, 'tuned', 'trained', $3, $4, $5, $6, $7, $8, $9) on conflict do nothing returning 1`,
      [
        name,
        version,
        baseRow.family,
        baseRow.parameters,
        baseRow.tokenizer,
        prefix,
        adapter ? base.prefix : '',
        JSON.stringify(lineage),
        new Date(clock.now()),
      ],
    );
    if (inserted.length > 0) await emit(sql, topics.modelTrained, name, { name, version });
  });
  outbox.wake();
  return `${name}@${version}`;
}
