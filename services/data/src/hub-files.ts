/** Which files of a data set's repository are read, and which split each is. Pure. */
import { dirname, extname } from 'node:path';
import type { Split } from '@emotune/affect';
import { FailedPrecondition, NotFound } from '@emotune/base';
import { type HubId, hubIdText } from '@emotune/hub';
import { Pattern, Steps } from '@emotune/text';

/** The same rows may lie in several formats: the first of these that is there is read. */
const formats = ['.parquet', '.jsonl', '.csv', '.tsv'];

/** As Hugging Face tells splits by the names of files and folders. */
const splitNames: readonly (readonly [RegExp, Split])[] = [
  [/(?:^|[^a-z])(?:train|training)(?:[^a-z]|$)/i, 'train'],
  [/(?:^|[^a-z])(?:validation|valid|val|dev)(?:[^a-z]|$)/i, 'validation'],
  [/(?:^|[^a-z])(?:test|testing|eval|evaluation)(?:[^a-z]|$)/i, 'test'],
];

/** Null where the path tells none. */
export function splitOfPath(path: string): Split | null {
  return splitNames.find(([pattern]) => pattern.test(path))?.[1] ?? null;
}

/** A file's path in which `*` stands for anything within a folder, and `**` for anything. @throws InvalidArgument */
function matcher(pattern: string): (path: string) => boolean {
  const source = pattern
    .split(/(\*\*|\*)/)
    .map((part) =>
      part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[.+?^${}()|[\]\\#\-&]/g, '\\$&'),
    )
    .join('');
  const whole = Pattern.parse(source, 'source', (path) => `\\A(?m:${path})\\z`);
  return (path) => whole.test(path, Steps.of(path.length));
}

const listed = (paths: readonly string[]): string =>
  paths.length === 0
    ? 'none'
    : `${paths.slice(0, 10).join(', ')}${paths.length > 10 ? ` and ${paths.length - 10} more` : ''}`;

/**
 * The files that a name chooses after its colon, else all of one format, of one folder where several hold the same splits.
 * @throws NotFound, FailedPrecondition when there are none, or nobody can tell which.
 */
export function dataFiles(id: HubId): (paths: readonly string[]) => string[] {
  return (paths) => {
    const what = hubIdText(id);
    const readable = paths.filter((path) => formats.includes(extname(path).toLowerCase()));
    if (id.file !== undefined) {
      const chosen = readable.filter(matcher(id.file));
      if (chosen.length > 0) return chosen;
      throw new NotFound(
        `${what}: expected files of ${formats.join(', ')} of that name, got ${listed(readable)}`,
      );
    }
    const format = formats.find((ending) => readable.some((path) => extname(path).toLowerCase() === ending));
    const all = readable.filter((path) => extname(path).toLowerCase() === format);
    if (all.length === 0)
      throw new NotFound(
        `${what}: expected files of ${formats.join(', ')} in the repository, got ${listed(paths)}`,
      );
    const split = all.filter((path) => splitOfPath(path) !== null);
    const files = split.length > 0 ? split : all;
    const folders = [...new Set(files.map((path) => dirname(path)))];
    const foldersOf = (of: Split | null) =>
      new Set(files.filter((path) => splitOfPath(path) === of).map((path) => dirname(path)));
    const several = [null, 'train', 'validation', 'test'] as const;
    if (several.some((of) => foldersOf(of).size > 1))
      throw new FailedPrecondition(
        `${what}: the repository has several data sets, in ${listed(folders)}; name the files of one, as hf:datasets/${id.repo}@${id.revision}:${folders[0]}/*`,
      );
    return files;
  };
}
