/** Long lists in pages, by the last key of the page before: rows that come or go in between shift nothing. */
import { InvalidArgument, textFault } from '@emotune/base';

const largest = 1000;
const usual = 50;

export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

function noToken(): InvalidArgument {
  return InvalidArgument.at('pageToken', 'expected the nextPageToken of an earlier answer');
}

/** How many rows to read, and after which key ('' is the start). @throws InvalidArgument */
export function pageOf(request: PageRequest): { limit: number; after: string } {
  const { pageSize, pageToken } = request;
  if (pageSize < 0 || pageSize > largest)
    throw InvalidArgument.at('pageSize', `expected 0 to ${largest}, got ${pageSize}`);
  const after = Buffer.from(pageToken, 'base64url').toString('utf8');
  if (Buffer.from(after, 'utf8').toString('base64url') !== pageToken || textFault(after) !== undefined)
    throw noToken();
  return { limit: pageSize === 0 ? usual : pageSize, after };
}

/** The same of rows whose key is a number of ours, from 0 on; undefined is the start. @throws InvalidArgument */
export function numberedPageOf(request: PageRequest): { limit: number; after: number | undefined } {
  const { limit, after } = pageOf(request);
  if (after === '') return { limit, after: undefined };
  const number = Number(after);
  // Written as we write it, and exact.
  if (!(Number.isSafeInteger(number) && number >= 0 && String(number) === after)) throw noToken();
  return { limit, after: number };
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
