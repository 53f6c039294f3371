/** The images of the project, for a test. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds them, or those of some services, into the folder. @returns their archives */
export function buildImages(folder: string, ...services: readonly string[]): Promise<string[]> {
  return buildFrom(root, folder, ...services);
}

/** @param sources where the project lies of which they are */
async function buildFrom(sources: string, folder: string, ...services: readonly string[]): Promise<string[]> {
  const script = join(sources, 'deploy/images.mjs');
  await run(process.execPath, [script, '--out', folder, ...services], { maxBuffer: 1 << 28 });
  return archivesIn(folder);
}

interface Previous {
  readonly version: string;
  readonly commit: string;
}

/** The version before this one: what an upgrade starts from. */
export const previous: Previous = JSON.parse(readFileSync(join(root, 'deploy/previous.json'), 'utf8'));

/** Why its sources are not here. */
export async function withoutPrevious(): Promise<string | undefined> {
  const { version, commit } = previous;
  return run('git', ['-C', root, 'cat-file', '-e', `${commit}^{commit}`]).then(
    () => undefined,
    () => `version ${version} is commit ${commit}, which this checkout does not have (git fetch --unshallow)`,
  );
}

/** Its sources, in the folder. */
export async function previousSources(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const archive = join(folder, 'previous.tar');
  await run('git', ['-C', root, 'archive', '--output', archive, previous.commit]);
  await run('tar', ['-xf', archive, '-C', folder]);
  await rm(archive);
  return folder;
}

/** Its images: of the folder that EMOTUNE_TEST_PREVIOUS_IMAGES names, else built of its sources into this one. */
export async function previousImages(sources: string, folder: string): Promise<string[]> {
  const ready = process.env['EMOTUNE_TEST_PREVIOUS_IMAGES'];
  return ready === undefined ? buildFrom(sources, folder) : archivesIn(ready);
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
