/** Base models and model versions as rows: which there are, and which of a name is served. */
import { FailedPrecondition, NotFound, nearest, show } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { emit, topics } from '@emotune/events';
import { isHubId, parseHubId } from '@emotune/hub';
import { type ModelConfig, parseConfig } from '@emotune/models';
import { type evaluation, tuning } from '@emotune/proto';
import { numberedPageOf, paged } from '@emotune/service';
import type { ModelContext } from './context.js';
import { modelMessage } from './messages.js';
import { expectNoRegression } from './promotion.js';
import { withSkills } from './skills.js';
import type { ModelRow } from './store.js';

const kinds: Readonly<Partial<Record<tuning.ModelKind, ModelRow['kind']>>> = {
  [tuning.ModelKind.MODEL_KIND_BASE]: 'base',
  [tuning.ModelKind.MODEL_KIND_TUNED]: 'tuned',
};

/** In SQL, when something is promoted now: later than all before, whatever their clocks said. */
export function promotion(now: string): string {
  return `greatest(${now}::timestamptz, (select max(promoted_at) + interval '1 millisecond' from models))`;
}

const promotedRow = `(m.promoted_at is not null and not exists (
  select 1 from models o where o.name = m.name and o.promoted_at > m.promoted_at)) as promoted`;

type Found = ModelRow & { readonly promoted: boolean };

export class Models {
  /** Exports that are being made here, by their place in the object store. */
  readonly exporting = new Map<string, Promise<tuning.ExportModelResponse>>();

  constructor(readonly context: ModelContext) {}

  /**
   * The promoted version of a name, or its newest where none is; a given version for name@version; for an empty name
   * the tuned model that was promoted last, or the newest tuned one.
   * @throws NotFound
   */
  async find(name: string, sql: Sql = this.context.database, kind?: ModelRow['kind']): Promise<Found> {
    if (isHubId(name)) return this.fetched(name, sql);
    const [model, version] = name.split('@');
    const [row] = await sql.query<Found>(
      `select m.*, ${promotedRow} from models m
       where ($1 = '' or m.name = $1) and ($2::text is null or m.version = $2) and ($3::text is null or m.kind = $3)
       order by m.promoted_at desc nulls last, m.sequence desc limit 1`,
      [model, version ?? null, name === '' ? 'tuned' : (kind ?? null)],
    );
    if (row) return row;
    if (name === '')
      throw new NotFound('no model has been tuned yet; "emotune experiment submit" starts a search for one');
    const names = await sql.query<{ name: string }>(
      'select distinct name from models where $1::text is null or kind = $1',
      [kind ?? null],
    );
    const near = nearest(
      model,
      names.map((known) => known.name),
    );
    const hint = near && near !== model ? `did you mean "${near}"?` : '"emotune model list" shows all';
    throw new NotFound(`expected a ${kind ?? ''}${kind ? ' ' : ''}model, got ${show(name)}; ${hint}`);
  }

  /** The newest model that was fetched from a repository of the Hub. @throws InvalidArgument, NotFound */
  private async fetched(name: string, sql: Sql): Promise<Found> {
    const { repo, revision, file } = parseHubId(name, 'model');
    const rows = await sql.query<Found>(
      `select m.*, ${promotedRow} from models m where m.source = $1 or starts_with(m.source, $1 || '@')
       order by m.promoted_at desc nulls last, m.sequence desc`,
      [`hf:${repo}`],
    );
    // A branch or tag moves, so it is the repository that counts; a commit is what it is.
    const wanted = rows.find(({ source }) => {
      const id = parseHubId(source, 'source');
      return id.file === file && (!/^[0-9a-f]{40}$/.test(revision) || id.revision === revision);
    });
    if (wanted) return wanted;
    throw new NotFound(
      `expected a model that was fetched from the Hub before, got ${show(name)}; fetch it with "emotune model import ${name} --name NAME"`,
    );
  }

  /** The config of the base model in this folder of the object store. */
  async config(prefix: string): Promise<ModelConfig> {
    const bytes = await this.context.objects.get(`${prefix}/config.json`);
    return parseConfig(JSON.parse(new TextDecoder().decode(bytes)));
  }

  async get(name: string): Promise<tuning.Model> {
    const row = await this.find(name);
    return modelMessage(row, row.promoted);
  }

  async list(request: tuning.ListModelsRequest): Promise<tuning.ListModelsResponse> {
    const { limit, after } = numberedPageOf(request);
    const rows = await this.context.database.query<Found>(
      `select m.*, ${promotedRow} from models m
       where m.sequence > $1 and ($2::text is null or m.kind = $2) order by m.sequence limit $3`,
      [after ?? 0, kinds[request.kind] ?? null, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, ({ sequence }) => String(sequence));
    return { models: shown.map((row) => modelMessage(row, row.promoted)), nextPageToken };
  }

  /** The newest registered version of a name, or a given one. @throws NotFound; FailedPrecondition before its evaluation. */
  private async promotable(name: string): Promise<Found> {
    const [newest] = await this.context.database.query<Found>(
      "select * from models where name = $1 and state = 'registered' order by sequence desc limit 1",
      [name],
    );
    const row = newest ?? (await this.find(name));
    if (row.state !== 'registered')
      throw new FailedPrecondition(
        `${row.name}@${row.version} is not evaluated yet; promote it when its experiment has succeeded`,
      );
    return row;
  }

  /** @throws as `promotable`; FailedPrecondition where it answers worse than what is served, unless that is forced. */
  async promote({ name, force }: tuning.PromoteModelRequest): Promise<tuning.Model> {
    const { database, clock, channel } = this.context;
    const row = await this.promotable(name);
    const id = `${row.name}@${row.version}`;
    const served = await this.find(row.name);
    const compares = !force && served.promoted && served.version !== row.version;
    const notices = compares ? await expectNoRegression(channel, id, `${served.name}@${served.version}`) : [];
    const [promoted] = await database.query<ModelRow>(
      `update models set promoted_at = ${promotion('$3')} where name = $1 and version = $2 returning *`,
      [row.name, row.version, new Date(clock.now())],
    );
    if (!promoted) throw new NotFound(`model ${id} was deleted meanwhile`);
    return { ...modelMessage(promoted, true), notices };
  }

  /** Notes how a version's evaluation ended; what comes after its registration changes nothing. */
  async evaluated(
    sql: Sql,
    { model, version, prefix, failure, questions }: evaluation.EvaluationCompleted,
  ): Promise<void> {
    const [row] = await sql.query<ModelRow>(
      `update models set evaluation = $3, evaluation_failure = $4 where name = $1 and version = $2 and state = 'trained'
       returning *`,
      [model, version, prefix, failure],
    );
    if (!row?.teaching) return;
    const shown = withSkills(row.teaching, questions);
    await sql.query('update models set teaching = $3 where name = $1 and version = $2', [
      model,
      version,
      JSON.stringify(shown),
    ]);
  }

  /** Marks a version as ready to serve. It is promoted where no version of its name is. */
  async register(sql: Sql, id: string, now: Date): Promise<void> {
    const [name, version] = id.split('@');
    await sql.query(
      `update models m set state = 'registered', promoted_at = case
         when exists (select 1 from models o where o.name = m.name and o.promoted_at is not null) then m.promoted_at
         else ${promotion('$3')} end
       where name = $1 and version = $2`,
      [name, version, now],
    );
    await emit(sql, topics.modelRegistered, name, { name, version });
  }
}
