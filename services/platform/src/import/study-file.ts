/** Files that hold a search of another program: an SQLite database of Optuna, or CSV. */
import { open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { InvalidArgument, NotFound } from '@emotune/base';
import { csvRows } from '@emotune/records';
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

function rowsOf(text: string, path: string): Record<string, string>[] {
  try {
    return csvRows(text);
  } catch (cause) {
    throw InvalidArgument.at(
      '--file',
      `expected an SQLite database or CSV with a header, got ${path} (${(cause as Error).message})`,
      { cause },
    );
  }
}

/**
 * @param name Of the study, where a database holds several.
 * @throws NotFound, InvalidArgument or FailedPrecondition naming what is wrong with it.
 */
export async function readStudy(path: string, name?: string): Promise<Study> {
  if (await isSqlite(path)) return readOptunaStudy(path, name);
  return studyOfRows(rowsOf(await readFile(path, 'utf8'), path), basename(path));
}
