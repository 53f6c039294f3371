/** Feature sets as rows: accepted, built once their dataset is ready, ready or failed for good. */
import { explain } from '@emotune/affect';
import {
  AlreadyExists,
  besideModule,
  canonicalJson,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  nearest,
  show,
  Unavailable,
  Violations,
} from '@emotune/base';
import type { Sql } from '@emotune/database';
import { consume, emit, eventTables, on, topics } from '@emotune/events';
import { isWhole } from '@emotune/objects';
import { common, type data, type featurization, type tuning } from '@emotune/proto';
import {
  type Attempt,
  Builds,
  buildClaimColumns,
  buildColumns,
  type Client,
  everyPage,
  forget,
  once,
  paged,
  pageOf,
  requestTable,
  type ServiceContext,
  timestamp,
} from '@emotune/service';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import { type AugmentationSources, missingSources } from './augmentation/augment.js';
import type { BuiltFeatures } from './build.js';
import type { FeatureBuild, PreviewBuild, StoredTokenizer } from './build-work.js';
import { previewed, previewOf } from './preview.js';
import { type FeaturePlan, planOf } from './spec.js';

export const featurizationMigrations: readonly string[] = [
  eventTables,
  requestTable,
  `create table feature_sets (
    name text primary key,
    spec jsonb not null,
    state text not null,
    failure text not null default '',
    progress jsonb,
    version text not null default '',
    prefix text not null default '',
    dataset_version text not null default '',
    tokenized jsonb not null default '[]',
    created_at timestamptz not null default now(),
    ready_at timestamptz
  )`,
  buildColumns('feature_sets'),
  buildClaimColumns('feature_sets'),
];

interface Row {
  readonly name: string;
  readonly spec: featurization.FeatureSetSpec;
  readonly state: common.BuildState;
  readonly failure: string;
  readonly progress: common.Progress | null;
  readonly version: string;
  readonly prefix: string;
  readonly dataset_version: string;
  readonly tokenized: featurization.TokenizedFeatures[];
  readonly created_at: Date;
  readonly ready_at: Date | null;
}

const { BUILD_STATE_PENDING, BUILD_STATE_READY, BUILD_STATE_FAILED } = common.BuildState;
/** Where nothing wakes the builder, it asks for the datasets that it waits for this often. */
const lookMs = 5_000;
const longestText = 100_000;
/** In the process of a build. */
const work = besideModule(import.meta.url, 'build-work');

function messageOf(row: Row): featurization.FeatureSet {
  return {
    name: row.name,
    version: row.version,
    spec: row.spec,
    datasetVersion: row.dataset_version,
    state: row.state,
    failure: row.failure,
    progress: row.progress ?? undefined,
    tokenized: row.tokenized,
    createTime: timestamp(row.created_at),
    readyTime: timestamp(row.ready_at),
    prefix: row.prefix,
  };
}

export interface FeaturizationContext extends ServiceContext {
  /** What augmentation needs beside texts. */
  readonly augmentation?: AugmentationSources;
}

export class FeatureSets implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly builder: Builds<Row>;
  private readonly datasets: Client<data.DatasetServiceClient>;
  private readonly models: Client<tuning.ModelServiceClient>;
  private readonly experiments: Client<tuning.ExperimentServiceClient>;
  private leave: (() => Promise<void>) | undefined;

  constructor(private readonly context: FeaturizationContext) {
    const { channel } = context;
    this.datasets = channel.client('DatasetService');
    this.models = channel.client('ModelService');
    this.experiments = channel.client('ExperimentService');
    this.builder = new Builds<Row>(context, {
      table: 'feature_sets',
      key: 'name',
      order: 'created_at, name',
      what: 'a feature set',
      everyMs: lookMs,
      waits: (row, signal) => this.waits(row, signal),
      build: (row, attempt) => this.build(row, attempt),
      passes: (error) => error instanceof Unavailable,
      failed: (sql, { name }, { reason }) => emit(sql, topics.featuresFailed, name, { name, reason }),
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    const { database, bus } = this.context;
    // An event says that it is time to ask; what the service answers then is what holds.
    const ask = async (sql: Sql, { name }: { readonly name: string }) => {
      await sql.query("update feature_sets set free_at = now() where state = $1 and spec->>'dataset' = $2", [
        BUILD_STATE_PENDING,
        name,
      ]);
      this.builder.wake();
    };
    const handlers = [on(topics.datasetReady, ask), on(topics.datasetFailed, ask)];
    this.leave = await consume({ database, bus, group: 'featurization', handlers });
    this.builder.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.leave?.();
    await this.builder.close();
  }

  private async find(name: string, sql: Sql = this.context.database): Promise<Row> {
    const [row] = await sql.query<Row>('select * from feature_sets where name = $1', [name]);
    if (!row)
      throw new NotFound(`expected a feature set, got ${show(name)}; "emotune features list" shows all`);
    return row;
  }

  /**
   * A set that failed, or whose shards are damaged, is built again.
   * @throws InvalidArgument, also for a dataset or base model that does not exist; AlreadyExists; Unavailable.
   */
  async create(request: featurization.CreateFeatureSetRequest): Promise<featurization.FeatureSet> {
    const { spec, requestId: id } = request;
    const plan = planOf(spec);
    const { database, objects } = this.context;
    const missing = missingSources(plan.augmentations, this.context.augmentation ?? {});
    if (missing.length > 0) throw new FailedPrecondition(missing.join('; '));
    const [known] = await database.query<Row>('select * from feature_sets where name = $1', [plan.name]);
    const damaged = known?.state === BUILD_STATE_READY && !(await isWhole(objects, known.prefix));
    if (!known) await this.expectReferences(plan);
    const set = await database.transaction(async (sql) => {
      const name = await once(sql, { method: 'CreateFeatureSet', id, body: spec }, async () => {
        const [row] = await sql.query<Row>('select * from feature_sets where name = $1', [plan.name]);
        // By what is asked for: a spec that was kept before a field was new lacks it.
        if (row && canonicalJson(planOf(row.spec)) !== canonicalJson(plan))
          throw new AlreadyExists(
            `spec.name: a feature set "${plan.name}" with another spec exists; choose another name`,
          );
        if (!row || row.state === BUILD_STATE_FAILED || (damaged && row.prefix === known.prefix)) {
          await sql.query(
            `insert into feature_sets (name, spec, state, progress) values ($1, $2, $3, $4)
             on conflict (name) do update set state = excluded.state, progress = excluded.progress, failure = ''`,
            [plan.name, JSON.stringify(spec), BUILD_STATE_PENDING, JSON.stringify(waitingFor(plan))],
          );
        }
        return plan.name;
      });
      return messageOf(await this.find(name, sql));
    });
    this.builder.wake();
    return set;
  }

  async get(name: string): Promise<featurization.FeatureSet> {
    return messageOf(await this.find(name));
  }

  async list(request: featurization.ListFeatureSetsRequest): Promise<featurization.ListFeatureSetsResponse> {
    const { limit, after } = pageOf(request);
    const rows = await this.context.database.query<Row>(
      'select * from feature_sets where name > $1 order by name limit $2',
      [after, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, (row) => row.name);
    return { featureSets: shown.map(messageOf), nextPageToken };
  }

  /**
   * Its shards go before its row, in one transaction: what a crash leaves is deleted by asking again. One that is being built is
   * cancelled first.
   * @throws NotFound; FailedPrecondition while it is used by an experiment that has not ended.
   */
  async delete(name: string): Promise<void> {
    const { database, objects } = this.context;
    const users = await this.usersOf(name);
    if (users.length > 0)
      throw new FailedPrecondition(
        `feature set ${name} is in use by ${users.map((user) => `experiment ${user}`).join(', ')}: it cannot be deleted before they end`,
      );
    await this.builder.cancel(name, 'it was deleted');
    await database.transaction(async (sql) => {
      await this.find(name, sql);
      await objects.delete(`features/${name}`);
      await sql.query('delete from feature_sets where name = $1', [name]);
      await forget(sql, { method: 'CreateFeatureSet', resource: name });
    });
  }

  /** Experiments that train on it, or will. */
  private async usersOf(name: string): Promise<string[]> {
    const all = await everyPage(
      (pageToken) => this.experiments.call('listExperiments', { pageToken }),
      (reply) => reply.experiments,
    );
    return all.filter(({ spec, endTime }) => spec?.features === name && !endTime).map((user) => user.name);
  }

  /** @throws NotFound, FailedPrecondition until it is ready, InvalidArgument. */
  async *preview(
    request: featurization.PreviewFeatureSetRequest,
    signal: AbortSignal,
  ): AsyncGenerator<featurization.FeatureExample> {
    const { tokenized } = await this.find(request.name);
    const planned = previewOf(request, tokenized);
    const { builds, objects } = this.context;
    const [name] = planned.tokenized.baseModels;
    const { prefix, tokenizer: hash } = await this.models.call('getModel', { name }, { signal });
    const tokenizer = { baseModels: [name], prefix, hash };
    yield* previewed(planned, (file, from, rows) => {
      const key = `${planned.tokenized.prefix}/${file}`;
      const asked = { objects: objects.url, tokenizer, key, from, rows };
      return builds.run<PreviewBuild, featurization.FeatureExample[]>(work, 'preview', asked, { signal });
    });
  }

  /** @throws InvalidArgument when the text is too long. */
  explain(text: string): featurization.ExplainTextResponse {
    if (text.length > longestText)
      throw InvalidArgument.at('text', `expected at most ${longestText} characters, got ${text.length}`);
    const { cues, cueText, vader, afinn } = explain(text);
    return { cues: cues.map((cue) => ({ ...cue })), cueText, vader, afinn };
  }

  /** @throws InvalidArgument that names what does not exist, with the nearest name that does. */
  private async expectReferences({ dataset, baseModels, lexicons }: FeaturePlan): Promise<void> {
    const exists = (asked: Promise<unknown>) =>
      asked.then(
        () => true,
        (error) => {
          if (error instanceof NotFound) return false;
          throw error;
        },
      );
    const violations = new Violations();
    const missing = (field: string, what: string, name: string, names: readonly string[]) => {
      const near = nearest(name, names);
      const hint = near ? `did you mean "${near}"?` : 'create it first';
      violations.add(field, `expected ${what} that exists, got ${show(name)}; ${hint}`);
    };
    if (!(await exists(this.datasets.call('getDataset', { name: dataset })))) {
      const { datasets } = await this.datasets.call('listDatasets', { pageSize: 1000 });
      const names = datasets.map(({ name }) => name);
      missing('spec.dataset', 'a dataset', dataset, names);
    }
    if (lexicons.length > 0) {
      const known = (await this.datasets.call('listLexicons', {})).lexicons;
      const names = known.map(({ name }) => name);
      for (const [i, name] of lexicons.entries())
        if (!names.includes(name)) missing(`spec.lexicons[${i}]`, 'a lexicon', name, names);
    }
    for (const [i, name] of baseModels.entries()) {
      if (await exists(this.models.call('getModel', { name }))) continue;
      const { models } = await this.models.call('listModels', { pageSize: 1000 });
      const names = models.map((model) => model.name);
      missing(`spec.baseModels[${i}]`, 'a base model', name, names);
    }
    violations.throwIfAny();
  }

  /** @throws FailedPrecondition when its dataset failed. */
  private async waits({ spec }: Row, signal: AbortSignal): Promise<boolean> {
    const dataset = await this.datasets.call('getDataset', { name: spec.dataset }, { signal });
    if (dataset.state === BUILD_STATE_FAILED)
      throw new FailedPrecondition(`dataset ${dataset.name} failed: ${dataset.failure}`);
    return dataset.state !== BUILD_STATE_READY;
  }

  private async build({ name, spec }: Row, attempt: Attempt): Promise<(sql: Sql) => Promise<void>> {
    const { signal } = attempt;
    const plan = planOf(spec);
    const dataset = await this.datasets.call('getDataset', { name: plan.dataset }, { signal });
    await attempt.change((sql) =>
      sql.query('update feature_sets set dataset_version = $2 where name = $1', [name, dataset.version]),
    );
    const { builds, objects } = this.context;
    const request: FeatureBuild = {
      spec,
      objects: objects.url,
      dataset: { version: dataset.version, prefix: dataset.prefix },
      tokenizers: await this.tokenizersOf(plan, signal),
      lexicons: await this.lexiconsOf(plan, signal),
      augmentation: this.context.augmentation ?? {},
    };
    const { version, prefix, tokenized } = await builds.run<FeatureBuild, BuiltFeatures>(
      work,
      'build',
      request,
      {
        signal,
        onProgress: (progress) => void attempt.report(progress),
      },
    );
    return async (sql) => {
      await sql.query(
        'update feature_sets set version = $2, prefix = $3, tokenized = $4, ready_at = now() where name = $1',
        [name, version, prefix, JSON.stringify(tokenized)],
      );
      await emit(sql, topics.featuresReady, name, { name, version, prefix });
    };
  }

  /** Keys of the lexicons that a plan names. @throws NotFound, InvalidArgument, Unavailable when one is nowhere */
  private async lexiconsOf({ lexicons }: FeaturePlan, signal: AbortSignal): Promise<string[]> {
    const keys: string[] = [];
    for (const name of lexicons)
      keys.push((await this.datasets.call('provideLexicon', { name }, { signal })).key);
    return keys;
  }

  /** Each distinct tokenizer of the base models once, in the models' order. */
  private async tokenizersOf(plan: FeaturePlan, signal: AbortSignal): Promise<StoredTokenizer[]> {
    const byHash = new Map<string, StoredTokenizer & { readonly baseModels: string[] }>();
    for (const name of plan.baseModels) {
      const model = await this.models.call('getModel', { name }, { signal });
      const known = byHash.get(model.tokenizer);
      if (known) known.baseModels.push(name);
      else byHash.set(model.tokenizer, { baseModels: [name], prefix: model.prefix, hash: model.tokenizer });
    }
    return [...byHash.values()];
  }
}

function waitingFor({ dataset }: FeaturePlan): common.Progress {
  return { phase: `waiting for dataset ${dataset}`, done: 0, total: 0, unit: '' };
}
