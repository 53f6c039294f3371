import { DataLoss, NotFound } from '@emotune/base';
import type { ObjectStore } from './store.js';

/** Whether there are objects below a prefix, and all of them are what was put there; otherwise they are to be made again. */
export async function isWhole(objects: ObjectStore, prefix: string): Promise<boolean> {
  try {
    await (await objects.folder(prefix)).release();
    return true;
  } catch (error) {
    if (error instanceof DataLoss || error instanceof NotFound) return false;
    throw error;
  }
}
