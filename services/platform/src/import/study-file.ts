/** Files that hold a search of another program: an SQLite database of Optuna, or CSV. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { decoded, InvalidArgument, NotFound } from '@emotune/base';
import { csvRows, type TextRow } from '@emotune/records';
import { readOptunaStudy, type Study, studyOfRows } from '@emotune/search';

const sqliteMagic = 'SQLite format 3\0';

async function isSqlite(path: string): Promise<boolean> {
  const file = await open(path).catch((cause) => {
    throw new NotFound(`--file: expected a readable file, got ${path} (${cause.code ?? cause.message})`, {
      cause,
    });
  });
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(sqliteMagic.length), position: 0 });
    return buffer.toString('latin1', 0, bytesRead) === sqliteMagic;
  } catch (cause) {
    throw InvalidArgument.at('--file', `expected a file, got ${path}`, { cause });
  } finally {
    await file.close();
  }
}

async function rowsOf(path: string): Promise<TextRow[]> {
  let text = '';
  for await (const piece of decoded(createReadStream(path), '--file')) text += piece;
  return csvRows(text, '--file');
}

/**
 * @param name Of the study, where a database holds several.
 * @throws NotFound, InvalidArgument or FailedPrecondition naming what is wrong with it.
 */
export async function readStudy(path: string, name?: string): Promise<Study> {
  if (await isSqlite(path)) return readOptunaStudy(path, name);
  return studyOfRows(await rowsOf(path), basename(path));
}
