/** Studies: made of a sample, opened and closed, told of. */
import { randomBytes } from 'node:crypto';
import {
  AlreadyExists,
  besideModule,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  show,
} from '@emotune/base';
import type { Sql } from '@emotune/database';
import { common, type data, evaluation } from '@emotune/proto';
import {
  forget,
  numberedPageOf,
  once,
  paged,
  type ServiceContext,
  taskMessage,
  timestamp,
} from '@emotune/service';
import { answerMessage, passes } from './answers.js';
import type { DrawBuild, Drawn, SampleSource } from './draw-work.js';
import type { StudyPage } from './page-server.js';
import type { StudyQuestion } from './question.js';
import { attentionOf, type ReportInput, reportOf } from './report.js';
import { rowsOf } from './rows.js';
import { planOf, type StudyPlan } from './spec.js';
import { findStudy, itemsOf, judgementsOf, type RaterRow, ratersOf, type StudyRow } from './store.js';

const { StudyState } = evaluation;
const work = besideModule(import.meta.url, 'draw-work');

/** What only who has a link knows. */
export function newTicket(): string {
  return randomBytes(18).toString('base64url');
}

export function questionMessage(question: StudyQuestion): evaluation.StudyQuestion {
  if (question.kind === 'comparison')
    return {
      ...{ question: question.question, task: common.Task.TASK_UNSPECIFIED, scale: undefined, values: [] },
      ...{ labels: [], multiLabel: false, comparison: true },
    };
  return {
    question: question.question,
    task: taskMessage(question.task),
    scale: question.scale ?? undefined,
    values: [...question.values],
    labels: [...question.labels],
    multiLabel: question.multiLabel,
    comparison: false,
  };
}

interface EvaluationRow {
  readonly id: string;
  readonly model: string;
  readonly version: string;
  readonly dataset: string;
  readonly state: common.BuildState;
  readonly failure: string;
}

export class Studies {
  constructor(
    private readonly context: ServiceContext,
    private readonly page: StudyPage,
  ) {}

  /** @throws NotFound, FailedPrecondition naming `field` */
  private async evaluation(id: string, field: string): Promise<EvaluationRow> {
    const [row] = await this.context.database.query<EvaluationRow>(
      'select id, model, version, dataset, state, failure from evaluations where id = $1',
      [id],
    );
    if (!row)
      throw new NotFound(
        `${field}: expected an evaluation, got ${show(id)}; "emotune evaluation list" shows those that there are`,
      );
    if (row.state !== common.BuildState.BUILD_STATE_READY)
      throw new FailedPrecondition(
        `${field}: evaluation ${id} ${row.failure === '' ? 'is not done yet' : `failed: ${row.failure}`}`,
      );
    return row;
  }

  /** Licences of a dataset's sources by name; none where it is gone, or the rows are of no dataset. */
  private async licences(dataset: string): Promise<Readonly<Record<string, string>>> {
    const client = this.context.channel.client<data.DatasetServiceClient>('DatasetService');
    try {
      const { manifest } = await client.call('getDataset', { name: dataset });
      return Object.fromEntries((manifest?.sources ?? []).map(({ name, licence }) => [name, licence]));
    } catch (error) {
      if (error instanceof NotFound) return {};
      throw error;
    }
  }

  private async sourceOf({ sample, mode }: StudyPlan): Promise<{
    readonly source: SampleSource;
    readonly models: readonly [string, string] | null;
    readonly licences: Readonly<Record<string, string>>;
  }> {
    if (sample.kind === 'evaluation') {
      const first = await this.evaluation(sample.evaluation, 'spec.sample.evaluation');
      const second =
        mode.kind === 'comparison'
          ? await this.evaluation(mode.against, 'spec.comparison.against')
          : undefined;
      if (second?.id === first.id)
        throw InvalidArgument.at(
          'spec.comparison.against',
          `expected another evaluation than the sample's, got ${show(second.id)}`,
        );
      const named = ({ model, version }: EvaluationRow) => `${model}@${version}`;
      return {
        source: {
          kind: 'evaluation',
          prefix: `evaluations/${first.id}`,
          against: second ? `evaluations/${second.id}` : null,
        },
        models: second ? [named(first), named(second)] : null,
        licences: await this.licences(first.dataset),
      };
    }
    const client = this.context.channel.client<data.DatasetServiceClient>('DatasetService');
    const found = await client.call('getDataset', { name: sample.dataset }).catch((error) => {
      if (!(error instanceof NotFound)) throw error;
      throw new NotFound(`spec.sample.dataset: ${error.message}`, { cause: error });
    });
    if (found.state !== common.BuildState.BUILD_STATE_READY)
      throw new FailedPrecondition(
        `spec.sample.dataset: dataset ${found.name} ${found.failure === '' ? 'is being built; try again' : `failed: ${found.failure}`}`,
      );
    return { source: { kind: 'dataset', prefix: found.prefix }, models: null, licences: {} };
  }

  /**
   * @throws InvalidArgument with every violation; NotFound and FailedPrecondition of what the sample is of; AlreadyExists.
   */
  async create({ spec, requestId }: evaluation.CreateStudyRequest): Promise<evaluation.Study> {
    const plan = planOf(spec);
    const { database, builds, objects } = this.context;
    const { source, models, licences } = await this.sourceOf(plan);
    const { question, items, notices } = await builds.run<DrawBuild, Drawn>(work, 'draw', {
      objects: objects.url,
      plan,
      source,
    });
    return database.transaction(async (sql) => {
      const name = await once(sql, { method: 'CreateStudy', id: requestId, body: spec }, async () => {
        const [there] = await sql.query('select 1 from studies where name = $1', [plan.name]);
        if (there)
          throw new AlreadyExists(
            `spec.name: study ${plan.name} is there already; choose another name, or delete it`,
          );
        await sql.query(
          `insert into studies (name, spec, plan, question, models, notices, state, ticket) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
          [
            ...[plan.name, JSON.stringify(spec), JSON.stringify(plan), JSON.stringify(question)],
            ...[models && JSON.stringify(models), JSON.stringify(notices)],
            ...[StudyState.STUDY_STATE_DRAFT, newTicket()],
          ],
        );
        await sql.query(
          'insert into study_items (study, number, item) select $1, t.number, t.item from jsonb_to_recordset($2) as t (number int, item jsonb)',
          [
            plan.name,
            JSON.stringify(
              items.map((item, i) => ({
                number: i + 1,
                item: { ...item, licence: item.licence || (licences[item.source] ?? '') },
              })),
            ),
          ],
        );
        for (const [i, rater] of plan.raters.entries())
          await sql.query(
            'insert into study_raters (study, number, name, invited, ticket) values ($1, $2, $3, true, $4)',
            [plan.name, i + 1, rater, newTicket()],
          );
        return plan.name;
      });
      return this.message(await findStudy(sql, name), sql);
    });
  }

  /** @throws NotFound */
  async get(name: string): Promise<evaluation.Study> {
    const { database } = this.context;
    return this.message(await findStudy(database, name), database);
  }

  async list(request: evaluation.ListStudiesRequest): Promise<evaluation.ListStudiesResponse> {
    const { database } = this.context;
    const { limit, after } = numberedPageOf(request);
    const rows = await database.query<StudyRow>(
      'select * from studies where ($1::bigint is null or number < $1) order by number desc limit $2',
      [after ?? null, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, (row) => String(row.number));
    const studies = [];
    for (const row of shown) studies.push(await this.message(row, database));
    return { studies, nextPageToken };
  }

  private async message(row: StudyRow, sql: Sql): Promise<evaluation.Study> {
    const [counts] = await sql.query<{ items: number; checks: number }>(
      `select count(*) filter (where item->'right' = 'null')::int as items, count(*) filter (where item->'right' <> 'null')::int as checks
       from study_items where study = $1`,
      [row.name],
    );
    const judged = await sql.query<{ rater: number; judgements: number }>(
      `select j.rater, count(*)::int as judgements from study_judgements j join study_items i on i.study = j.study and i.number = j.item
       where j.study = $1 and j.answer is not null and i.item->'right' = 'null' group by j.rater`,
      [row.name],
    );
    const byRater = new Map(judged.map(({ rater, judgements }) => [rater, judgements]));
    return {
      name: row.name,
      spec: row.spec,
      state: row.state,
      question: questionMessage(row.question),
      items: counts.items,
      attentionChecks: counts.checks,
      judgements: judged.reduce((sum, { judgements }) => sum + judgements, 0),
      raters: (await ratersOf(sql, row.name)).map((rater) => ({
        name: rater.name,
        invited: rater.invited,
        consented: rater.consented_at !== null,
        judgements: byRater.get(rater.number) ?? 0,
      })),
      notices: [...row.notices],
      createTime: timestamp(row.created_at),
      openTime: timestamp(row.opened_at),
      closeTime: timestamp(row.closed_at),
    };
  }

  /** @throws NotFound */
  async open(name: string): Promise<evaluation.OpenStudyResponse> {
    const { database, raterToken } = this.context;
    return database.transaction(async (sql) => {
      await findStudy(sql, name);
      await sql.query(
        'update studies set state = $2, opened_at = coalesce(opened_at, now()), closed_at = null where name = $1',
        [name, StudyState.STUDY_STATE_OPEN],
      );
      const row = await findStudy(sql, name);
      const link = ({ name: rater, ticket }: Pick<RaterRow, 'name' | 'ticket'>): evaluation.StudyLink => {
        const token = raterToken(ticket);
        return { rater, token, url: this.page.linkOf(token) };
      };
      const invited = (await ratersOf(sql, name)).filter((rater) => rater.invited);
      return {
        study: await this.message(row, sql),
        links: [...invited, ...(row.plan.anybody ? [{ name: '', ticket: row.ticket }] : [])].map(link),
        notice: this.page.notice,
      };
    });
  }

  /** @throws NotFound; FailedPrecondition where it was never open. */
  async close(name: string): Promise<evaluation.Study> {
    return this.context.database.transaction(async (sql) => {
      const { state } = await findStudy(sql, name);
      if (state === StudyState.STUDY_STATE_DRAFT)
        throw new FailedPrecondition(`study ${name} is not open yet: there is nothing to close`);
      await sql.query(
        'update studies set state = $2, closed_at = coalesce(closed_at, now()) where name = $1',
        [name, StudyState.STUDY_STATE_CLOSED],
      );
      return this.message(await findStudy(sql, name), sql);
    });
  }

  /** @throws NotFound; FailedPrecondition while it is open */
  async delete(name: string): Promise<void> {
    await this.context.database.transaction(async (sql) => {
      const { state } = await findStudy(sql, name);
      if (state === StudyState.STUDY_STATE_OPEN)
        throw new FailedPrecondition(
          `study ${name} is open, and raters may be at work: close it first ("emotune study close ${name}")`,
        );
      await sql.query('delete from studies where name = $1', [name]);
      await forget(sql, { method: 'CreateStudy', resource: name });
      await sql.query(`delete from requests where method = 'JoinStudy' and resource like $1`, [`${name}/%`]);
    });
  }

  private async input(name: string): Promise<ReportInput & { readonly row: StudyRow }> {
    const { database } = this.context;
    const row = await findStudy(database, name);
    const { pass, seed } = row.plan;
    return {
      ...{ row, name, question: row.question, pass, seed, models: row.models ?? undefined },
      items: await itemsOf(database, name),
      raters: await ratersOf(database, name),
      judgements: await judgementsOf(database, name),
    };
  }

  /** @throws NotFound */
  async report({ name, excludeFailed }: evaluation.GetStudyReportRequest): Promise<evaluation.StudyReport> {
    return reportOf(await this.input(name), excludeFailed);
  }

  /** @throws NotFound */
  async judgements(request: evaluation.ListJudgementsRequest): Promise<evaluation.ListJudgementsResponse> {
    const { database } = this.context;
    const { limit, after } = numberedPageOf(request);
    await findStudy(database, request.study);
    const items = await itemsOf(database, request.study);
    const names = new Map(
      (await ratersOf(database, request.study)).map(({ number, name }) => [number, name]),
    );
    const from = after === undefined ? 0 : after + 1;
    const rows = (await judgementsOf(database, request.study))
      .slice(from, from + limit + 1)
      .map((row, i) => ({ row, at: from + i }));
    const { shown, nextPageToken } = paged(rows, limit, ({ at }) => String(at));
    return {
      judgements: shown.map(({ row }) => {
        const item = items.get(row.item)!;
        return {
          ...{ item: row.item, example: item.example, text: item.text, emotion: item.emotion ?? '' },
          ...{ rater: names.get(row.rater)!, answer: answerMessage(row.answer, false), seconds: row.seconds },
          ...{ judgeTime: timestamp(row.judged_at), check: item.right !== null },
          ...{ passed: passes(item, row.answer), revisions: row.earlier.length },
        };
      }),
      nextPageToken,
    };
  }

  /** @throws NotFound; FailedPrecondition of a comparison. */
  async rows(request: evaluation.ListStudyRowsRequest): Promise<evaluation.ListStudyRowsResponse> {
    if (request.leastRaters < 0)
      throw InvalidArgument.at('leastRaters', `expected 0 or more, got ${request.leastRaters}`);
    const input = await this.input(request.study);
    const { question, row, items, judgements } = input;
    if (question.kind === 'comparison')
      throw new FailedPrecondition(
        `study ${row.name} compares models, which gives no answers to train on: rate texts instead`,
      );
    const attention = attentionOf(input);
    return rowsOf({
      ...{ name: row.name, licence: row.plan.licence, question, items },
      judgements: judgements.filter(({ rater }) => request.includeFailed || !attention.get(rater)!.failed),
      leastRaters: request.leastRaters || 1,
    });
  }
}
