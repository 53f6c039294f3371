/** From uploaded files to a model that experiments start from. */
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseTeaching, teachingFile } from '@emotune/affect';
import {
  AlreadyExists,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  show,
  Violations,
} from '@emotune/base';
import {
  companionFiles,
  endingWith,
  ggufCompanions,
  loadAdapter,
  loadModel,
  loadTokenizer,
  mergeAdapter,
  saveModel,
} from '@emotune/models';
import { type ObjectStore, textsBelow, uploadBytes, uploadKey, uploadViolations } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { endOfSequence, tokenizerOf } from '@emotune/text';
import {
  addCompanions,
  checkpointFiles,
  checkpointNames,
  contentVersion,
  teachingIn,
  withTemporary,
} from './checkpoint-files.js';
import { licenceOfCard } from './model-card.js';
import type { Models } from './models.js';
import { modelNamePattern, modelNameRule } from './spec.js';
import type { ModelRow } from './store.js';

interface Source extends tuning.CheckpointFile {
  /** In the request. */
  readonly field: string;
}

const longestSource = 500;

/** The files that belong to a model; others are left out. @throws InvalidArgument */
function sourcesOf({ name, files, source }: tuning.ImportModelRequest): Source[] {
  const violations = new Violations();
  violations.expect(modelNamePattern.test(name), 'name', `expected ${modelNameRule}, got ${show(name)}`);
  violations.expect(
    source.length <= longestSource,
    'source',
    `expected at most ${longestSource} characters, got ${source.length}`,
  );
  const sources = new Map<string, Source>();
  for (const [i, { path, sha256 }] of files.entries()) {
    const field = `files[${i}]`;
    for (const { field: at, description } of uploadViolations({ sha256, name: path }, field))
      violations.add(at.replace(/\.name$/, '.path'), description);
    violations.expect(
      !sources.has(path),
      `${field}.path`,
      `expected each file once, got ${show(path)} again`,
    );
    sources.set(path, { path, sha256, field });
  }
  violations.throwIfAny();
  const names = checkpointNames([...sources.keys()]);
  // A merged checkpoint may lie beside the adapter that it was made of.
  const whole = names.some((file) => /^model.*\.safetensors$|\.gguf$/.test(file));
  return names.filter((file) => !(whole && file.startsWith('adapter_'))).map((file) => sources.get(file)!);
}

/** @throws FailedPrecondition */
async function uploaded(objects: ObjectStore, sources: readonly Source[]): Promise<void> {
  for (const { path, sha256, field } of sources) await uploadBytes(objects, { sha256, name: path }, field);
}

async function collect(objects: ObjectStore, sources: readonly Source[], folder: string): Promise<void> {
  await uploaded(objects, sources);
  for (const { path, sha256, field } of sources)
    await pipeline(
      Readable.from(objects.read(uploadKey(sha256, field))),
      createWriteStream(join(folder, path)),
    );
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

/** The stored model that an adapter was trained on. @throws NotFound, InvalidArgument */
async function baseOf(models: Models, { name, base, files }: tuning.ImportModelRequest): Promise<ModelRow> {
  if (base !== '') return models.find(base);
  const field = 'adapter_config.json';
  const config = files.find(({ path }) => path === field)!;
  const bytes = await models.context.objects.get(uploadKey(config.sha256, field));
  const { base_model_name_or_path: named } = adapterConfig(Buffer.from(bytes).toString(), field);
  const found =
    typeof named === 'string' && named !== ''
      ? await models.context.database.query<ModelRow>(
          `select * from models
           where prefix <> '' and base_prefix = '' and (name = $1 or name || '@' || version = $1 or source = $1
             or source = 'hf:' || $1 or starts_with(source, 'hf:' || $1 || '@'))
           order by promoted_at desc nulls last, sequence desc limit 1`,
          [named],
        )
      : [];
  if (found.length > 0) return found[0];
  throw new NotFound(
    `base: expected the model that the adapter ${name} was trained on, ${show(named)}, got none of that name or source; import it first and name it here`,
  );
}

function adapterConfig(text: string, field: string): Record<string, unknown> {
  try {
    return JSON.parse(text) ?? {};
  } catch (cause) {
    throw InvalidArgument.at(field, 'expected JSON', { cause });
  }
}

/** What the base says, and beside it what the adapter's folder says of its own. */
async function mergedFiles(folder: string, base: string): Promise<Record<string, string>> {
  const names = (await checkpointFiles(folder)).filter(
    (name) => !name.startsWith('adapter_') && name !== 'config.json',
  );
  const own = await Promise.all(
    names.map(async (name): Promise<[string, string]> => [name, await readFile(join(folder, name), 'utf8')]),
  );
  return { ...(await companionFiles(base)), ...Object.fromEntries(own) };
}

/** The whole checkpoint that an adapter and its base are, in a new folder. @throws InvalidArgument, NotFound */
async function writeMerged(folder: string, base: string, target: string): Promise<void> {
  const files = await mergedFiles(folder, base);
  const teaching = files[teachingFile] === undefined ? undefined : parseTeaching(files[teachingFile]);
  const whole = await loadModel(base);
  const { config, tensors } = mergeAdapter(whole, await loadAdapter(folder, whole.config));
  const ended = endingWith(config, teaching?.endTokenId ?? null);
  await saveModel(target, { config: ended, tensors }, { files });
}

/**
 * Registers a checkpoint, or an adapter merged into its base: what inference and further training need. One that is known
 * needs no upload.
 * @throws InvalidArgument naming each wrong tensor or field; NotFound, AlreadyExists; FailedPrecondition when a file was not
 *   uploaded.
 */
export async function importModel(models: Models, request: tuning.ImportModelRequest): Promise<tuning.Model> {
  const { database, objects, clock } = models.context;
  const { name, source } = request;
  const sources = sourcesOf(request);
  const adapter = sources.some(({ path }) => path === 'adapter_config.json');
  if (adapter) await uploaded(objects, sources);
  const base = adapter ? await baseOf(models, request) : undefined;
  if (!adapter && request.base !== '')
    throw InvalidArgument.at('base', `expected nothing beside a whole model, got ${show(request.base)}`);
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
  if (same) {
    await renewTokenizer(models, same);
    return models.get(`${name}@${version}`);
  }
  const prefix = `models/${name}/${version}`;
  const told = await withTemporary(async (temporary) => {
    const given = join(temporary, 'given');
    await mkdir(given);
    await collect(objects, sources, given);
    const work = async () => {
      const whole = base ? join(temporary, 'whole') : given;
      if (base) {
        await using lease = await objects.folder(base.prefix);
        await writeMerged(given, lease.path, whole);
      } else await addCompanions(given, await ggufCompanions(given));
      const checked = await check(whole);
      await objects.putFolder(prefix, whole, 'config.json');
      return { ...checked, teaching: await teachingIn(whole), licence: await licenceIn(given) };
    };
    return await work().catch((error) => {
      throw withoutFolder(withoutFolder(error, given), join(temporary, 'whole'));
    });
  });
  const { family, parameters, tokenizer, teaching } = told;
  const licence = told.licence || (base?.licence ?? '');
  await database.query(
    `insert into models (name, version, kind, state, family, parameters, tokenizer, prefix, promoted_at, created_at, teaching,
       source, licence)
     values ($1, $2, 'base', 'registered', $3, $4, $5, $6, $7, $7, $8, $9, $10) on conflict do nothing`,
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
  return models.get(`${name}@${version}`);
}

async function licenceIn(folder: string): Promise<string> {
  const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '');
  return licenceOfCard(card);
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

async function check(folder: string): Promise<Pick<ModelRow, 'family' | 'parameters' | 'tokenizer'>> {
  const { config, tensors } = await loadModel(folder);
  const tokenizer = await loadTokenizer(folder);
  endOfSequence(tokenizer);
  if (tokenizer.vocabSize > config.vocabSize)
    throw InvalidArgument.at(
      'tokenizer.json',
      `expected at most vocab_size (${config.vocabSize}) tokens, got ${tokenizer.vocabSize}: it belongs to another model`,
    );
  const parameters = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  return { family: config.family, parameters, tokenizer: tokenizer.hash };
}
