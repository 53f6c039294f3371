/** The file system, in our words. */
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FailedPrecondition, InvalidArgument, ResourceExhausted } from '@emotune/base';

/** A failure of the file system in our words; anything else as it is. */
export function storeError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const cause = { cause: error };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ResourceExhausted(
        `${path}: the disk is full (${code}); free some space, then try again`,
        cause,
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new FailedPrecondition(
        `${path}: expected a place that may be written, got ${code}; give this user access to it or choose another folder`,
        cause,
      );
    case 'ENOTDIR':
    case 'EEXIST':
    case 'EISDIR':
      return new FailedPrecondition(
        `${path}: expected folders on the way to an object, and none in its place, got ${code}; move what is in the way`,
        cause,
      );
    case 'ENAMETOOLONG':
      return InvalidArgument.at('key', `expected shorter parts, got ${path}`, cause);
    default:
      return error;
  }
}

/** The object is not there: nothing by that name, a folder, or a file where a folder would be. */
export function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'EISDIR', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

export async function entries(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    throw storeError(error, folder);
  }
}

/** Paths of the files below a folder. One folder is read after another: many at once would hold up the event loop. */
export async function filesBelow(folder: string, files: string[] = []): Promise<string[]> {
  for (const entry of await entries(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await filesBelow(path, files);
    else if (entry.isFile()) files.push(path);
  }
  return files;
}
