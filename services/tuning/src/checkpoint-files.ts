/** Checkpoint folders on their way in and out: which files count, what their content address is, whole or nothing. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import {
  Aborted,
  FailedPrecondition,
  InvalidArgument,
  makeFolder,
  NotFound,
  ResourceExhausted,
  sha256OfFile,
  show,
} from '@emotune/base';

/** What belongs to a checkpoint or an adapter; anything else in the folder is left where it is. */
const belongs = [
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|adapter_config)\.json$/,
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

/** Names of the files that count, sorted. @throws NotFound, FailedPrecondition. */
export async function checkpointFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause) => {
    if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')
      throw new NotFound(`expected a checkpoint folder, got ${folder} (${cause.code})`, { cause });
    throw fileError(cause, folder);
  });
  const weights = names.some((name) => /^model.*\.safetensors$/.test(name));
  return names
    .filter((name) => belongs.some((pattern) => pattern.test(name)) || (!weights && name.endsWith('.gguf')))
    .sort();
}

/** The content address of these files of a folder. */
export async function contentVersion(folder: string, names: readonly string[]): Promise<string> {
  const all = createHash('sha256');
  for (const name of names) {
    const one = await sha256OfFile(join(folder, name)).catch((error) => {
      throw fileError(error, join(folder, name));
    });
    all.update(`${name}\0${one}\n`);
  }
  return all.digest('hex').slice(0, versionLength);
}

/**
 * Runs `use` on a temporary folder that holds copies of these files, links resolved.
 * @throws Aborted when their content is not `version` any more.
 */
export async function withCopies(
  folder: string,
  names: readonly string[],
  version: string,
  use: (copies: string) => Promise<void>,
): Promise<void> {
  const copies = await mkdtemp(join(tmpdir(), 'emotune-checkpoint-'));
  try {
    await copyInto(copies, folder, names);
    if ((await contentVersion(copies, names)) !== version)
      throw new Aborted(`${folder} changed while it was read; try again when it is complete`);
    await use(copies);
  } finally {
    await rm(copies, { recursive: true, force: true });
  }
}

/** Writes what a GGUF file holds beside its weights into files of their own; those that are there stay. */
export async function addCompanions(folder: string, texts: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(texts))
    await writeFile(join(folder, name), text, { flag: 'wx' }).catch((error) => {
      if (error.code !== 'EEXIST') throw fileError(error, join(folder, name));
    });
}

async function copyInto(target: string, folder: string, names: readonly string[]): Promise<void> {
  for (const name of names)
    await copyFile(join(folder, name), join(target, name), constants.COPYFILE_FICLONE).catch((error) => {
      throw fileError(error, join(target, name));
    });
}

/** @throws InvalidArgument, FailedPrecondition. */
async function checkTarget(directory: string): Promise<void> {
  if (!isAbsolute(directory))
    throw InvalidArgument.at('directory', `expected an absolute path, got ${show(directory)}`);
  const names = await readdir(directory).catch((error) => {
    if (error.code === 'ENOENT') return [];
    if (error.code === 'ENOTDIR')
      throw InvalidArgument.at('directory', `expected a folder, got a file at ${directory}`);
    throw fileError(error, directory);
  });
  if (names.length > 0)
    throw InvalidArgument.at(
      'directory',
      `expected an empty or missing folder, got ${names.length} files in ${directory}`,
    );
}

/**
 * Makes the folder `directory`, which must be empty or missing, whole or not at all: `write` makes a folder beside it
 * that then takes its place. Gives the paths of the files.
 */
export async function writeFolder(
  directory: string,
  write: (folder: string) => Promise<void>,
): Promise<string[]> {
  await checkTarget(directory);
  const target = directory.replace(/\/+$/, '');
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await rm(temporary, { recursive: true, force: true });
    await makeFolder(dirname(target)).catch((cause) => {
      if (!['ENOENT', 'ENOTDIR'].includes(cause.code)) throw cause;
      throw InvalidArgument.at(
        'directory',
        `expected a place for a folder, got ${directory} (${cause.code})`,
        {
          cause,
        },
      );
    });
    await write(temporary);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw fileError(error, directory);
  }
  return (await readdir(target)).sort().map((name) => join(target, name));
}

/** Copies these files of a folder to a target as `writeFolder` does. */
export function exportFiles(folder: string, names: readonly string[], directory: string): Promise<string[]> {
  return writeFolder(directory, async (target) => {
    await mkdir(target);
    await copyInto(target, folder, names);
  });
}
