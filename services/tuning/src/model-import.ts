/** From uploaded files, or those of a repository of the Hub, to a model that experiments start from. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import {
  AlreadyExists,
  besideModule,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  openRegularFile,
  piecesOf,
  show,
  Violations,
} from '@emotune/base';
import { fetchSnapshot, hubIdText, parseHubId } from '@emotune/hub';
import {
  isWhole,
  type ObjectStore,
  textsBelow,
  uploadBytes,
  uploadKey,
  uploadViolations,
  whileHeld,
} from '@emotune/objects';
import type { common, tuning } from '@emotune/proto';
import { tokenizerOf } from '@emotune/text';
import { checkpointNames, contentVersion, withTemporary } from './checkpoint-files.js';
import { modelFiles } from './hub-files.js';
import type { ReadModel } from './import-work.js';
import { type Models, promotion } from './models.js';
import { modelNamePattern, modelNameRule } from './spec.js';
import type { ModelRow } from './store.js';

/** A file of a model, wherever it is. */
interface Given {
  /** Within the model's folder. */
  readonly path: string;
  readonly sha256: string;
  /** @throws FailedPrecondition where it is not here. */
  read(): Promise<AsyncIterable<Uint8Array>>;
}

interface Import {
  readonly name: string;
  /** Where it comes from, as people name it. */
  readonly source: string;
  /** Of an adapter: its base model; empty: the one that its config names. */
  readonly base: string;
  readonly files: readonly Given[];
}

const longestSource = 500;
/** In the process of a build. */
const importWork = besideModule(import.meta.url, 'import-work');

/** The files that belong to a model; others are left out. */
function belonging(files: readonly Given[]): Given[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const names = checkpointNames([...byPath.keys()]);
  // A merged checkpoint may lie beside the adapter that it was made of.
  const whole = names.some((file) => /^model.*\.safetensors$|\.gguf$/.test(file));
  return names.filter((file) => !(whole && file.startsWith('adapter_'))).map((file) => byPath.get(file)!);
}

/** What a request asks for, by uploads. @throws InvalidArgument */
function uploadsOf({ name, files, source, base }: tuning.ImportModelRequest, objects: ObjectStore): Import {
  const violations = new Violations();
  violations.expect(modelNamePattern.test(name), 'name', `expected ${modelNameRule}, got ${show(name)}`);
  violations.expect(
    source.length <= longestSource,
    'source',
    `expected at most ${longestSource} characters, got ${source.length}`,
  );
  const seen = new Set<string>();
  for (const [i, { path, sha256 }] of files.entries()) {
    const field = `files[${i}]`;
    for (const { field: at, description } of uploadViolations({ sha256, name: path }, field))
      violations.add(at.replace(/\.name$/, '.path'), description);
    violations.expect(!seen.has(path), `${field}.path`, `expected each file once, got ${show(path)} again`);
    seen.add(path);
  }
  violations.throwIfAny();
  const given = files.map(
    ({ path, sha256 }, i): Given => ({
      path,
      sha256,
      read: async () => {
        await uploadBytes(objects, { sha256, name: path }, `files[${i}]`);
        return objects.read(uploadKey(sha256, `files[${i}]`));
      },
    }),
  );
  return { name, source, base, files: given };
}

async function collect(files: readonly Given[], folder: string): Promise<void> {
  // What is not here is told before anything is copied.
  const contents: AsyncIterable<Uint8Array>[] = [];
  for (const file of files) contents.push(await file.read());
  for (const [i, { path }] of files.entries())
    await pipeline(Readable.from(contents[i]), createWriteStream(join(folder, path)));
}

/** The error without the place where the files lay meanwhile, which tells a user nothing. */
function withoutFolder(error: unknown, folder: string): unknown {
  const without = (text: string) => text.replaceAll(`${folder}/`, '').replaceAll(folder, 'the folder');
  if (error instanceof NotFound) return new NotFound(without(error.message), { cause: error });
  if (!(error instanceof InvalidArgument)) return error;
  const violations = error.violations.map(({ field, description }) => ({
    field: without(field),
    description: without(description),
  }));
  return new InvalidArgument(violations, { cause: error });
}

/** What an adapter's config says its base is, by name, path or id; empty where it says nothing. @throws InvalidArgument */
async function namedBase(files: readonly Given[]): Promise<{ base: string; revision: string }> {
  const field = 'adapter_config.json';
  const content = await files.find(({ path }) => path === field)!.read();
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(await text(content)) ?? {};
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw InvalidArgument.at(field, 'expected JSON', { cause });
  }
  const { base_model_name_or_path: base, revision } = json;
  return {
    base: typeof base === 'string' ? base : '',
    revision: typeof revision === 'string' && revision !== '' ? revision : 'main',
  };
}

/** The stored model that an adapter was trained on. @throws NotFound, InvalidArgument */
async function baseOf(models: Models, { name, base, files }: Import): Promise<ModelRow> {
  if (base !== '') return models.find(base);
  const { base: named } = await namedBase(files);
  const found =
    named === ''
      ? []
      : await models.context.database.query<ModelRow>(
          `select * from models
           where prefix <> '' and base_prefix = '' and (name = $1 or name || '@' || version = $1 or source = $1
             or starts_with(source, 'hf:' || $1 || '@'))
           order by promoted_at desc nulls last, sequence desc limit 1`,
          [named],
        );
  if (found.length > 0) return found[0];
  throw new NotFound(
    `base: expected the model that the adapter ${name} was trained on, ${show(named)}, got none of that name or source; import it first and name it here`,
  );
}

const isAdapter = (files: readonly Given[]) => files.some(({ path }) => path === 'adapter_config.json');

/**
 * Registers a checkpoint, or an adapter merged into its base: what inference and further training need.
 * @throws InvalidArgument naming each wrong tensor or field; NotFound, AlreadyExists; FailedPrecondition when a file is not
 *   here.
 */
async function register(models: Models, given: Import): Promise<tuning.Model> {
  const { database, objects, clock, builds } = models.context;
  const { name, source } = given;
  const sources = belonging(given.files);
  const adapter = isAdapter(sources);
  if (!adapter && given.base !== '')
    throw InvalidArgument.at('base', `expected nothing beside a whole model, got ${show(given.base)}`);
  const base = adapter ? await baseOf(models, given) : undefined;
  if (base && base.base_prefix !== '')
    throw new FailedPrecondition(
      `base: expected a whole model, got the adapter ${base.name}@${base.version}; export it as safetensors and import that`,
    );
  const version = contentVersion([
    ...sources.map(({ path, sha256 }) => ({ name: path, sha256 })),
    ...(base ? [{ name: 'base', sha256: base.version }] : []),
  ]);
  const known = await database.query<ModelRow>('select * from models where name = $1', [name]);
  if (known.some(({ kind }) => kind === 'tuned'))
    throw new AlreadyExists(`name: ${show(name)} is a tuned model; choose another name`);
  const same = known.find((row) => row.version === version);
  // One that is damaged is put there again.
  if (same && (await isWhole(objects, same.prefix))) {
    await renewTokenizer(models, same);
    return models.get(`${name}@${version}`);
  }
  const prefix = `models/${name}/${version}`;
  const told = await withTemporary(async (temporary) => {
    const folder = join(temporary, 'given');
    await mkdir(folder);
    await collect(sources, folder);
    const work = async () => {
      const whole = base ? join(temporary, 'whole') : folder;
      await using lease = base && (await objects.folder(base.prefix));
      const request = { folder, whole, base: lease?.path };
      const read = await builds.run<typeof request, ReadModel>(importWork, 'read', request);
      await objects.putFolder(prefix, whole, 'config.json');
      return read;
    };
    return await work().catch((error) => {
      throw withoutFolder(withoutFolder(error, folder), join(temporary, 'whole'));
    });
  });
  const { family, parameters, tokenizer, teaching } = told;
  const licence = told.licence || (base?.licence ?? '');
  await database.query(
    `insert into models (name, version, kind, state, family, parameters, tokenizer, prefix, promoted_at, created_at, teaching,
       source, licence)
     values ($1, $2, 'base', 'registered', $3, $4, $5, $6, ${promotion('$7')}, $7, $8, $9, $10) on conflict do nothing`,
    [
      name,
      version,
      family,
      parameters,
      tokenizer,
      prefix,
      new Date(clock.now()),
      teaching && JSON.stringify(teaching),
      source,
      licence,
    ],
  );
  return { ...(await models.get(`${name}@${version}`)), notices: told.notices };
}

/** Registers what was uploaded; what is known needs no upload. @throws as `register` */
export async function importModel(models: Models, request: tuning.ImportModelRequest): Promise<tuning.Model> {
  const { objects } = models.context;
  const given = uploadsOf(request, objects);
  const hashes = given.files.map(({ sha256 }) => sha256);
  return whileHeld(objects, hashes, () => register(models, given));
}

/** Opened when it is read. */
async function* contentOf(folder: string, name: string): AsyncGenerator<Uint8Array> {
  const path = join(folder, name);
  const { handle } = await openRegularFile(path, { within: folder });
  try {
    yield* piecesOf(handle, path);
  } finally {
    await handle.close();
  }
}

/**
 * Fetches a model from the Hub and registers it; an adapter whose base the Hub has too, after that.
 * @throws as `register` and `fetchSnapshot`.
 */
export async function importHubModel(
  models: Models,
  { name, source, base }: tuning.ImportHubModelRequest,
  options: { readonly signal: AbortSignal; readonly onProgress: (progress: common.Progress) => void },
): Promise<tuning.Model> {
  const { hub } = models.context;
  if (!modelNamePattern.test(name))
    throw InvalidArgument.at('name', `expected ${modelNameRule}, got ${show(name)}`);
  const id = parseHubId(source, 'source');
  if (id.kind !== 'model') throw InvalidArgument.at('source', `expected a model, got ${show(source)}`);
  const { commit, folder, files } = await fetchSnapshot(hub, id, modelFiles(id), {
    signal: options.signal,
    onProgress: (path, done, total) =>
      options.onProgress({ phase: `downloading ${path}`, done, total, unit: 'bytes' }),
  });
  options.onProgress({ phase: 'reading the model', done: 0, total: 0, unit: 'files' });
  const given = {
    name,
    source: hubIdText({ ...id, revision: commit }),
    base,
    files: files.map(({ path, sha256 }) => ({
      path: basename(path),
      sha256,
      read: async () => contentOf(folder, path),
    })),
  };
  try {
    return await register(models, given);
  } catch (error) {
    if (!(error instanceof NotFound) || base !== '' || !isAdapter(given.files)) throw error;
    const { base: named, revision } = await namedBase(given.files);
    if (!/^[\w.-]+\/[\w.-]+$/.test(named)) throw error;
    const request = { name: `${name}-base`, source: `hf:${named}@${revision}`, base: '' };
    const { name: imported, version } = await importHubModel(models, request, options);
    return register(models, { ...given, base: `${imported}@${version}` });
  }
}

/** How a model's texts begin and end may have been read otherwise when it was imported before. */
async function renewTokenizer({ context }: Models, row: ModelRow): Promise<void> {
  const { hash } = await tokenizerOf(textsBelow(context.objects, row.prefix));
  if (hash !== row.tokenizer)
    await context.database.query('update models set tokenizer = $3 where name = $1 and version = $2', [
      row.name,
      row.version,
      hash,
    ]);
}
