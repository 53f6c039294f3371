/** A model of this machine on its way to the platform. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { exists, FailedPrecondition, InvalidArgument, NotFound, sha256OfFile } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import type { Channel } from './channel.js';
import { type Transfer, upload } from './file-transfer.js';

/** What may belong to a checkpoint; which of it does, the tuning service knows. */
const sent = /\.(json|safetensors|gguf|jinja)$|^(README|LICENSE|NOTICE)(\.[a-z]+)?$/;

/** The folder, and the names of its regular files that may belong to a model. @throws NotFound, InvalidArgument */
async function candidates(path: string): Promise<{ folder: string; names: string[] }> {
  const info = await stat(path).catch((cause) => {
    throw new NotFound(
      `expected a checkpoint folder or a GGUF file, got ${path} (${cause.code ?? cause.message})`,
      { cause },
    );
  });
  if (info.isFile()) {
    if (path.endsWith('.gguf')) return { folder: dirname(path), names: [basename(path)] };
    throw InvalidArgument.at(
      'path',
      `expected a checkpoint folder or a GGUF file, got ${path}; name the folder that it lies in`,
    );
  }
  const names: string[] = [];
  // Caches of models hold links to files.
  for (const name of await readdir(path))
    if (sent.test(name) && (await stat(join(path, name))).isFile()) names.push(name);
  const weights = names.some((name) => name.endsWith('.safetensors'));
  return {
    folder: path,
    names: names.filter((name) => !(weights && name.endsWith('.gguf'))).sort(),
  };
}

/** The folder on this machine that an adapter's config names as its base. */
async function localBase(path: string): Promise<string | undefined> {
  const text = await readFile(join(path, 'adapter_config.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const named = JSON.parse(text).base_model_name_or_path;
    return typeof named === 'string' && named !== '' && (await exists(named)) ? named : undefined;
  } catch {
    // The service says what is wrong with it.
    return undefined;
  }
}

interface ImportedPath {
  /** Its name from now on. */
  readonly name: string;
  /** A checkpoint folder, a GGUF file, or the folder of a PEFT adapter. */
  readonly path: string;
  /** An adapter's base model: an imported model's name, or a path, which is imported too as `<name>-base`. */
  readonly base?: string | undefined;
}

/**
 * Imports a model of this machine as a base model; one that is known already is hashed and not sent. The base of an adapter
 * that is known nowhere and lies on this machine is imported first.
 * @throws NotFound; InvalidArgument naming each wrong tensor or field; AlreadyExists; as `upload`.
 */
export async function importCheckpoint(
  channel: Channel,
  { name, path, base = '' }: ImportedPath,
  transferOf: (file: string) => Transfer = () => ({}),
): Promise<tuning.Model> {
  const importBase = async (path: string) => {
    const { name: imported, version } = await importCheckpoint(
      channel,
      { name: `${name}-base`, path },
      transferOf,
    );
    return `${imported}@${version}`;
  };
  const named = base !== '' && (await exists(base)) ? await importBase(base) : base;
  try {
    return await importFiles(channel, { name, path, base: named }, transferOf);
  } catch (error) {
    const local = named === '' && error instanceof NotFound ? await localBase(path) : undefined;
    if (local === undefined) throw error;
    return importFiles(channel, { name, path, base: await importBase(local) }, transferOf);
  }
}

async function importFiles(
  channel: Channel,
  { name, path, base }: Required<ImportedPath>,
  transferOf: (file: string) => Transfer,
): Promise<tuning.Model> {
  const models = channel.client<tuning.ModelServiceClient>('ModelService');
  const { folder, names } = await candidates(path);
  const files: tuning.CheckpointFile[] = [];
  for (const file of names) files.push({ path: file, sha256: await sha256OfFile(join(folder, file)) });
  const { signal } = transferOf('');
  const request = () =>
    models.call(
      'importModel',
      { name, files, source: resolve(path), base: base ?? '' },
      signal ? { signal } : {},
    );
  try {
    return await request();
  } catch (error) {
    if (!(error instanceof FailedPrecondition)) throw error;
  }
  for (const file of files)
    file.sha256 = await upload(channel, join(folder, file.path), file.path, transferOf(file.path));
  return request();
}
