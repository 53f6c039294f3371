/** Evaluations as rows: accepted, worked on in the background, ready or failed for good. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  besideModule,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  show,
  temporaryPrefix,
  Unavailable,
} from '@emotune/base';
import { spanned, traceparent } from '@emotune/base/trace';
import type { Sql } from '@emotune/database';
import { consume, emit, eventTables, on, topics } from '@emotune/events';
import { common, type evaluation, tuning } from '@emotune/proto';
import {
  type Attempt,
  Builds,
  buildClaimColumns,
  buildColumns,
  everyPage,
  forget,
  numberedPageOf,
  once,
  paged,
  requestTable,
  type ServiceContext,
  teachingOfModel,
  timestamp,
} from '@emotune/service';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { EvaluationBuild, Result } from './build-work.js';
import type { ReportData } from './report.js';
import type { PageSettings } from './studies/page-server.js';
import { studyTables } from './studies/store.js';
import { findSource, type Target, targetOf, taughtTarget } from './targets.js';

export const evaluationMigrations: readonly string[] = [
  eventTables,
  requestTable,
  `create table evaluations (
    id text primary key,
    number bigint not null generated always as identity,
    model text not null,
    version text not null,
    trained boolean not null default false,
    target jsonb,
    per_task int not null default 0,
    dataset text not null default '',
    state text not null,
    failure text not null default '',
    progress jsonb,
    result jsonb,
    created_at timestamptz not null default now(),
    ended_at timestamptz
  );
  create unique index on evaluations (model, version) where trained;
  create index on evaluations (state)`,
  buildColumns('evaluations'),
  buildClaimColumns('evaluations'),
  `
-- Of what led to it, W3C trace context; empty: nothing that is traced.
alter table evaluations add traceparent text not null default '';`,
  studyTables,
];

export interface EvaluationContext extends ServiceContext {
  /** Threads of the model that is asked, at least 1. */
  readonly threads: number;
  /** Where raters judge. */
  readonly page: PageSettings;
}

interface Row {
  readonly id: string;
  readonly number: number;
  readonly model: string;
  readonly version: string;
  /** The one that a trained model gets of its own accord. */
  readonly trained: boolean;
  /** Null until the model's own feature set was looked up. */
  readonly target: Target | null;
  readonly per_task: number;
  readonly traceparent: string;
  readonly dataset: string;
  readonly state: common.BuildState;
  readonly failure: string;
  readonly progress: common.Progress | null;
  readonly result: Result | null;
  readonly created_at: Date;
  readonly ended_at: Date | null;
}

const { BuildState } = common;
/** Where nothing wakes the worker, it looks for work this often. */
const lookMs = 2_000;
/** A watcher looks for news this often. */
const watchMs = 200;
/** Trials that are asked for at a time. */
const trialsPage = 200;
/** The best trials, whose ways into and out of the experiment the report tells. */
const explained = 20;
/** In the process of a build. */
const work = besideModule(import.meta.url, 'build-work');

function prefixOf(id: string): string {
  return `evaluations/${id}`;
}

function messageOf(row: Row): evaluation.Evaluation {
  const nothing = {
    tasks: [],
    slices: [],
    hardest: [],
    examplesPerSecond: 0,
    artifacts: [],
    checks: [],
    warnings: [],
    stages: [],
  };
  const result = row.result ?? {};
  return {
    id: row.id,
    model: `${row.model}@${row.version}`,
    dataset: row.dataset,
    upload: row.target?.kind === 'file' ? row.target.upload.sha256 : '',
    state: row.state,
    failure: row.failure,
    progress: row.progress ?? undefined,
    // One of before has no warnings.
    ...nothing,
    ...result,
    prefix: row.state === BuildState.BUILD_STATE_READY ? prefixOf(row.id) : '',
    createTime: timestamp(row.created_at),
    endTime: timestamp(row.ended_at),
  };
}

function ended({ state }: Row): boolean {
  return state === BuildState.BUILD_STATE_READY || state === BuildState.BUILD_STATE_FAILED;
}

export class Evaluations implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly worker: Builds<Row>;
  private leave: (() => Promise<void>) | undefined;

  constructor(private readonly context: EvaluationContext) {
    this.worker = new Builds<Row>(context, {
      table: 'evaluations',
      key: 'id',
      order: 'number',
      what: 'an evaluation',
      everyMs: lookMs,
      build: (row, attempt) =>
        spanned('evaluation', { parent: row.traceparent, attributes: { 'emotune.evaluation': row.id } }, () =>
          this.work(row, attempt),
        ),
      passes: (error) => error instanceof Unavailable,
      failed: async (sql, { id, model, version }, { reason: failure }) => {
        await sql.query('update evaluations set ended_at = now() where id = $1', [id]);
        await emit(sql, topics.evaluationCompleted, model, {
          id,
          model,
          version,
          prefix: '',
          failure,
          questions: [],
        });
      },
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    const { database, bus } = this.context;
    this.leave = await consume({
      database,
      bus,
      group: 'evaluation',
      handlers: [
        on(topics.modelTrained, async (sql, { name, version }) => {
          await sql.query(
            'insert into evaluations (id, model, version, trained, state, traceparent) values ($1, $2, $3, true, $4, $5) on conflict do nothing',
            [this.newId(name), name, version, BuildState.BUILD_STATE_PENDING, traceparent() ?? ''],
          );
          this.worker.wake();
        }),
      ],
    });
    this.worker.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.leave?.();
    await this.worker.close();
  }

  private newId(model: string): string {
    return `${model}-${randomUUID().slice(0, 8)}`;
  }

  private async find(id: string, sql: Sql = this.context.database): Promise<Row> {
    const [row] = await sql.query<Row>('select * from evaluations where id = $1', [id]);
    if (!row)
      throw new NotFound(
        `expected an evaluation, got ${show(id)}; "emotune evaluate" makes one and prints its id`,
      );
    return row;
  }

  private model(name: string, signal?: AbortSignal): Promise<tuning.Model> {
    return this.context.channel
      .client<tuning.ModelServiceClient>('ModelService')
      .call('getModel', { name }, signal ? { signal } : {});
  }

  /**
   * @throws InvalidArgument (of a file: every bad row); NotFound when the model or the data are not there;
   *   FailedPrecondition while the data are being built.
   */
  async evaluate(request: evaluation.EvaluateRequest): Promise<evaluation.Evaluation> {
    const { requestId, ...body } = request;
    if (request.model === '') throw InvalidArgument.at('model', 'expected the name of a model, got nothing');
    if (request.limit < 0)
      throw InvalidArgument.at('limit', `expected 0 or more examples, got ${request.limit}`);
    const asked = targetOf(request);
    const model = await this.model(request.model);
    const target = taughtTarget(asked, teachingOfModel(model));
    // Found here, so that what is wrong with the data is the answer and not a failed evaluation.
    const { builds, objects, channel } = this.context;
    const { dataset } = await findSource(target, model, channel);
    if (target.kind === 'file') await builds.run(work, 'check', { target, objects: objects.url });
    const created = await this.context.database.transaction(async (sql) => {
      const id = await once(sql, { method: 'Evaluate', id: requestId, body }, async () => {
        const fresh = this.newId(model.name);
        await sql.query(
          'insert into evaluations (id, model, version, target, per_task, dataset, state, traceparent) values ($1, $2, $3, $4, $5, $6, $7, $8)',
          [
            fresh,
            model.name,
            model.version,
            JSON.stringify(target),
            request.limit,
            dataset,
            BuildState.BUILD_STATE_PENDING,
            traceparent() ?? '',
          ],
        );
        return fresh;
      });
      return messageOf(await this.find(id, sql));
    });
    this.worker.wake();
    return created;
  }

  /** @throws NotFound */
  async get(id: string): Promise<evaluation.Evaluation> {
    return messageOf(await this.find(id));
  }

  /** Newest first. */
  async list(request: evaluation.ListEvaluationsRequest): Promise<evaluation.ListEvaluationsResponse> {
    const { limit, after } = numberedPageOf(request);
    const [name, version] = request.model.split('@');
    const rows = await this.context.database.query<Row>(
      `select * from evaluations
       where ($1 = '' or model = $1) and ($2 = '' or version = $2) and ($3::bigint is null or number < $3)
       order by number desc limit $4`,
      [name, version ?? '', after ?? null, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, (row) => String(row.number));
    return { evaluations: shown.map(messageOf), nextPageToken };
  }

  /**
   * One that is worked on is cancelled first. Its files go before its row: what a crash leaves is deleted by asking again.
   * @throws NotFound; FailedPrecondition while a model version shows it as its own.
   */
  async delete(id: string): Promise<void> {
    const { database, objects } = this.context;
    const row = await this.find(id);
    const name = `${row.model}@${row.version}`;
    if (row.trained && row.state === BuildState.BUILD_STATE_READY && (await this.isModel(name)))
      throw new FailedPrecondition(
        `evaluation ${id} is that of model ${name}, which shows it: delete the model first`,
      );
    await this.worker.cancel(id, 'it was deleted');
    await database.transaction(async (sql) => {
      await this.find(id, sql);
      await objects.delete(prefixOf(id));
      await sql.query('delete from evaluations where id = $1', [id]);
      await forget(sql, { method: 'Evaluate', resource: id });
    });
  }

  private async isModel(name: string): Promise<boolean> {
    try {
      await this.model(name);
      return true;
    } catch (error) {
      if (error instanceof NotFound) return false;
      throw error;
    }
  }

  /** The evaluation now and at each change, until it has ended. @throws NotFound */
  async *watch(id: string, signal: AbortSignal): AsyncGenerator<evaluation.Evaluation> {
    for (let last = ''; ; ) {
      const row = await this.find(id);
      const message = messageOf(row);
      const text = JSON.stringify(message);
      if (text !== last) yield message;
      last = text;
      if (ended(row)) return;
      await this.context.clock.sleep(watchMs, signal);
    }
  }

  /** Where the files of one lie that is done. */
  private folderOf(row: Row, field: string): string {
    const { id } = row;
    if (row.state !== BuildState.BUILD_STATE_READY) {
      const why = row.failure === '' ? 'it is not done yet' : `it failed: ${row.failure}`;
      throw new FailedPrecondition(`${field}: evaluation ${id} cannot be compared: ${why}`);
    }
    return prefixOf(id);
  }

  /** The evaluations that are done of a model (NAME, NAME@VERSION), the newest first; the one of that id, done or not. */
  private async named(name: string): Promise<readonly Row[]> {
    const { database } = this.context;
    const [one] = await database.query<Row>('select * from evaluations where id = $1', [name]);
    if (one) return [one];
    const { name: model, version } = await this.model(name).catch((error) => {
      if (!(error instanceof NotFound)) throw error;
      throw new NotFound(
        `expected an evaluation or a model, got ${show(name)}; "emotune evaluate" makes an evaluation and prints its id`,
      );
    });
    return database.query<Row>(
      'select * from evaluations where model = $1 and version = $2 and state = $3 order by number desc',
      [model, version, BuildState.BUILD_STATE_READY],
    );
  }

  /**
   * @throws NotFound also where two models were not asked the same rows; FailedPrecondition unless both are done; InvalidArgument
   *   when they share no example.
   */
  async compare(request: evaluation.CompareEvaluationsRequest): Promise<evaluation.Comparison> {
    const { builds, objects } = this.context;
    const pair = comparable(await this.named(request.first), await this.named(request.second));
    if (!pair)
      throw new NotFound(
        `expected evaluations of ${show(request.first)} and ${show(request.second)} on the same rows, got none; "emotune evaluate" makes them`,
      );
    const [first, second] = [this.folderOf(pair[0], 'first'), this.folderOf(pair[1], 'second')];
    const asked = { objects: objects.url, first, second };
    const compared = await builds.run<typeof asked, evaluation.TaskComparison[]>(
      work,
      'compareStored',
      asked,
    );
    if (compared.length === 0)
      throw InvalidArgument.at(
        'second',
        `expected an evaluation of the same examples as ${request.first}, got none in common`,
      );
    return { tasks: compared, first: pair[0].id, second: pair[1].id };
  }

  private async work(row: Row, attempt: Attempt): Promise<(sql: Sql) => Promise<void>> {
    const { objects, threads, builds, channel } = this.context;
    const { signal } = attempt;
    await attempt.report({ phase: 'reading', done: 0, total: 0, unit: 'rows' });
    const model = await this.model(`${row.model}@${row.version}`, signal);
    const target = row.target ?? ownTarget(model);
    const source = await findSource(target, model, channel);
    await attempt.change((sql) =>
      sql.query('update evaluations set target = $2, dataset = $3 where id = $1', [
        row.id,
        JSON.stringify(target),
        source.dataset,
      ]),
    );
    const experiment = model.lineage?.experiment ?? '';
    const folder = await mkdtemp(temporaryPrefix('evaluation'));
    const remove = () => rm(folder, { recursive: true, force: true });
    // Then nobody stores what lies there.
    signal.addEventListener('abort', () => void remove());
    const request: EvaluationBuild = {
      objects: objects.url,
      folder,
      source,
      split: 'split' in target ? target.split : '',
      perTask: row.per_task,
      threads,
      evaluation: messageOf({
        ...row,
        dataset: source.dataset,
        state: BuildState.BUILD_STATE_READY,
        progress: null,
        result: null,
      }),
      model,
      beside: {
        base: await this.baseEvaluation(model, target, row.per_task),
        trials: await this.trials(experiment, signal),
        ...(await this.insight(experiment, signal)),
      },
    };
    const result = await builds
      .run<EvaluationBuild, Result>(work, 'evaluate', request, {
        signal,
        onProgress: (progress) => void attempt.report(progress),
      })
      .catch(async (error) => {
        await remove();
        throw error;
      });
    return async (sql) => {
      const { id, model: name, version } = row;
      for (const { path, name: key } of result.artifacts)
        await objects.put(key, createReadStream(join(folder, path)));
      await remove();
      await sql.query('update evaluations set result = $2, ended_at = now() where id = $1', [
        id,
        JSON.stringify(result),
      ]);
      const prefix = prefixOf(id);
      await emit(
        sql,
        topics.evaluationCompleted,
        name,
        {
          id,
          model: name,
          version,
          prefix,
          failure: '',
          questions: result.tasks.flatMap(({ questions }) => questions),
        },
        row.traceparent || undefined,
      );
    };
  }

  /** The newest evaluation of the model's untuned base on the same rows. */
  private async baseEvaluation(
    { lineage }: tuning.Model,
    target: Target,
    perTask: number,
  ): Promise<evaluation.Evaluation | undefined> {
    if (!lineage || lineage.baseModel === '') return undefined;
    const [row] = await this.context.database.query<Row>(
      `select * from evaluations where model = $1 and ($2 = '' or version = $2) and target = $3::jsonb and per_task = $4 and state = $5
       order by number desc limit 1`,
      [lineage.baseModel, lineage.baseVersion, JSON.stringify(target), perTask, BuildState.BUILD_STATE_READY],
    );
    return row && messageOf(row);
  }

  /** Every trial of the experiment with its measurements; none where the experiment is gone. */
  private async trials(experiment: string, signal: AbortSignal): Promise<tuning.Trial[]> {
    if (experiment === '') return [];
    const client = this.context.channel.client<tuning.ExperimentServiceClient>('ExperimentService');
    try {
      return await everyPage(
        (pageToken) => client.call('listTrials', { experiment, pageSize: trialsPage, pageToken }, { signal }),
        (page) => page.trials,
      );
    } catch (error) {
      if (error instanceof NotFound) return [];
      throw error;
    }
  }

  /** What the trials of the experiment teach; nothing where it is gone. */
  private async insight(
    experiment: string,
    signal: AbortSignal,
  ): Promise<Pick<ReportData, 'insight' | 'explanations'>> {
    if (experiment === '') return { insight: undefined, explanations: [] };
    const client = this.context.channel.client<tuning.InsightServiceClient>('InsightService');
    try {
      const insight = await client.call('getInsight', { experiment }, { signal });
      const best = [...insight.history].sort((a, b) => a.objective - b.objective).slice(0, explained);
      const explanations: tuning.TrialExplanation[] = [];
      for (const { trial } of best)
        explanations.push(await client.call('explainTrial', { experiment, number: trial }, { signal }));
      return { insight, explanations };
    } catch (error) {
      if (error instanceof NotFound) return { insight: undefined, explanations: [] };
      throw error;
    }
  }
}

/** The newest pair that asked the same rows; the two that were named, whatever they asked. */
function comparable(first: readonly Row[], second: readonly Row[]): [Row, Row] | undefined {
  const rows = ({ target, per_task }: Row) => JSON.stringify([target, per_task]);
  for (const a of first) {
    const b = second.find((candidate) => rows(candidate) === rows(a));
    if (b) return [a, b];
  }
  return first.length === 1 && second.length === 1 ? [first[0], second[0]] : undefined;
}

/** The test rows that a tuned model's features hold back. */
function ownTarget({ name, version, lineage }: tuning.Model): Target {
  if (!lineage || lineage.features === '')
    throw new FailedPrecondition(
      `model ${name}@${version} does not tell its feature set; evaluate it on a dataset or a file`,
    );
  return { kind: 'features', features: lineage.features, split: 'test' };
}
