/** Small files below a prefix, as text. */
import { NotFound } from '@emotune/base';
import type { ObjectStore } from './store.js';

/** Reads a file by its name; undefined where there is none. */
export function textsBelow(
  objects: ObjectStore,
  prefix: string,
): (name: string) => Promise<string | undefined> {
  return async (name) => {
    try {
      return new TextDecoder().decode(await objects.get(`${prefix}/${name}`));
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      throw error;
    }
  };
}
