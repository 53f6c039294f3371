/** What files of rows may hold. docs/files.md tells of each, and so does what is refused. */
import { InvalidArgument } from '@emotune/base';

/** Of a dataset, from all of its sources. */
export const mostRows = 20_000_000;
/** Of one text, in UTF-8. */
export const largestTextBytes = 2 ** 20;
/** Of an id or emotion. */
export const longestWord = 1_000;
/** Of one column in one row group of Parquet, unpacked: it is held in memory. */
export const largestColumnBytes = 2 ** 30;
/** The texts of a file may take so many times its size, and always so much: more is a file that was made to burst. */
const mostUnfolding = 200;
const alwaysUnfolded = 2 ** 30;

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6).toLocaleString('en')} MB`;
}

export function tooManyRows(field: string, got: number): InvalidArgument {
  return InvalidArgument.at(
    field,
    `expected at most ${mostRows.toLocaleString('en')} rows in a dataset, got ${got.toLocaleString('en')} or more: make several of them`,
  );
}

/** @throws InvalidArgument when the texts of a file take far more than the file. */
export function expectUnfolded(textBytes: number, fileBytes: number, field: string): void {
  const most = Math.max(alwaysUnfolded, mostUnfolding * fileBytes);
  if (textBytes <= most) return;
  throw InvalidArgument.at(
    field,
    `expected texts of at most ${megabytes(most)} (${mostUnfolding} times the file, and ${megabytes(alwaysUnfolded)} always), got more: ` +
      'a file of so many equal texts teaches nothing; write each once',
  );
}
