/** Base models and model versions: rows, and checkpoint folders in the object store. */
import { createRequire } from 'node:module';
import { isAbsolute, join } from 'node:path';
import { AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, nearest, show } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { emit, topics } from '@emotune/events';
import {
  exportOnnx,
  ggufCompanions,
  loadAdapter,
  loadModel,
  loadTokenizer,
  type ModelConfig,
  mergeAdapter,
  parseConfig,
  saveModel,
} from '@emotune/models';
import { type evaluation, tuning, valueMessages } from '@emotune/proto';
import { paged, pageOf, type ServiceContext } from '@emotune/service';
import {
  addCompanions,
  checkpointFiles,
  contentVersion,
  exportFiles,
  withCopies,
  writeFolder,
} from './checkpoint-files.js';
import { modelMessage } from './messages.js';
import { architectureOf, modelNamePattern, modelNameRule } from './spec.js';
import type { ExperimentRow, ModelRow, TrialRow } from './store.js';

const { version: codeVersion } = createRequire(import.meta.url)('../package.json') as { version: string };

const kinds: Readonly<Partial<Record<tuning.ModelKind, ModelRow['kind']>>> = {
  [tuning.ModelKind.MODEL_KIND_BASE]: 'base',
  [tuning.ModelKind.MODEL_KIND_TUNED]: 'tuned',
};

const promotedRow = `(m.promoted_at is not null and not exists (
  select 1 from models o where o.name = m.name and o.promoted_at > m.promoted_at)) as promoted`;

type Found = ModelRow & { readonly promoted: boolean };

/** Whether a model's folder holds an adapter; its base model then lies in `base_prefix`. */
const isAdapter = ({ base_prefix: basePrefix }: ModelRow) => basePrefix !== '';

export class Models {
  constructor(private readonly context: ServiceContext) {}

  /**
   * The promoted version of a name, or its newest where none is; a given version for name@version; for an empty name
   * the tuned model that was promoted last, or the newest tuned one.
   * @throws NotFound
   */
  async find(name: string, sql: Sql = this.context.database, kind?: ModelRow['kind']): Promise<Found> {
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
    const { limit, after } = pageOf(request);
    const rows = await this.context.database.query<Found>(
      `select m.*, ${promotedRow} from models m
       where m.sequence > $1 and ($2::text is null or m.kind = $2) order by m.sequence limit $3`,
      [Number(after), kinds[request.kind] ?? null, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, ({ sequence }) => String(sequence));
    return { models: shown.map((row) => modelMessage(row, row.promoted)), nextPageToken };
  }

  /** The newest registered version of a name, or a given one. @throws NotFound; FailedPrecondition before its evaluation. */
  async promote(name: string): Promise<tuning.Model> {
    const { database, clock } = this.context;
    return database.transaction(async (sql) => {
      const [newest] = await sql.query<Found>(
        "select * from models where name = $1 and state = 'registered' order by sequence desc limit 1",
        [name],
      );
      const row = newest ?? (await this.find(name, sql));
      if (row.state !== 'registered')
        throw new FailedPrecondition(
          `${row.name}@${row.version} is not evaluated yet; promote it when its experiment has succeeded`,
        );
      await sql.query('update models set promoted_at = $3 where name = $1 and version = $2', [
        row.name,
        row.version,
        new Date(clock.now()),
      ]);
      return modelMessage(row, true);
    });
  }

  /** @throws InvalidArgument naming each wrong tensor or field; NotFound, AlreadyExists. */
  async import(request: tuning.ImportModelRequest): Promise<tuning.Model> {
    const { name, directory } = request;
    if (!modelNamePattern.test(name))
      throw InvalidArgument.at('name', `expected ${modelNameRule}, got ${show(name)}`);
    if (!isAbsolute(directory))
      throw InvalidArgument.at('directory', `expected an absolute path, got ${show(directory)}`);
    const { database, objects, clock } = this.context;
    const files = (await checkpointFiles(directory)).filter((file) => !file.startsWith('adapter_'));
    const version = await contentVersion(directory, files);
    const known = await database.query<ModelRow>('select * from models where name = $1', [name]);
    if (known.some(({ kind }) => kind === 'tuned'))
      throw new AlreadyExists(`name: ${show(name)} is a tuned model; choose another name`);
    if (!known.some((row) => row.version === version)) {
      const { config, tensors } = await loadModel(directory);
      const tokenizer = await loadTokenizer(directory);
      if (tokenizer.vocabSize > config.vocabSize)
        throw InvalidArgument.at(
          'tokenizer.json',
          `expected at most vocab_size (${config.vocabSize}) tokens, got ${tokenizer.vocabSize}: it belongs to another model`,
        );
      const prefix = `models/${name}/${version}`;
      await withCopies(directory, files, version, async (folder) => {
        await addCompanions(folder, await ggufCompanions(folder));
        await objects.putFolder(prefix, folder, 'config.json');
      });
      const parameters = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
      await database.query(
        `insert into models (name, version, kind, state, family, parameters, tokenizer, prefix, promoted_at, created_at)
         values ($1, $2, 'base', 'registered', $3, $4, $5, $6, $7, $7) on conflict do nothing`,
        [name, version, config.family, parameters, tokenizer.hash, prefix, new Date(clock.now())],
      );
    }
    return this.get(`${name}@${version}`);
  }

  /**
   * Makes a model version of what a final training left in the object store, in state trained, and gives its id.
   * Repeating it is harmless.
   * @throws InvalidArgument, NotFound when that cannot be used.
   */
  async store(experiment: ExperimentRow, trial: TrialRow): Promise<string> {
    const { database, objects, clock, outbox } = this.context;
    const name = experiment.spec.model;
    const architecture = architectureOf(experiment.spec, trial.parameters);
    const base = experiment.bases.find((b) => b.architecture === architecture)!;
    const baseRow = await this.find(`${base.model}@${base.version}`);
    await using trained = await objects.folder(trial.model_prefix);
    const folder = trained.path;
    const files = await checkpointFiles(folder);
    const adapter = files.includes('adapter_config.json');
    if (adapter) await loadAdapter(folder, await this.config(base.prefix));
    else await loadModel(folder);
    const version = await contentVersion(folder, files);
    const prefix = `models/${name}/${version}`;
    await withCopies(folder, files, version, (copies) =>
      objects.putFolder(prefix, copies, adapter ? 'adapter_config.json' : 'config.json'),
    );
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
      parameters: valueMessages(trial.parameters),
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

  /** Notes how a version's evaluation ended; what comes after its registration changes nothing. */
  async evaluated(
    sql: Sql,
    { model, version, prefix, failure }: evaluation.EvaluationCompleted,
  ): Promise<void> {
    await sql.query(
      "update models set evaluation = $3, evaluation_failure = $4 where name = $1 and version = $2 and state = 'trained'",
      [model, version, prefix, failure],
    );
  }

  /** Marks a version as ready to serve. It is promoted where no version of its name is. */
  async register(sql: Sql, id: string, now: Date): Promise<void> {
    const [name, version] = id.split('@');
    await sql.query(
      `update models m set state = 'registered', promoted_at = case
         when exists (select 1 from models o where o.name = m.name and o.promoted_at is not null) then m.promoted_at
         else $3 end
       where name = $1 and version = $2`,
      [name, version, now],
    );
    await emit(sql, topics.modelRegistered, name, { name, version });
  }

  /** @throws InvalidArgument, NotFound, FailedPrecondition. */
  async export(request: tuning.ExportModelRequest): Promise<tuning.ExportModelResponse> {
    const { format, directory } = request;
    const row = await this.find(request.name);
    const { objects } = this.context;
    await using stored = await objects.folder(row.prefix);
    const folder = stored.path;
    await using lease = isAdapter(row) ? await objects.folder(row.base_prefix) : undefined;
    const base = lease?.path ?? folder;
    switch (format) {
      case 'safetensors':
        if (!isAdapter(row))
          return { files: await exportFiles(folder, await checkpointFiles(folder), directory) };
        return {
          files: await writeFolder(directory, async (target) => {
            const model = await loadModel(base);
            const merged = mergeAdapter(model, await loadAdapter(folder, model.config));
            await saveModel(target, merged, { tokenizer: join(base, 'tokenizer.json') });
          }),
        };
      case 'peft':
        if (!isAdapter(row))
          throw new FailedPrecondition(
            `${row.name}@${row.version} was fully fine-tuned and has no adapter; export it as safetensors`,
          );
        return { files: await exportFiles(folder, await checkpointFiles(folder), directory) };
      case 'onnx':
        return {
          files: await writeFolder(directory, async (target) => {
            const model = await loadModel(base);
            const merged = isAdapter(row)
              ? mergeAdapter(model, await loadAdapter(folder, model.config))
              : model;
            await exportOnnx(target, merged, { tokenizer: join(base, 'tokenizer.json') });
          }),
        };
      default:
        throw InvalidArgument.at('format', `expected peft, safetensors or onnx, got ${show(format)}`);
    }
  }
}
