/** Content addresses: the same value has the same hash whatever the order of its keys. */
import { createHash } from 'node:crypto';
import { type OpenOptions, openRegularFile, piecesOf } from './regular-file.js';

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(sorted);
  if ('toJSON' in value && typeof value.toJSON === 'function') return sorted(value.toJSON());
  // Alike objects get one shape so, which pairs of a list would not give them.
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    const inner = sorted((value as Record<string, unknown>)[key]);
    if (key === '__proto__') Object.defineProperty(copy, key, { value: inner, enumerable: true });
    else copy[key] = inner;
  }
  return copy;
}

/** JSON with sorted keys and without undefined fields. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value));
}

/** Lower-case hexadecimal SHA-256. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** The same of a file's content, which may be larger than memory. @throws as `openRegularFile`. */
export async function sha256OfFile(path: string, options?: OpenOptions): Promise<string> {
  const hash = createHash('sha256');
  const { handle } = await openRegularFile(path, options);
  try {
    for await (const piece of piecesOf(handle, path)) hash.update(piece);
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}
