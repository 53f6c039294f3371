/** From a YAML file to what a service made of it. */
import { AlreadyExists, InvalidArgument, NotFound, systemClock, Unavailable } from '@emotune/base';
import { common } from '@emotune/proto';
import { specOf } from '@emotune/service/spec';
import type { Session } from '../session.js';
import { readYamlFile } from '../yaml-file.js';

/** @throws InvalidArgument with every violation. */
export async function readSpec<T>(session: Session, file: string, typeName: string): Promise<T> {
  return specOf(await readYamlFile(session.path(file), file), typeName, file) as T;
}

/** Sends a spec; what the service finds wrong is told by its path in the file. */
export async function submit<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    for (const named of [NotFound, AlreadyExists])
      if (error instanceof named) throw new named(error.message.replace(/^spec\./, ''), { cause: error });
    if (!(error instanceof InvalidArgument)) throw error;
    throw new InvalidArgument(
      error.violations.map(({ field, description }) => ({
        field: field.replace(/^spec\./, '').replace(/\bfile\.upload(\.name)?\b/, 'file.path'),
        description,
      })),
      { cause: error },
    );
  }
}

interface Built {
  readonly name: string;
  readonly state: common.BuildState;
  readonly failure: string;
  /** The same request may succeed later. */
  readonly retryable?: boolean;
  readonly progress: common.Progress | undefined;
}

/** What is built in the background will never be ready. */
export class BuildFailed extends Error {}

const { BUILD_STATE_READY, BUILD_STATE_FAILED } = common.BuildState;
const pollMs = 250;

/** Looks until what is built in the background is ready or has failed. `nameOf` says what is waited for. */
export async function untilEnded<T extends Omit<Built, 'name' | 'retryable'>>(
  { progress, signal }: Pick<Session, 'progress' | 'signal'>,
  nameOf: (found: T) => string,
  look: () => Promise<T>,
): Promise<T> {
  try {
    for (;;) {
      const found = await look();
      if (found.state === BUILD_STATE_READY || found.state === BUILD_STATE_FAILED) return found;
      const { phase, done, total, unit } = found.progress ?? { phase: '', done: 0, total: 0, unit: '' };
      progress.update(`${nameOf(found)}: ${phase || 'waiting'}`, done, total, unit);
      await systemClock.sleep(pollMs, signal);
    }
  } finally {
    progress.end();
  }
}

/** Looks until it is ready. @throws BuildFailed; Unavailable when the failure is of the moment. */
export async function untilBuilt<T extends Built>(
  session: Session,
  what: string,
  look: () => Promise<T>,
): Promise<T> {
  const found = await untilEnded(session, ({ name }) => `${what} ${name}`, look);
  if (found.state === BUILD_STATE_READY) return found;
  throw new (found.retryable ? Unavailable : BuildFailed)(`${what} ${found.name} failed: ${found.failure}`);
}
