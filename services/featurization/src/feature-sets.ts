/** Feature sets as rows: accepted, built once their dataset is ready, ready or failed for good. */
import { explain } from '@emotune/affect';
import {
  AlreadyExists,
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
import { common, type data, type featurization, type tuning } from '@emotune/proto';
import {
  type Client,
  failureText,
  once,
  ProgressRecorder,
  paged,
  pageOf,
  requestTable,
  type ServiceContext,
  timestamp,
  Worker,
} from '@emotune/service';
import { Tokenizer } from '@emotune/text';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import { type BuiltFeatures, buildFeatures, type PlannedTokenizer } from './build.js';
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

const { BUILD_STATE_PENDING, BUILD_STATE_BUILDING, BUILD_STATE_READY, BUILD_STATE_FAILED } =
  common.BuildState;
/** Where nothing wakes the builder, it asks for the datasets that it waits for this often. */
const lookMs = 5_000;
const longestText = 100_000;

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

export class FeatureSets implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly builder: Worker;
  private readonly datasets: Client<data.DatasetServiceClient>;
  private readonly models: Client<tuning.ModelServiceClient>;
  private leave: (() => Promise<void>) | undefined;

  constructor(private readonly context: ServiceContext) {
    const { clock, log, channel } = context;
    this.datasets = channel.client('DatasetService');
    this.models = channel.client('ModelService');
    const options = { name: 'feature builder', clock, log, everyMs: lookMs };
    this.builder = new Worker((signal) => this.buildNext(signal), options);
  }

  async onApplicationBootstrap(): Promise<void> {
    const { database, bus } = this.context;
    // An event says that it is time to ask; what the service answers then is what holds.
    const ask = async () => this.builder.wake();
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
   * A set that failed is tried again.
   * @throws InvalidArgument, also for a dataset or base model that does not exist; AlreadyExists; Unavailable.
   */
  async create(request: featurization.CreateFeatureSetRequest): Promise<featurization.FeatureSet> {
    const { spec, requestId: id } = request;
    const plan = planOf(spec);
    const { database } = this.context;
    const [known] = await database.query('select 1 from feature_sets where name = $1', [plan.name]);
    if (!known) await this.expectReferences(plan);
    const set = await database.transaction(async (sql) => {
      const name = await once(sql, { method: 'CreateFeatureSet', id, body: spec }, async () => {
        const [row] = await sql.query<Row>('select * from feature_sets where name = $1', [plan.name]);
        if (row && canonicalJson(row.spec) !== canonicalJson(spec))
          throw new AlreadyExists(
            `spec.name: a feature set "${plan.name}" with another spec exists; choose another name`,
          );
        if (!row || row.state === BUILD_STATE_FAILED) {
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

  /** @throws InvalidArgument when the text is too long. */
  explain(text: string): featurization.ExplainTextResponse {
    if (text.length > longestText)
      throw InvalidArgument.at('text', `expected at most ${longestText} characters, got ${text.length}`);
    const { cues, cueText, vader, afinn } = explain(text);
    return { cues: cues.map((cue) => ({ ...cue })), cueText, vader, afinn };
  }

  /** @throws InvalidArgument that names what does not exist, with the nearest name that does. */
  private async expectReferences({ dataset, baseModels }: FeaturePlan): Promise<void> {
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
    for (const [i, name] of baseModels.entries()) {
      if (await exists(this.models.call('getModel', { name }))) continue;
      const { models } = await this.models.call('listModels', { pageSize: 1000 });
      const names = models.map((model) => model.name);
      missing(`spec.baseModels[${i}]`, 'a base model', name, names);
    }
    violations.throwIfAny();
  }

  /** Builds the oldest set whose dataset is ready, or goes on with one that a restart interrupted. */
  private async buildNext(signal: AbortSignal): Promise<boolean> {
    const rows = await this.context.database.query<Row>(
      'select * from feature_sets where state in ($1, $2) order by created_at, name',
      [BUILD_STATE_PENDING, BUILD_STATE_BUILDING],
    );
    for (const row of rows) {
      try {
        const dataset = await this.datasets.call('getDataset', { name: row.spec.dataset }, { signal });
        if (dataset.state === BUILD_STATE_FAILED)
          throw new FailedPrecondition(`dataset ${dataset.name} failed: ${dataset.failure}`);
        if (dataset.state !== BUILD_STATE_READY) continue;
        await this.build(row, dataset, signal);
      } catch (error) {
        // Shutting down, or a dependency is away: a later round finds it as it is.
        if (signal.aborted || error instanceof Unavailable) throw error;
        await this.fail(row.name, error);
      }
      this.context.outbox.wake();
      return true;
    }
    return false;
  }

  private async build(row: Row, dataset: data.Dataset, signal: AbortSignal): Promise<void> {
    const { database, objects, clock, log } = this.context;
    const { name } = row;
    const plan = planOf(row.spec);
    await database.query('update feature_sets set state = $2, dataset_version = $3 where name = $1', [
      name,
      BUILD_STATE_BUILDING,
      dataset.version,
    ]);
    const recorder = new ProgressRecorder(
      (progress) => database.query('update feature_sets set progress = $2 where name = $1', [name, progress]),
      { clock, log },
    );
    const built = await buildFeatures(plan, {
      objects,
      dataset,
      tokenizers: await this.tokenizersOf(plan, signal),
      signal,
      onProgress: (progress) => void recorder.report(progress),
    }).finally(() => recorder.settled());
    await this.finish(name, built);
  }

  private async finish(name: string, { version, prefix, tokenized }: BuiltFeatures): Promise<void> {
    await this.context.database.transaction(async (sql) => {
      await sql.query(
        `update feature_sets set state = $2, version = $3, prefix = $4, tokenized = $5, progress = null,
         ready_at = now() where name = $1`,
        [name, BUILD_STATE_READY, version, prefix, JSON.stringify(tokenized)],
      );
      await emit(sql, topics.featuresReady, name, { name, version, prefix });
    });
  }

  private async fail(name: string, error: unknown): Promise<void> {
    const reason = failureText(error);
    this.context.log.warn('a feature set failed', { features: name, error });
    await this.context.database.transaction(async (sql) => {
      await sql.query('update feature_sets set state = $2, failure = $3, progress = null where name = $1', [
        name,
        BUILD_STATE_FAILED,
        reason,
      ]);
      await emit(sql, topics.featuresFailed, name, { name, reason });
    });
  }

  /** Each distinct tokenizer of the base models once, in the models' order. */
  private async tokenizersOf(plan: FeaturePlan, signal: AbortSignal): Promise<PlannedTokenizer[]> {
    const byHash = new Map<string, { tokenizer: Tokenizer; baseModels: string[] }>();
    for (const name of plan.baseModels) {
      const model = await this.models.call('getModel', { name }, { signal });
      const known = byHash.get(model.tokenizer);
      if (known) {
        known.baseModels.push(name);
        continue;
      }
      const bytes = await this.context.objects.get(`${model.prefix}/tokenizer.json`);
      const tokenizer = Tokenizer.parse(JSON.parse(new TextDecoder().decode(bytes)));
      if (tokenizer.hash !== model.tokenizer)
        throw new FailedPrecondition(
          `the tokenizer of model ${name} in the object store has changed since it was registered; import it again`,
        );
      byHash.set(model.tokenizer, { tokenizer, baseModels: [name] });
    }
    return [...byHash.values()];
  }
}

function waitingFor({ dataset }: FeaturePlan): common.Progress {
  return { phase: `waiting for dataset ${dataset}`, done: 0, total: 0, unit: '' };
}
