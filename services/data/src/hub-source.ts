/** Rows of a data set of the Hugging Face Hub: the files of its repository, read as those of the user's own. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceExample } from '@emotune/affect';
import { sha256 } from '@emotune/base';
import { classNamesOfCard } from '@emotune/hub';
import { checkUserFile, expectFits, type FileContent, readUserFile } from '@emotune/records';
import type { FetchedHub } from './fetch.js';
import { splitOfPath } from './hub-files.js';
import type { LoadedSource } from './loaded-source.js';
import type { PlannedHub } from './spec.js';

function contentOf(path: string, bytes: number): FileContent {
  return {
    bytes,
    async *read(from = 0) {
      if (from < bytes) yield* createReadStream(path, { start: from });
    },
  };
}

/**
 * Files whose path tells a split are in it, unless the source says another.
 * @throws InvalidArgument with every bad row.
 */
export async function loadHub(
  { file }: PlannedHub,
  field: string,
  snapshot: FetchedHub,
): Promise<LoadedSource> {
  const licence = file.licence === 'unknown' ? snapshot.licence || file.licence : file.licence;
  const files = snapshot.files.filter(({ path }) => path !== 'README.md');
  const card = await readFile(join(snapshot.folder, 'README.md'), 'utf8').catch(() => '');
  const labelNames = classNamesOfCard(card).get(file.columns.label);
  const examples: SourceExample[] = [];
  let [rows, textBytes] = [0, 0];
  for (const { path, bytes } of files) {
    const split = file.split ?? splitOfPath(path);
    const own = { ...file, path, licence, split, ...(labelNames ? { labelNames } : {}) };
    const content = contentOf(join(snapshot.folder, path), bytes);
    const at = `${field}.file (${path})`;
    const held = await checkUserFile(own, content, at);
    rows += held.rows;
    textBytes += held.textBytes;
    expectFits({ rows, textBytes }, at);
    const read = await readUserFile(own, content, at);
    // Rows of several files may have the same ids.
    for (const example of read)
      examples.push(
        files.length === 1
          ? example
          : {
              ...example,
              id: `${file.name}/${path}:${example.originalId}`,
              originalId: `${path}:${example.originalId}`,
            },
      );
  }
  return {
    name: file.name,
    licence,
    url: snapshot.url,
    sha256: files.length === 1 ? files[0].sha256 : sha256(files.map((one) => one.sha256).join('')),
    examples,
  };
}
