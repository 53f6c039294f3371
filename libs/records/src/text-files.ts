/** Small text formats: decoded strictly, split into lines or CSV rows. */
import { InvalidArgument } from '@emotune/base';
import { parse } from 'csv-parse/sync';

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
