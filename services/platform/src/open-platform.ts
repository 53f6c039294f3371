/** The platform of a data folder, for commands: one that runs already, or one that is started in this process. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import type { Io, OpenOptions } from '@emotune/cli';
import { jsonLog, type Log } from '@emotune/service/client';
import type { Platform, PlatformOptions } from './platform.js';
import { runningPlatform } from './running-platform.js';

/** A command that uses the data folder for a moment is waited for this long. */
const turnMs = 15_000;
const lookMs = 100;

interface OpenPlatformOptions extends OpenOptions, Omit<PlatformOptions, 'dataDir' | 'work'> {}

/** Starts the platform of the data folder; gives the host:port of the one that serves it already. */
export async function openPlatform({
  env,
  signal,
  ...options
}: OpenPlatformOptions): Promise<Platform | string> {
  const corporaDir = env['EMOTUNE_CORPORA'] || undefined;
  for (let deadline: number | undefined; ; await systemClock.sleep(lookMs, signal)) {
    const address = await runningPlatform(options.dataDir);
    signal.throwIfAborted();
    if (address !== undefined) return address;
    // Only where none runs. Services take seconds to load on a busy machine: that is no part of the turn.
    const { startPlatform } = await import('./platform.js');
    const { ClusterInUse } = await import('@emotune/database');
    deadline ??= systemClock.now() + turnMs;
    try {
      return await startPlatform({ corporaDir, ...options });
    } catch (error) {
      if (!(error instanceof ClusterInUse) || systemClock.now() > deadline) throw error;
    }
  }
}

/** The log of a platform that a command runs, and where it lies. */
export function logInto(dataDir: string): { log: Log; logFile: string } {
  const logFile = join(dataDir, 'platform.log');
  const write = (line: string) => {
    try {
      appendFileSync(logFile, line, { mode: 0o600 });
    } catch {
      // A full disk costs the log, not the command.
    }
  };
  return { logFile, log: jsonLog(write) };
}

/** For commands that need a platform only to ask it. */
export const embedded: Io['openPlatform'] = async (options) => {
  const { log, logFile } = logInto(options.dataDir);
  const platform = await openPlatform({ ...options, log });
  return typeof platform === 'string' ? platform : { ...platform, logFile };
};
