/** Reading small text formats: whole files, decoded strictly, split into lines or CSV rows. */
import { open } from 'node:fs/promises';
import { InvalidArgument, NotFound } from '@emotune/base';
import { parse } from 'csv-parse/sync';

/** Larger files are refused before anything is read: the platform holds a source in memory while it builds. */
const largestFileBytes = 2 * 1024 ** 3;

/** Lines without their ends; empty ones are left out. */
export function lines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== '');
}

/** Rows of a CSV text with a header. */
export function csvRows(text: string, delimiter = ','): Record<string, string>[] {
  return parse(text, {
    columns: true,
    bom: true,
    skip_empty_lines: true,
    delimiter,
    relax_quotes: delimiter === '\t',
  });
}

/**
 * The file's bytes.
 * @throws NotFound when it is missing; InvalidArgument when it is a folder, empty or too large.
 */
export async function readBytes(path: string, field: string): Promise<Uint8Array> {
  const handle = await open(path).catch((cause) => {
    throw new NotFound(`${field}: expected a readable file, got ${path} (${cause.code ?? cause.message})`, {
      cause,
    });
  });
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw InvalidArgument.at(field, `expected a file, got a folder or device: ${path}`);
    if (info.size === 0) throw InvalidArgument.at(field, `expected rows, got an empty file: ${path}`);
    if (info.size > largestFileBytes) {
      throw InvalidArgument.at(
        field,
        `expected at most ${largestFileBytes / 1024 ** 3} GiB, got ${(info.size / 1024 ** 3).toFixed(1)} GiB: split ${path} into several files`,
      );
    }
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/**
 * Strict UTF-8 (a byte order mark is dropped).
 * @throws InvalidArgument when the bytes are binary or in another encoding.
 */
export function decode(bytes: Uint8Array, path: string, field: string): string {
  if (bytes.subarray(0, 65536).includes(0)) {
    throw InvalidArgument.at(field, `expected text, got a binary file: ${path}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw InvalidArgument.at(
      field,
      `expected UTF-8, got bytes of another encoding: convert ${path} first (for example with iconv)`,
      { cause },
    );
  }
}
