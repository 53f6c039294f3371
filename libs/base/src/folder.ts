import { access, chmod, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it, with this mode or the umask's. Node's own way never ends where the system makes none at
 * all, as below /proc.
 */
export async function makeFolder(folder: string, mode?: number): Promise<void> {
  const make = () =>
    mkdir(folder).then(
      () => (mode === undefined ? undefined : chmod(folder, mode)),
      (error) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
  await make().catch(async (error) => {
    if (error.code !== 'ENOENT' || dirname(folder) === folder) throw error;
    await makeFolder(dirname(folder), mode);
    await make();
  });
}

/** Whether there is something at this path that this process can see. */
export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Waits until a file's content, or the names in a folder, would outlive a loss of power. */
export async function syncToDisk(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
