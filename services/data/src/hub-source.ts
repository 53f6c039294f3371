/** Rows of a data set of the Hugging Face Hub: the files of its repository, read as those of the user's own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceExample } from '@emotune/affect';
import { openRegularFile, piecesOf, sha256 } from '@emotune/base';
import { classNamesOfCard } from '@emotune/hub';
import { checkUserFile, type FileContent, type Found, type UserFile, userExamples } from '@emotune/records';
import type { FetchedHub } from './fetch.js';
import { splitOfPath } from './hub-files.js';
import type { LoadedSource } from './loaded-source.js';
import type { PlannedHub } from './spec.js';

function contentOf(path: string, bytes: number): FileContent {
  return {
    bytes,
    async *read(from = 0) {
      if (from >= bytes) return;
      const { handle } = await openRegularFile(path);
      try {
        yield* piecesOf(handle, path, from);
      } finally {
        await handle.close();
      }
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
  const read: { own: UserFile; content: FileContent; at: string; found: Found }[] = [];
  for (const { path, bytes } of files) {
    const split = file.split ?? splitOfPath(path);
    const own = { ...file, path, licence, split, ...(labelNames ? { labelNames } : {}) };
    const content = contentOf(join(snapshot.folder, path), bytes);
    const at = `${field}.file (${path})`;
    read.push({ own, content, at, found: await checkUserFile(own, content, at) });
  }
  async function* examples(): AsyncGenerator<SourceExample> {
    for (const { own, content, at, found } of read)
      for await (const example of userExamples(own, content, at, found)) {
        // Rows of several files may have the same ids.
        const originalId = read.length === 1 ? example.originalId : `${own.path}:${example.originalId}`;
        const id = read.length === 1 ? example.id : `${file.name}/${originalId}`;
        yield { ...example, id, originalId };
      }
  }
  return {
    name: file.name,
    licence,
    url: snapshot.url,
    skipped: {},
    sha256: files.length === 1 ? files[0].sha256 : sha256(files.map((one) => one.sha256).join('')),
    examples,
  };
}
