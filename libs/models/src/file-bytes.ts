import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { InvalidArgument } from '@emotune/base';

/** Fills `into` from a position of the file on. @throws InvalidArgument naming the file when it ends before. */
export async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await handle.read(into, done, into.length - done, position + done);
    if (bytesRead === 0)
      throw InvalidArgument.at(
        basename(path),
        'expected more bytes, got the end of the file: it changed while it was read',
      );
    done += bytesRead;
  }
}
