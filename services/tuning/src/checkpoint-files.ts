/** Checkpoint folders: which files count, and what their content address is. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseTeaching, teachingFile } from '@emotune/affect';
import { FailedPrecondition, ResourceExhausted, sha256OfFile, temporaryPrefix } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import { teachingMessage } from '@emotune/service/words';

/** What belongs to a checkpoint or an adapter; anything else in the folder is left where it is. */
const belongs = [
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|adapter_config|emotune|lexicons)\.json$/,
  /^model.*\.safetensors$/,
  /^model\.safetensors\.index\.json$/,
  /^adapter_model\.safetensors$/,
  /^chat_template\.jinja$/,
  /^(README|LICENSE|NOTICE)(\.[a-z]+)?$/,
];

const versionLength = 12;

/** A failure of the file system in our words; anything else as it is. */
function fileError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const cause = { cause: error };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new ResourceExhausted(
      `${path}: the disk is full (${code}); free some space, then try again`,
      cause,
    );
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new FailedPrecondition(
      `${path}: access is refused (${code}); give this user access or choose another folder`,
      cause,
    );
  return error;
}

/** Those of a folder's names that count, sorted. */
export function checkpointNames(names: readonly string[]): string[] {
  const weights = names.some((name) => /^model.*\.safetensors$/.test(name));
  return names
    .filter(
      (name) => belongs.some((pattern) => pattern.test(name)) || (!weights && /^[^/\\]+\.gguf$/.test(name)),
    )
    .sort();
}

/** Of a folder. */
export async function checkpointFiles(folder: string): Promise<string[]> {
  return checkpointNames(await readdir(folder));
}

interface HashedFile {
  readonly name: string;
  readonly sha256: string;
}

export async function hashesOf(folder: string, names: readonly string[]): Promise<HashedFile[]> {
  const hashed: HashedFile[] = [];
  for (const name of names) hashed.push({ name, sha256: await sha256OfFile(join(folder, name)) });
  return hashed;
}

/** The content address of a checkpoint, whose files come in the order of their names. */
export function contentVersion(files: readonly HashedFile[]): string {
  const all = createHash('sha256');
  for (const { name, sha256 } of files) all.update(`${name}\0${sha256}\n`);
  return all.digest('hex').slice(0, versionLength);
}

/** Runs `use` on a folder that is gone afterwards. */
export async function withTemporary<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(temporaryPrefix('checkpoint'));
  try {
    return await use(folder);
  } catch (error) {
    throw fileError(error, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes what a GGUF file holds beside its weights into files of their own; those that are there stay. */
export async function addCompanions(folder: string, texts: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(texts))
    await writeFile(join(folder, name), text, { flag: 'wx' }).catch((error) => {
      if (error.code !== 'EEXIST') throw error;
    });
}

export async function copyInto(target: string, folder: string, names: readonly string[]): Promise<void> {
  for (const name of names)
    await copyFile(join(folder, name), join(target, name), constants.COPYFILE_FICLONE);
}

/** What a folder's `emotune.json` tells; null without one. @throws InvalidArgument */
export async function teachingIn(folder: string): Promise<tuning.Teaching | null> {
  const text = await readFile(join(folder, teachingFile), 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text === undefined ? null : teachingMessage(parseTeaching(text));
}
