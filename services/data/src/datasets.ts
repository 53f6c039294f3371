/** Datasets as rows: accepted, built in the background, ready or failed for good. */

import { type Split, splits } from '@emotune/affect';
import {
  AlreadyExists,
  besideModule,
  canonicalJson,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  policyOf,
  show,
} from '@emotune/base';
import type { Sql } from '@emotune/database';
import { emit, eventTables, topics } from '@emotune/events';
import type { HubSettings } from '@emotune/hub';
import { isWhole } from '@emotune/objects';
import { common, type data, type featurization } from '@emotune/proto';
import { readExamples } from '@emotune/records';
import {
  type Attempt,
  type BuildRunOptions,
  Builds,
  buildClaimColumns,
  buildColumns,
  everyPage,
  forget,
  once,
  paged,
  pageOf,
  requestTable,
  type ServiceContext,
  taskMessage,
  timestamp,
} from '@emotune/service';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { BuiltDataset } from './build.js';
import { corpora } from './corpora.js';
import { fetchSources } from './fetch.js';
import { type LocateOptions, locationOf } from './locate.js';
import { planOf } from './spec.js';

export const dataMigrations: readonly string[] = [
  eventTables,
  requestTable,
  `create table datasets (
    name text primary key,
    spec jsonb not null,
    state text not null,
    failure text not null default '',
    progress jsonb,
    version text not null default '',
    prefix text not null default '',
    manifest jsonb,
    created_at timestamptz not null default now(),
    ready_at timestamptz
  )`,
  'alter table datasets add retryable boolean not null default false',
  buildColumns('datasets'),
  buildClaimColumns('datasets'),
];

export interface DataContext extends ServiceContext {
  /** Where corpora are found or fetched. */
  readonly locate: Omit<LocateOptions, 'onProgress' | 'signal'>;
  /** Where data sets of the Hub come from. */
  readonly hub: HubSettings;
}

interface Row {
  readonly name: string;
  readonly spec: data.DatasetSpec;
  readonly state: common.BuildState;
  readonly failure: string;
  readonly progress: common.Progress | null;
  readonly version: string;
  readonly prefix: string;
  readonly manifest: data.Manifest | null;
  readonly retryable: boolean;
  readonly created_at: Date;
  readonly ready_at: Date | null;
}

const { BuildState } = common;
/** Where nothing wakes the builder, it looks for work this often. */
const lookMs = 5_000;
const usualRows = 5;
/** In the process of a build. */
const work = besideModule(import.meta.url, 'build-work');

function messageOf(row: Row): data.Dataset {
  return {
    name: row.name,
    version: row.version,
    spec: row.spec,
    state: row.state,
    failure: row.failure,
    progress: row.progress ?? undefined,
    manifest: row.manifest ?? undefined,
    prefix: row.prefix,
    createTime: timestamp(row.created_at),
    readyTime: timestamp(row.ready_at),
    retryable: row.retryable,
  };
}

export class Datasets implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly builder: Builds<Row>;

  constructor(private readonly context: DataContext) {
    this.builder = new Builds<Row>(context, {
      table: 'datasets',
      key: 'name',
      order: 'created_at, name',
      what: 'a dataset',
      everyMs: lookMs,
      build: (row, attempt) => this.build(row, attempt),
      // Whoever asked for it is told, and may ask again.
      passes: () => false,
      failed: async (sql, { name }, { reason, retryable }) => {
        // Nobody refers to what was written of it, and no other attempt writes now.
        await context.objects.delete(`datasets/${name}/`).catch((error) => {
          if (policyOf(error).retryable) throw error;
          // Where it may not be removed, as where nothing may be written, the reason is told all the same.
          context.log.warn('what a dataset that failed has left cannot be removed', { name, error });
        });
        await sql.query('update datasets set retryable = $2 where name = $1', [name, retryable]);
        await emit(sql, topics.datasetFailed, name, { name, reason });
      },
    });
  }

  onApplicationBootstrap(): void {
    this.builder.start();
  }

  onApplicationShutdown(): Promise<void> {
    return this.builder.close();
  }

  private async find(name: string, sql: Sql = this.context.database): Promise<Row> {
    const [row] = await sql.query<Row>('select * from datasets where name = $1', [name]);
    if (!row) throw new NotFound(`expected a dataset, got ${show(name)}; "emotune dataset list" shows all`);
    return row;
  }

  /**
   * One that failed, or whose files are damaged, is built again.
   * @throws InvalidArgument, NotFound (a file), AlreadyExists.
   */
  async create(request: data.CreateDatasetRequest): Promise<data.Dataset> {
    const { spec } = request;
    const plan = planOf(spec);
    // Files are read here, so that what is wrong with them is the answer and not a failed build.
    if (plan.sources.some(({ source }) => 'upload' in source || 'importer' in source))
      await this.inProcess('check', { spec });
    const { database, objects } = this.context;
    const [made] = await database.query<Row>('select * from datasets where name = $1', [plan.name]);
    const damaged = made?.state === BuildState.BUILD_STATE_READY && !(await isWhole(objects, made.prefix));
    const dataset = await database.transaction(async (sql) => {
      const name = await once(
        sql,
        { method: 'CreateDataset', id: request.requestId, body: spec },
        async () => {
          const [row] = await sql.query<Row>('select * from datasets where name = $1', [plan.name]);
          if (row && canonicalJson(row.spec) !== canonicalJson(spec))
            throw new AlreadyExists(
              `spec.name: a dataset "${plan.name}" with another spec exists; delete it or choose another name`,
            );
          if (!row)
            await sql.query('insert into datasets (name, spec, state) values ($1, $2, $3)', [
              plan.name,
              JSON.stringify(spec),
              BuildState.BUILD_STATE_PENDING,
            ]);
          else if (row.state === BuildState.BUILD_STATE_FAILED || (damaged && row.prefix === made.prefix))
            await sql.query(
              "update datasets set state = $2, failure = '', retryable = false where name = $1",
              [plan.name, BuildState.BUILD_STATE_PENDING],
            );
          return plan.name;
        },
      );
      return messageOf(await this.find(name, sql));
    });
    this.builder.wake();
    return dataset;
  }

  async get(name: string): Promise<data.Dataset> {
    return messageOf(await this.find(name));
  }

  async list(request: data.ListDatasetsRequest): Promise<data.ListDatasetsResponse> {
    const { limit, after } = pageOf(request);
    const rows = await this.context.database.query<Row>(
      'select * from datasets where name > $1 order by name limit $2',
      [after, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, (row) => row.name);
    return { datasets: shown.map(messageOf), nextPageToken };
  }

  /**
   * One that is being built is cancelled first. Its files go before its row, in one transaction: what a crash leaves is
   * deleted by asking again.
   * @throws NotFound; FailedPrecondition while something is made of it.
   */
  async delete(name: string): Promise<void> {
    const { database, objects } = this.context;
    const { state } = await this.find(name);
    // What waits for one that is not there yet ends with it.
    const users = state === BuildState.BUILD_STATE_READY ? await this.usersOf(name) : [];
    await this.builder.cancel(name, 'it was deleted');
    await database.transaction(async (sql) => {
      await this.find(name, sql);
      if (users.length > 0)
        throw new FailedPrecondition(
          `dataset ${name} is in use by ${users.join(', ')}: it cannot be deleted before they are done`,
        );
      await objects.delete(`datasets/${name}/`);
      await sql.query('delete from datasets where name = $1', [name]);
      await forget(sql, { method: 'CreateDataset', resource: name });
    });
  }

  /** What is being made of it. */
  private async usersOf(name: string): Promise<string[]> {
    const features = this.context.channel.client<featurization.FeatureServiceClient>('FeatureService');
    const sets = await everyPage(
      (pageToken) => features.call('listFeatureSets', { pageToken }),
      (reply) => reply.featureSets,
    );
    return sets
      .filter(
        ({ spec, state }) =>
          spec?.dataset === name &&
          (state === BuildState.BUILD_STATE_PENDING || state === BuildState.BUILD_STATE_BUILDING),
      )
      .map((set) => `feature set ${set.name}`);
  }

  /** Examples of one split in stored order. @throws InvalidArgument, NotFound, FailedPrecondition. */
  async *preview(request: data.PreviewDatasetRequest): AsyncGenerator<data.Example> {
    const split = (request.split || 'train') as Split;
    if (!splits.includes(split))
      throw InvalidArgument.at('split', `expected train, validation or test, got ${show(split)}`);
    if (request.rows < 0) throw InvalidArgument.at('rows', `expected 0 or more, got ${request.rows}`);
    const { prefix } = await this.ready(request.name);
    const { objects } = this.context;
    const key = `${prefix}/${split}.parquet`;
    const found = await objects.stat(key);
    if (!found) throw new NotFound(`the files of dataset ${request.name} are gone from the object store`);
    const file = { bytes: found.bytes, read: (from?: number) => objects.read(key, from) };
    let left = request.rows || usualRows;
    for await (const example of readExamples(file, split)) {
      if (left-- === 0) return;
      yield {
        id: example.id,
        source: example.source,
        originalId: example.originalId,
        licence: example.licence,
        language: example.language,
        task: taskMessage(example.task),
        text: example.text,
        emotion: example.emotion ?? '',
        value: example.gold.value ?? undefined,
        spread: example.gold.spread ?? undefined,
        labels: [...example.gold.labels],
        labelSet: [...example.labelSet],
        multiLabel: example.multiLabel,
        scale: example.scale ?? undefined,
        raters: example.gold.raters ?? undefined,
        ratings: [...example.gold.ratings],
        votes: { ...example.gold.votes },
      };
    }
  }

  /** What can be built from, and where each source is found now. */
  sources(): Promise<data.Source[]> {
    return Promise.all(
      corpora.map(async (corpus) => ({
        name: corpus.name,
        title: corpus.title,
        licence: corpus.licence,
        url: corpus.url,
        sha256: corpus.files.length === 1 ? corpus.files[0].sha256 : '',
        location: (await locationOf(corpus, this.context.locate)) ?? '',
        tasks: corpus.tasks.map(taskMessage),
        language: corpus.language,
      })),
    );
  }

  private inProcess<Answer>(
    name: 'check' | 'build',
    request: object,
    options?: BuildRunOptions,
  ): Promise<Answer> {
    const { builds, objects } = this.context;
    return builds.run(work, name, { ...request, objects: objects.url }, options);
  }

  private async ready(name: string): Promise<{ prefix: string }> {
    const row = await this.find(name);
    if (row.state !== BuildState.BUILD_STATE_READY) {
      const why = row.failure === '' ? 'it is being built' : `it failed: ${row.failure}`;
      throw new FailedPrecondition(`dataset ${name} cannot be read: ${why}`);
    }
    return row;
  }

  private async build(row: Row, attempt: Attempt): Promise<(sql: Sql) => Promise<void>> {
    const { name } = row;
    const { signal } = attempt;
    const onProgress = (progress: common.Progress) => void attempt.report(progress);
    const { locate, hub } = this.context;
    const fetched = await fetchSources(planOf(row.spec), { locate, hub, signal, onProgress });
    const request = { spec: row.spec, fetched };
    const { version, prefix, manifest } = await this.inProcess<BuiltDataset>('build', request, {
      signal,
      onProgress,
    });
    return async (sql) => {
      await sql.query(
        'update datasets set version = $2, prefix = $3, manifest = $4, ready_at = now() where name = $1',
        [name, version, prefix, JSON.stringify(manifest)],
      );
      await emit(sql, topics.datasetReady, name, { name, version, prefix });
    };
  }
}
