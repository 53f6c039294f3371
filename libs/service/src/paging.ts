/** Long lists in pages, by the last key of the page before: rows that come or go in between shift nothing. */
import { InvalidArgument } from '@emotune/base';

const largest = 1000;
const usual = 50;

/** How many rows to read, and after which key ('' is the start). @throws InvalidArgument */
export function pageOf(request: { readonly pageSize: number; readonly pageToken: string }): {
  limit: number;
  after: string;
} {
  const { pageSize, pageToken } = request;
  if (pageSize < 0 || pageSize > largest)
    throw InvalidArgument.at('pageSize', `expected 0 to ${largest}, got ${pageSize}`);
  const after = Buffer.from(pageToken, 'base64url').toString('utf8');
  if (Buffer.from(after, 'utf8').toString('base64url') !== pageToken)
    throw InvalidArgument.at('pageToken', 'expected the nextPageToken of an earlier answer');
  return { limit: pageSize === 0 ? usual : pageSize, after };
}

/** Read limit + 1 rows, show `limit` of them: whether there are more decides the token. */
export function paged<Row>(
  rows: readonly Row[],
  limit: number,
  keyOf: (row: Row) => string,
): { shown: readonly Row[]; nextPageToken: string } {
  const shown = rows.slice(0, limit);
  const more = rows.length > limit;
  return { shown, nextPageToken: more ? Buffer.from(keyOf(shown[limit - 1])).toString('base64url') : '' };
}

/** Every row of a paged list, asked page by page. */
export async function everyPage<Reply extends { nextPageToken: string }, Row>(
  fetch: (pageToken: string) => Promise<Reply>,
  rowsOf: (reply: Reply) => readonly Row[],
): Promise<Row[]> {
  const rows: Row[] = [];
  let pageToken = '';
  do {
    const reply = await fetch(pageToken);
    rows.push(...rowsOf(reply));
    pageToken = reply.nextPageToken;
  } while (pageToken !== '');
  return rows;
}
