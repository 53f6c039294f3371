/** Files of the user's own: sent before a request names them, fetched after an answer did. */
import { basename, isAbsolute, relative } from 'node:path';
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
