/** One process at a time makes and starts a server on a folder: two that do so at once would write into each other's files. */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '@emotune/base';
import { ClusterInUse } from './postmaster.js';

/** No start takes longer: what is older was left behind, whoever has its process id now. */
const longestMs = 180_000;

/** The process that holds the lock; undefined when nobody does. */
function holderOf(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    return Date.now() - statSync(path).mtimeMs < longestMs && isAlive(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Gives what unlocks. @throws ClusterInUse; errors of the file system as they are. */
export function lockStart(dir: string): () => void {
  const path = join(dir, 'starting');
  const holder = holderOf(path);
  if (holder === undefined) rmSync(path, { force: true });
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      // Made, but the disk is full.
      rmSync(path, { force: true });
      throw cause;
    }
    throw new ClusterInUse(`The database in ${dir} is being started by another process; try again`, {
      cause,
    });
  }
  return () => rmSync(path, { force: true });
}
