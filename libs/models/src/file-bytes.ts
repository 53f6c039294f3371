import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import {
  EmotuneError,
  fileWork,
  InvalidArgument,
  NotFound,
  openRegularFile,
  type RegularFile,
} from '@emotune/base';

/** Read by one call: a slow disk gives so much in time. */
const mostBytes = 2 ** 26;

/**
 * A file of a model's folder.
 * @param what "a GGUF file"
 * @throws NotFound where there is none; as `openRegularFile`.
 */
export async function openModelFile(path: string, what: string): Promise<RegularFile> {
  return openRegularFile(path, { within: dirname(path) }).catch((cause) => {
    if (cause instanceof EmotuneError) throw cause;
    throw new NotFound(`expected ${what}, got ${path} (${cause.code ?? cause.message})`, { cause });
  });
}

/** Fills `into` from a position of the file on. @throws InvalidArgument naming the file when it ends before. */
export async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const length = Math.min(mostBytes, into.length - done);
    const { bytesRead } = await fileWork(path, () => handle.read(into, done, length, position + done));
    if (bytesRead === 0)
      throw InvalidArgument.at(
        basename(path),
        'expected more bytes, got the end of the file: it changed while it was read',
      );
    done += bytesRead;
  }
}
