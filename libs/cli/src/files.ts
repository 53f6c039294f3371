/** Files of the user's own: sent before a request names them, fetched after an answer did. */
import { readdir, stat } from 'node:fs/promises';
import { basename, isAbsolute, join, relative, sep } from 'node:path';
import { InvalidArgument, NotFound } from '@emotune/base';
import type { files } from '@emotune/proto';
import { type Channel, type Transfer, uploadRows } from '@emotune/service/client';
import type { Session } from './session.js';

/** Smaller ones are there before anybody looks. */
const shownBytes = 8 * 2 ** 20;

/** Shows how far a transfer is. */
export function transferOf(
  { progress, signal }: Pick<Session, 'progress' | 'signal'>,
  what: string,
): Transfer {
  return {
    signal,
    onProgress: (done, total) => {
      if (total < shownBytes) return;
      progress.update(what, done, total, 'bytes');
      if (done >= total) progress.end();
    },
  };
}

/** As the user may have written it below a folder; the name alone elsewhere, so that where it lies makes no difference. */
function nameOf(path: string, folder: string): string {
  const within = relative(folder, path);
  return within.startsWith('..') || isAbsolute(within) ? basename(path) : within;
}

/** Of one import. */
const mostFiles = 1_000;

/**
 * The files of a path: itself, or those below a folder in the order of their names, without hidden ones.
 * @throws NotFound naming `field`; InvalidArgument where they are none or too many.
 */
export async function filesAt(path: string, field: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined)
    throw new NotFound(`${field}: expected a file or folder, got ${path}, which is not there`);
  if (!found.isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const below = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (file) =>
        !relative(path, file)
          .split(sep)
          .some((part) => part.startsWith('.')),
    );
  if (below.length === 0 || below.length > mostFiles)
    throw InvalidArgument.at(
      field,
      `expected a folder of 1 to ${mostFiles} files, got ${below.length} in ${path}`,
    );
  return below.sort();
}

/**
 * Sends a file of labelled rows.
 * @param folder what its path was written relative to
 * @throws NotFound, InvalidArgument naming `field`.
 */
export async function sendRows(
  session: Session,
  channel: Channel,
  { path, folder, field }: { readonly path: string; readonly folder: string; readonly field: string },
): Promise<files.UploadedFile> {
  const name = nameOf(path, folder);
  return { name, sha256: await uploadRows(channel, path, field, transferOf(session, `sending ${name}`)) };
}
