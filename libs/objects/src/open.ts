import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgument, show } from '@emotune/base';
import { FolderStore } from './folder-store.js';
import type { ObjectStore } from './store.js';

/** Of the URLs that `openObjectStore` takes. */
export const storeSchemes: readonly string[] = ['file', 's3'];

type Variables = Readonly<Record<string, string | undefined>>;

export const usualCacheMiB = 20_480;
/** How long a server may be away for work that nobody waits for at a terminal: trainers, builds. */
const usualPatienceMs = 600_000;

/** What of a process's environment those need that it starts, and that open the store by its URL: where, and who they are. */
export function storeVariables(environment: Variables): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        /^(AWS_|EMOTUNE_OBJECTS_CACHE_|EMOTUNE_S3_|NODE_EXTRA_CA_CERTS$)/.test(entry[0]),
    ),
  );
}

/** Outside of TMPDIR, which is another for every trainer and build. */
function usualCache(): string {
  return join(process.platform === 'win32' ? tmpdir() : '/tmp', `emotune-objects-${userInfo().uid}`);
}

/**
 * The store at a URL: `file:///absolute/folder`, or `s3://bucket/prefix`, of which `endpoint` and `region` may stand after a "?".
 * @param variables what the URL leaves open, and the folder of local copies
 * @param patienceMs how long a server may be away before what was asked of the store fails
 * @throws InvalidArgument for another URL; FailedPrecondition, ResourceExhausted when it cannot be used; Unavailable
 */
export async function openObjectStore(
  url: string,
  variables: Variables = process.env,
  patienceMs: number = usualPatienceMs,
): Promise<ObjectStore> {
  // Other parts of a URL may hold a password.
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === 's3') return openS3(url, variables, patienceMs);
  if (scheme !== 'file')
    throw InvalidArgument.at(
      'objects',
      `expected the URL of a supported store (file:///folder, s3://bucket/prefix), got ${scheme ? `scheme "${scheme}"` : 'no URL'}`,
    );
  let folder: string;
  try {
    folder = fileURLToPath(url);
  } catch (cause) {
    throw InvalidArgument.at('objects', `expected file:///folder on this machine, got ${show(url)}`, {
      cause,
    });
  }
  return FolderStore.open(folder);
}

async function openS3(url: string, variables: Variables, patienceMs: number): Promise<ObjectStore> {
  // Its client is loaded by those who need it.
  const [{ FolderCache }, { s3PlaceOf }, { S3Requests }, { S3Store }] = await Promise.all([
    import('./folder-cache.js'),
    import('./s3-place.js'),
    import('./s3-requests.js'),
    import('./s3-store.js'),
  ]);
  const place = s3PlaceOf(url, variables);
  const mib = Number(variables['EMOTUNE_OBJECTS_CACHE_MIB'] || usualCacheMiB);
  if (!(mib > 0))
    throw InvalidArgument.at('EMOTUNE_OBJECTS_CACHE_MIB', `expected a number above 0, got ${show(mib)}`);
  const folder = variables['EMOTUNE_OBJECTS_CACHE_DIR'] || usualCache();
  const cache = await FolderCache.open({ folder, limitBytes: mib * 2 ** 20 });
  return S3Store.open(new S3Requests(place, { patienceMs }), cache);
}
