/** A checkpoint folder of this machine on its way to the platform. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FailedPrecondition, NotFound, sha256OfFile } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import type { Channel } from './channel.js';
import { type Transfer, upload } from './file-transfer.js';

/** What may belong to a checkpoint; which of it does, the tuning service knows. */
const sent = /\.(json|safetensors|gguf|jinja)$|^(README|LICENSE|NOTICE)(\.[a-z]+)?$/;

/** Names of the folder's regular files that may belong to a checkpoint. @throws NotFound */
async function candidates(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch((cause) => {
    throw new NotFound(`expected a checkpoint folder, got ${folder} (${cause.code ?? cause.message})`, {
      cause,
    });
  });
  const names: string[] = [];
  // Caches of models hold links to files.
  for (const name of entries)
    if (sent.test(name) && (await stat(join(folder, name))).isFile()) names.push(name);
  const weights = names.some((name) => name.endsWith('.safetensors'));
  return names.filter((name) => !(weights && name.endsWith('.gguf'))).sort();
}

/**
 * Imports a checkpoint folder as a base model; one that is known already is hashed and not sent.
 * @throws NotFound; InvalidArgument naming each wrong tensor or field; AlreadyExists; as `upload`.
 */
export async function importCheckpoint(
  channel: Channel,
  { name, folder }: { readonly name: string; readonly folder: string },
  transferOf: (file: string) => Transfer = () => ({}),
): Promise<tuning.Model> {
  const models = channel.client<tuning.ModelServiceClient>('ModelService');
  const names = await candidates(folder);
  const files: tuning.CheckpointFile[] = [];
  for (const path of names) files.push({ path, sha256: await sha256OfFile(join(folder, path)) });
  const { signal } = transferOf('');
  const request = () => models.call('importModel', { name, files }, signal ? { signal } : {});
  try {
    return await request();
  } catch (error) {
    if (!(error instanceof FailedPrecondition)) throw error;
  }
  for (const file of files)
    file.sha256 = await upload(channel, join(folder, file.path), file.path, transferOf(file.path));
  return request();
}
