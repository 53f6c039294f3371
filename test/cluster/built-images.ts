/** The images of the project, for a test. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../deploy/images.mjs', import.meta.url));

/** Builds them, or those of some services, into the folder. @returns their archives */
export async function buildImages(folder: string, ...services: readonly string[]): Promise<string[]> {
  await promisify(execFile)(process.execPath, [script, '--out', folder, ...services]);
  return archivesIn(folder);
}

/** All of them: of the folder that EMOTUNE_TEST_IMAGES names, else built into this one. */
export async function readyImages(folder: string): Promise<string[]> {
  const ready = process.env['EMOTUNE_TEST_IMAGES'];
  return ready === undefined ? buildImages(folder) : archivesIn(ready);
}

async function archivesIn(folder: string): Promise<string[]> {
  const files = await readdir(folder);
  return files.filter((file) => file.endsWith('.tar')).map((file) => join(folder, file));
}
