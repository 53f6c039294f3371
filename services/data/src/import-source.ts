/** Rows of a data set in the format of its owners, from files that the user has: they are small, and held. */
import { decoded, InvalidArgument, sha256 } from '@emotune/base';
import { type ObjectStore, openRowFile } from '@emotune/objects';
import { Import, type ImportedFile } from './importers/importer.js';
import type { LoadedSource } from './loaded-source.js';
import type { PlannedImport } from './spec.js';

/** Of all files of an import. */
const mostBytes = 2 ** 29;

async function textOf(objects: ObjectStore, upload: PlannedImport['uploads'][number], at: string) {
  const { bytes, read } = await openRowFile(objects, upload, at);
  if (bytes > mostBytes)
    throw InvalidArgument.at(at, `expected files of at most ${mostBytes / 2 ** 20} MiB together, got more`);
  const pieces: string[] = [];
  for await (const piece of decoded(read(), at)) pieces.push(piece);
  return { bytes, text: pieces.join('') };
}

/**
 * @throws FailedPrecondition when the content of a file is gone; InvalidArgument with the rows that cannot be read, where no file is of the
 *   format, and for archives, which are unpacked first.
 */
export async function loadImport(
  { importer, uploads, name, licence }: PlannedImport,
  field: string,
  objects: ObjectStore,
): Promise<LoadedSource> {
  const at = `${field}.import`;
  const files: ImportedFile[] = [];
  let all = 0;
  for (const upload of uploads) {
    if (/\.(zip|tar|tgz|gz|bz2|xz|7z)$/i.test(upload.name))
      throw InvalidArgument.at(
        at,
        `expected files or a folder, got the archive ${upload.name}: unpack it first`,
      );
    // What else lies in a folder of text files may be anything.
    if (!/\.(txt|tsv|csv|jsonl?)$/i.test(upload.name)) continue;
    const { bytes, text } = await textOf(objects, upload, `${at} (${upload.name})`);
    all += bytes;
    if (all > mostBytes)
      throw InvalidArgument.at(at, `expected files of at most ${mostBytes / 2 ** 20} MiB together, got more`);
    files.push({ path: upload.name, text });
  }
  const into = new Import(name, licence, at);
  importer.read(files, into);
  into.end(importer, files);
  const { examples, skipped } = into;
  return {
    name: into.name,
    licence: into.licence,
    url: importer.url,
    sha256: uploads.length === 1 ? uploads[0].sha256 : sha256(uploads.map((one) => one.sha256).join('')),
    skipped,
    ...(importer.notice === undefined ? {} : { notice: `${name}: ${importer.notice}` }),
    async *examples() {
      yield* examples;
    },
  };
}
