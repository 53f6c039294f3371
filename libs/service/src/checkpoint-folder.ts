/** A model of this machine on its way to the platform. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  exists,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  readRegularFile,
  sha256OfFile,
  Unavailable,
} from '@emotune/base';
import type { common, tuning } from '@emotune/proto';
import type { Channel } from './channel.js';
import { type Transfer, upload } from './file-transfer.js';

/** What may belong to a checkpoint; which of it does, the tuning service knows. */
const sent = /\.(json|safetensors|gguf|jinja)$|^(README|LICENSE|NOTICE)(\.[a-z]+)?$/;

/** The folder, and the names of its files that may belong to a model. @throws NotFound, InvalidArgument */
async function candidates(path: string): Promise<{ folder: string; names: string[] }> {
  const info = await stat(path).catch((cause) => {
    throw new NotFound(
      `expected a checkpoint folder or a GGUF file, got ${path} (${cause.code ?? cause.message})`,
      { cause },
    );
  });
  if (!info.isDirectory() && !info.isFile())
    throw InvalidArgument.at(
      'path',
      `expected a checkpoint folder or a GGUF file, got ${path}, which is neither`,
    );
  if (info.isFile()) {
    if (path.endsWith('.gguf')) {
      // A link that is named itself may lead anywhere.
      const file = await realpath(path);
      return { folder: dirname(file), names: [basename(file)] };
    }
    throw InvalidArgument.at(
      'path',
      `expected a checkpoint folder or a GGUF file, got ${path}; name the folder that it lies in`,
    );
  }
  const names: string[] = [];
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (sent.test(entry.name) && !entry.isDirectory()) names.push(entry.name);
  const weights = names.some((name) => name.endsWith('.safetensors'));
  return {
    folder: path,
    names: names.filter((name) => !(weights && name.endsWith('.gguf'))).sort(),
  };
}

const largestConfig = 2 ** 24;

/** What an adapter's config names as its base: a folder of this machine, or a repository of the Hub. */
async function namedBase(path: string): Promise<string | undefined> {
  try {
    const file = join(path, 'adapter_config.json');
    const text = (await readRegularFile(file, { within: path, mostBytes: largestConfig })).toString('utf8');
    const { base_model_name_or_path: named, revision } = JSON.parse(text);
    if (typeof named !== 'string' || named === '') return undefined;
    if (await exists(named)) return named;
    return /^[\w.-]+\/[\w.-]+$/.test(named) ? `hf:${named}@${revision || 'main'}` : undefined;
  } catch {
    // There is none, or the service says what is wrong with it.
    return undefined;
  }
}

interface ImportedPath {
  /** Its name from now on. */
  readonly name: string;
  /** A checkpoint folder, a GGUF file, or the folder of a PEFT adapter. */
  readonly path: string;
  /** An adapter's base model: an imported model's name; or a path or hf:org/name, imported too as `<name>-base`. */
  readonly base?: string | undefined;
}

export interface ImportHooks {
  readonly transferOf?: (file: string) => Transfer;
  /** Of what the service fetches from the Hub. */
  readonly onProgress?: (progress: common.Progress) => void;
  readonly signal?: AbortSignal;
}

export const isHubName = (text: string): boolean => text.startsWith('hf:');

/**
 * Has the service fetch a model from the Hub and import it as a base model.
 * @param source hf:org/name[@revision][:file.gguf]
 * @throws NotFound, FailedPrecondition (access), Unavailable; InvalidArgument naming each wrong tensor or field; AlreadyExists.
 */
export async function importHubModel(
  channel: Channel,
  {
    name,
    source,
    base = '',
  }: { readonly name: string; readonly source: string; readonly base?: string | undefined },
  { onProgress, signal }: ImportHooks = {},
): Promise<tuning.Model> {
  const models = channel.client<tuning.ModelServiceClient>('ModelService');
  let model: tuning.Model | undefined;
  const request = { name, source, base };
  for await (const update of models.stream('importHubModel', request, signal ? { signal } : {})) {
    if (update.progress) onProgress?.(update.progress);
    model ??= update.model;
  }
  if (!model)
    throw new Unavailable('the connection ended before the model was imported; import it again to go on');
  return model;
}

/**
 * Imports a model of this machine as a base model; one that is known already is hashed and not sent. The base of an adapter
 * that is known nowhere and lies on this machine is imported first.
 * @throws NotFound; InvalidArgument naming each wrong tensor or field; AlreadyExists; as `upload`.
 */
export async function importCheckpoint(
  channel: Channel,
  { name, path, base = '' }: ImportedPath,
  hooks: ImportHooks = {},
): Promise<tuning.Model> {
  const { transferOf = () => ({}) } = hooks;
  const importBase = async (from: string) => {
    const wanted = `${name}-base`;
    const { name: imported, version } = isHubName(from)
      ? await importHubModel(channel, { name: wanted, source: from }, hooks)
      : await importCheckpoint(channel, { name: wanted, path: from }, hooks);
    return `${imported}@${version}`;
  };
  const elsewhere = base !== '' && (isHubName(base) || (await exists(base)));
  const given = elsewhere ? await importBase(base) : base;
  try {
    return await importFiles(channel, { name, path, base: given }, transferOf);
  } catch (error) {
    const named = given === '' && error instanceof NotFound ? await namedBase(path) : undefined;
    if (named === undefined) throw error;
    const imported = await importBase(named).catch((cause) => {
      // What looks like a name of the Hub may be a path of another machine.
      if (!isHubName(named) || !(cause instanceof NotFound || cause instanceof FailedPrecondition))
        throw cause;
      throw new NotFound(`${(error as Error).message} (${cause.message})`, { cause });
    });
    return importFiles(channel, { name, path, base: imported }, transferOf);
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
  for (const file of names)
    files.push({ path: file, sha256: await sha256OfFile(join(folder, file), { within: folder }) });
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
    file.sha256 = await upload(channel, join(folder, file.path), file.path, {
      ...transferOf(file.path),
      within: folder,
    });
  return request();
}
