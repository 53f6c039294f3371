/**
 * Deleting what nothing needs any more. Files go before the row that knows them, in its transaction: what a crash leaves is
 * deleted by asking again.
 */
import { FailedPrecondition } from '@emotune/base';
import { topics, withdraw } from '@emotune/events';
import { hasEnded as jobHasEnded, labels } from '@emotune/jobs';
import { common, type featurization } from '@emotune/proto';
import { forget } from '@emotune/service';
import { everyPage } from '@emotune/service/client';
import type { TuningContext } from './context.js';
import type { Models } from './models.js';
import { removeExperiment } from './save.js';
import { hasEnded, isOpen } from './state.js';
import { experimentRow, type ModelRow, trialRows } from './store.js';
import { deleteLogs } from './trial-logs.js';

const ended = "('succeeded', 'failed', 'cancelled')";

/** @throws NotFound; FailedPrecondition before its end, and while trainers of it still run. */
export async function deleteExperiment(context: TuningContext, name: string): Promise<void> {
  const { database, objects, runner } = context;
  await database.transaction(async (sql) => {
    const { state } = await experimentRow(sql, name);
    if (!hasEnded(state))
      throw new FailedPrecondition(
        `experiment ${name} is ${state}: it can be deleted when it has ended; "emotune experiment cancel ${name}" ends it`,
      );
    const jobs = (await runner.list()).filter((job) => job.labels[labels.experiment] === name);
    if ((await trialRows(sql, name)).some(isOpen) || !jobs.every(jobHasEnded))
      throw new FailedPrecondition(
        `trainers of experiment ${name} are still stopping; ask again in a moment`,
      );
    // Nobody would ask for them any more.
    for (const job of jobs) await runner.remove(job.name);
    await objects.delete(`trials/${name}`);
    await deleteLogs(objects, name);
    await removeExperiment(sql, name);
    await withdraw(sql, [topics.trialFinished, topics.experimentFinished], name);
    await forget(sql, { method: 'CreateExperiment', resource: name });
  });
}

/** A version, or all of a name. @throws NotFound; FailedPrecondition naming what uses it. */
export async function deleteModel(models: Models, name: string): Promise<string[]> {
  const { database, objects } = models.context;
  const [model, version = null] = name.split('@');
  // Asked for before the transaction: another service answers.
  const sets = await setsBeingBuilt(models);
  return database.transaction(async (sql) => {
    await models.find(name, sql);
    const rows = await sql.query<ModelRow>(
      'select * from models where name = $1 and ($2::text is null or version = $2) order by sequence',
      [model, version],
    );
    const ids = rows.map((row) => `${row.name}@${row.version}`);
    const experiments = await sql.query<{ name: string }>(
      `select name from experiments e where state not in ${ended} and (model_version = any($1) or exists (
         select 1 from jsonb_array_elements(e.bases) b where (b->>'model') || '@' || (b->>'version') = any($1)))
       order by name`,
      [ids],
    );
    const adapters = await sql.query<{ id: string }>(
      `select name || '@' || version as id from models where base_prefix = any($1) and not name || '@' || version = any($2)`,
      [rows.map(({ prefix }) => prefix), ids],
    );
    const users = [
      ...experiments.map((experiment) => `experiment ${experiment.name}`),
      ...adapters.map(({ id }) => `model ${id}`),
      ...sets
        .filter((set) => set.spec?.baseModels.some((base) => base === model || ids.includes(base)))
        .map((set) => `feature set ${set.name}`),
    ];
    if (users.length > 0)
      throw new FailedPrecondition(
        `model ${name} is in use by ${users.join(', ')}: it cannot be deleted before them`,
      );
    for (const row of rows) {
      await objects.delete(row.prefix);
      await objects.delete(`exports/${row.name}/${row.version}`);
    }
    await sql.query("delete from models where name || '@' || version = any($1)", [ids]);
    return ids;
  });
}

async function setsBeingBuilt({ context }: Models): Promise<featurization.FeatureSet[]> {
  const features = context.channel.client<featurization.FeatureServiceClient>('FeatureService');
  const { BUILD_STATE_PENDING, BUILD_STATE_BUILDING } = common.BuildState;
  const all = await everyPage(
    (pageToken) => features.call('listFeatureSets', { pageToken }),
    (reply) => reply.featureSets,
  );
  return all.filter(({ state }) => state === BUILD_STATE_PENDING || state === BUILD_STATE_BUILDING);
}
