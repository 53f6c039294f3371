/** Creates that may be repeated: the same request id does the work once. */
import { canonicalJson, InvalidArgument, sha256 } from '@emotune/base';
import type { Sql } from '@emotune/database';

/** A migration that each service with creates has. */
export const requestTable = `create table requests (
  method text not null,
  id text not null,
  fingerprint text not null,
  resource text not null,
  created_at timestamptz not null default now(),
  primary key (method, id)
)`;

/** After a resource was deleted, a request that made it may make it again. */
export async function forget(
  sql: Sql,
  { method, resource }: { readonly method: string; readonly resource: string },
): Promise<void> {
  await sql.query('delete from requests where method = $1 and resource = $2', [method, resource]);
}

const longestId = 200;

/**
 * The name of the resource that the request made, now or when it came first. An empty id is never remembered.
 * @throws InvalidArgument when the id was used for another request.
 */
export async function once(
  sql: Sql,
  request: { readonly method: string; readonly id: string; readonly body: unknown },
  make: () => Promise<string>,
): Promise<string> {
  const { method, id } = request;
  if (id === '') return make();
  if (id.length > longestId)
    throw InvalidArgument.at('requestId', `expected at most ${longestId} characters, got ${id.length}`);
  const fingerprint = sha256(canonicalJson(request.body));
  const [known] = await sql.query<{ fingerprint: string; resource: string }>(
    'select fingerprint, resource from requests where method = $1 and id = $2',
    [method, id],
  );
  if (known) {
    if (known.fingerprint !== fingerprint)
      throw InvalidArgument.at('requestId', `expected a fresh id, got one that made ${known.resource}`);
    return known.resource;
  }
  const resource = await make();
  await sql.query('insert into requests (method, id, fingerprint, resource) values ($1, $2, $3, $4)', [
    method,
    id,
    fingerprint,
    resource,
  ]);
  return resource;
}
