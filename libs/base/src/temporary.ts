/** Temporary folders that tell whose they are, so that those of killed processes are known. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type TemporaryKind = 'build' | 'checkpoint' | 'dataset' | 'evaluation' | 'features' | 'trainer';

/** What `mkdtemp` is to be given for a folder of this process. */
export function temporaryPrefix(kind: TemporaryKind): string {
  return join(tmpdir(), `emotune-${kind}-${process.pid}-`);
}

/** The process that has made the folder of this name; undefined for one that was not named by `temporaryPrefix`. */
export function temporaryOwner(name: string): number | undefined {
  const pid = /^emotune-(?:build|checkpoint|dataset|evaluation|features|trainer)-(\d+)-[A-Za-z0-9]{6}$/.exec(
    name,
  )?.[1];
  return pid === undefined ? undefined : Number(pid);
}
