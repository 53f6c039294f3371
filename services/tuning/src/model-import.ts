/** From uploaded files to a base model. */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AlreadyExists, InvalidArgument, NotFound, show, Violations } from '@emotune/base';
import { ggufCompanions, loadModel, loadTokenizer } from '@emotune/models';
import { type ObjectStore, uploadBytes, uploadKey, uploadViolations } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { addCompanions, checkpointNames, contentVersion, withTemporary } from './checkpoint-files.js';
import type { Models } from './models.js';
import { modelNamePattern, modelNameRule } from './spec.js';
import type { ModelRow } from './store.js';

interface Source extends tuning.CheckpointFile {
  /** In the request. */
  readonly field: string;
}

/** The files that belong to a base model; others are left out. @throws InvalidArgument */
function sourcesOf({ name, files }: tuning.ImportModelRequest): Source[] {
  const violations = new Violations();
  violations.expect(modelNamePattern.test(name), 'name', `expected ${modelNameRule}, got ${show(name)}`);
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
  const names = checkpointNames([...sources.keys()]).filter((file) => !file.startsWith('adapter_'));
  return names.map((file) => sources.get(file)!);
}

async function collect(objects: ObjectStore, sources: readonly Source[], folder: string): Promise<void> {
  for (const { path, sha256, field } of sources) await uploadBytes(objects, { sha256, name: path }, field);
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

/**
 * Registers a checkpoint; one that is known needs no upload.
 * @throws InvalidArgument naming each wrong tensor or field; NotFound, AlreadyExists; FailedPrecondition when a file was not
 *   uploaded.
 */
export async function importModel(models: Models, request: tuning.ImportModelRequest): Promise<tuning.Model> {
  const { database, objects, clock } = models.context;
  const { name } = request;
  const sources = sourcesOf(request);
  const version = contentVersion(sources.map(({ path, sha256 }) => ({ name: path, sha256 })));
  const known = await database.query<ModelRow>('select * from models where name = $1', [name]);
  if (known.some(({ kind }) => kind === 'tuned'))
    throw new AlreadyExists(`name: ${show(name)} is a tuned model; choose another name`);
  if (known.some((row) => row.version === version)) return models.get(`${name}@${version}`);
  const prefix = `models/${name}/${version}`;
  const { family, parameters, tokenizer } = await withTemporary(async (folder) => {
    await collect(objects, sources, folder);
    const checked = await check(folder).catch((error) => {
      throw withoutFolder(error, folder);
    });
    await addCompanions(folder, await ggufCompanions(folder));
    await objects.putFolder(prefix, folder, 'config.json');
    return checked;
  });
  await database.query(
    `insert into models (name, version, kind, state, family, parameters, tokenizer, prefix, promoted_at, created_at)
     values ($1, $2, 'base', 'registered', $3, $4, $5, $6, $7, $7) on conflict do nothing`,
    [name, version, family, parameters, tokenizer, prefix, new Date(clock.now())],
  );
  return models.get(`${name}@${version}`);
}

async function check(folder: string): Promise<Pick<ModelRow, 'family' | 'parameters' | 'tokenizer'>> {
  const { config, tensors } = await loadModel(folder);
  const tokenizer = await loadTokenizer(folder);
  if (tokenizer.vocabSize > config.vocabSize)
    throw InvalidArgument.at(
      'tokenizer.json',
      `expected at most vocab_size (${config.vocabSize}) tokens, got ${tokenizer.vocabSize}: it belongs to another model`,
    );
  const parameters = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  return { family: config.family, parameters, tokenizer: tokenizer.hash };
}
