import { fileURLToPath } from 'node:url';
import { InvalidArgument, show } from '@emotune/base';
import { FolderStore } from './folder-store.js';
import type { ObjectStore } from './store.js';

/** Of the URLs that `openObjectStore` takes. */
export const storeSchemes: readonly string[] = ['file'];

/**
 * The store at a URL: `file:///absolute/folder`.
 * @throws InvalidArgument for another scheme; FailedPrecondition, ResourceExhausted when it cannot be written.
 */
export async function openObjectStore(url: string): Promise<ObjectStore> {
  // Other parts of a URL may hold a password.
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined || !storeSchemes.includes(scheme))
    throw InvalidArgument.at(
      'objects',
      `expected the URL of a supported store (file:///folder), got ${scheme ? `scheme "${scheme}"` : 'no URL'}`,
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
