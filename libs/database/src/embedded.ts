/** A real PostgreSQL server as a child process, from npm packages alone. */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endOf, FailedPrecondition, ResourceExhausted, Unavailable } from '@emotune/base';
import { type Binaries, findBinaries } from './binaries.js';
import { hasExited, KeptServer, type ServerNews } from './kept-server.js';
import { ClusterInUse, ownerMark, readPostmaster, stopOrphan } from './postmaster.js';
import { folderName, runProgram, type ServerUser, serverUser, startProgram } from './programs.js';
import { lockStart } from './start-lock.js';

export interface EmbeddedPostgresOptions {
  /** Holds the cluster (data/, with its password) and server.log; made when missing. */
  readonly dir: string;
  /** On 127.0.0.1; a free one when missing. */
  readonly port?: number;
  /** False trades safety against power loss for speed: for tests. Default true. */
  readonly durable?: boolean;
  /** Hears of it when the server ends by itself, and when it is back. */
  readonly tell?: (news: ServerNews) => void;
}

export interface EmbeddedPostgres {
  readonly url: string;
  /** Process id of the server, which changes when it is started again. */
  readonly pid: number;
  stop(): Promise<void>;
}

const user = 'emotune';
const startSeconds = 120;
const portAttempts = 5;

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '32MB',
  // The processor is the trainers'.
  max_parallel_workers_per_gather: '0',
  // Clients hear of their errors; the log is for the server's own.
  log_min_messages: 'log',
  log_checkpoints: 'off',
};
const unsafeSettings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/** Names what a failed start or file operation means and what to do about it. */
function startFailure(dir: string, cause: Error): Error {
  const { message } = cause;
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT' || /no space left|quota exceeded/i.test(message)) {
    return new ResourceExhausted(`No space is left for the database in ${dir}; free some`, { cause });
  }
  if (/lock file ".*" already exists/.test(message)) {
    return new ClusterInUse(
      `The database in ${dir} is in use by another process; stop that first, or choose another data folder`,
      { cause },
    );
  }
  if (code !== undefined || /permission denied|read-only file system/i.test(message)) {
    return new FailedPrecondition(
      `expected a data folder that can be written, got ${dir} (${code ?? message}); make it writable or choose another`,
      { cause },
    );
  }
  return new FailedPrecondition(
    `The database in ${dir} does not start: ${message}; restore the folder from a copy, ` +
      'or move it away to begin with an empty one',
    { cause },
  );
}

/** Makes the cluster beside its place first, so that it is there whole or not at all. */
async function createCluster(dir: string, binaries: Binaries, as: ServerUser, durable: boolean) {
  const fresh = join(dir, 'data.new');
  const passwordFile = join(dir, 'data.password');
  const inside = folderName(dir, as);
  rmSync(fresh, { recursive: true, force: true });
  try {
    writeFileSync(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 });
    if (as.uid !== undefined) chownSync(passwordFile, as.uid, as.gid!);
    await runProgram(
      binaries.initdb,
      [
        '-D',
        `${inside}/data.new`,
        '-U',
        user,
        '--auth=scram-sha-256',
        `--pwfile=${inside}/data.password`,
        '-E',
        'UTF8',
        '--locale=C',
        ...(durable ? [] : ['--no-sync']),
      ],
      as,
      dir,
    );
    renameSync(passwordFile, join(fresh, 'emotune.password'));
    renameSync(fresh, join(dir, 'data'));
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
}

function checkVersion(data: string, binaries: Binaries): void {
  let version: string;
  try {
    version = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim();
  } catch (cause) {
    throw new FailedPrecondition(
      `expected a PostgreSQL cluster in ${data}, got a folder without PG_VERSION; restore it from a copy, ` +
        'or move it away to begin with an empty one',
      { cause },
    );
  }
  if (version === binaries.version) return;
  throw new FailedPrecondition(
    `The database in ${data} was made by PostgreSQL ${version}, this is PostgreSQL ${binaries.version}; ` +
      'run the version of EmoTune that made it, or move the folder away to begin with an empty one',
  );
}

/** @throws Unavailable when something else listens there. */
function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const what = cause.code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${cause.code})`;
      reject(new Unavailable(`Port ${port} for PostgreSQL ${what}; choose another`, { cause }));
    });
    server.listen(port, '127.0.0.1', () => {
      const address = server.address() as { port: number };
      server.close(() => resolve(address.port));
    });
  });
}

const logFile = (dir: string) => join(dir, 'server.log');

/** What it tells clients that come while it starts or stops. */
const refusal = /FATAL: +the database system is |DETAIL: +Consistent recovery state/;

/** Why the server ended, by its log; empty where there is none. The same each time that it ends for the same reason. */
function lastWords(dir: string): string {
  let log = '';
  try {
    log = readFileSync(logFile(dir), 'utf8').trim();
  } catch {}
  const lines = log
    .split('\n')
    .filter((line) => !refusal.test(line))
    .map((line) => line.replace(/^[-0-9]+ [:.0-9]+ [A-Z]+ \[\d+\] /, ''));
  const fatal = lines.filter((line) => /^(FATAL|PANIC):/.test(line));
  return endOf((fatal.length > 0 ? fatal : lines).join('\n'), 500);
}

/** Resolves when the server takes connections; rejects with the end of its log when it ends before. */
async function untilReady(child: ChildProcess, dir: string, signal: AbortSignal): Promise<void> {
  for (let waited = 0; ; waited += 0.02) {
    if (hasExited(child)) throw new Error(lastWords(dir));
    const postmaster = readPostmaster(join(dir, 'data'));
    if (postmaster?.pid === child.pid && postmaster?.state === 'ready') return;
    if (waited > startSeconds) throw new Unavailable(`PostgreSQL did not start within ${startSeconds} s`);
    await delay(20, undefined, { signal });
  }
}

async function startServer(
  dir: string,
  port: number,
  binaries: Binaries,
  as: ServerUser,
  durable: boolean,
  signal: AbortSignal,
): Promise<ChildProcess> {
  const all = {
    ...settings,
    ...(durable ? {} : unsafeSettings),
    port: String(port),
    cluster_name: ownerMark(process.pid),
  };
  // A file, not a pipe: the server must not wait for this process to read, and outlives it when it is killed.
  const log = openSync(logFile(dir), 'w', 0o600);
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = startProgram(binaries.postgres, ['-D', `${folderName(dir, as)}/data`, ...args], as, dir, log);
  closeSync(log);
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  try {
    await untilReady(child, dir, signal);
  } catch (error) {
    child.kill('SIGQUIT');
    throw error;
  }
  return child;
}

/** The folder by its real name; made when missing, and the server's own. */
function ownFolder(path: string, as: ServerUser): string {
  try {
    mkdirSync(path, { recursive: true });
    const dir = realpathSync(path);
    if (as.uid !== undefined) chownSync(dir, as.uid, as.gid!);
    return dir;
  } catch (cause) {
    throw startFailure(path, cause as Error);
  }
}

/** @throws ClusterInUse while another process starts a server there. */
async function alone<T>(dir: string, work: () => Promise<T>): Promise<T> {
  let unlock: () => void;
  try {
    unlock = lockStart(dir);
  } catch (cause) {
    throw cause instanceof ClusterInUse ? cause : startFailure(dir, cause as Error);
  }
  try {
    return await work();
  } finally {
    unlock();
  }
}

async function startOnPort(
  dir: string,
  asked: number | undefined,
  binaries: Binaries,
  as: ServerUser,
  durable: boolean,
  signal: AbortSignal,
): Promise<{ child: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(asked ?? 0);
    try {
      return { child: await startServer(dir, port, binaries, as, durable, signal), port };
    } catch (error) {
      const cause = error as Error;
      // Another program took the free port in between.
      if (/could not bind/.test(cause.message) && attempt < portAttempts) continue;
      throw cause instanceof Unavailable ? cause : startFailure(dir, cause);
    }
  }
}

function readPassword(data: string): string {
  const path = join(data, 'emotune.password');
  let password = '';
  try {
    password = readFileSync(path, 'utf8').trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw startFailure(data, cause as Error);
  }
  if (/^[0-9a-f]+$/.test(password)) return password;
  throw new FailedPrecondition(
    `expected the password of the database in ${path}, got ${password === '' ? 'nothing' : 'something else'}; ` +
      'restore the file from a copy of the data folder, or move the folder away to begin with an empty one',
  );
}

/**
 * Starts the server on the cluster in `dir`, which is made when missing. It ends with this process; one that a killed
 * process left behind on this cluster is ended first. One that ends by itself is started again on its port, after growing
 * pauses, until it is stopped: what was committed is there, connections are to be made anew.
 * @throws ClusterInUse; FailedPrecondition when the folder cannot be written, is damaged or of another PostgreSQL version,
 * has no password any more, or when this platform's package is missing; Unavailable when the port is taken;
 * ResourceExhausted when the disk is full.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { durable = true, tell = () => {} } = options;
  const as = serverUser();
  const dir = ownFolder(resolve(options.dir), as);
  const data = join(dir, 'data');
  const binaries = await findBinaries(as);
  let { port } = options;
  let url = '';
  const launch = async (signal: AbortSignal) => {
    await stopOrphan(data);
    // Only at first: a cluster that is taken away is not replaced by an empty one.
    if (url === '' && !existsSync(data)) {
      await createCluster(dir, binaries, as, durable).catch((cause) => {
        throw startFailure(dir, cause);
      });
    }
    checkVersion(data, binaries);
    const password = readPassword(data);
    const started = await startOnPort(dir, port, binaries, as, durable, signal);
    port = started.port;
    url = `postgres://${user}:${password}@127.0.0.1:${port}/postgres`;
    return started.child;
  };
  const server = await KeptServer.start({
    launch: (signal) => alone(dir, () => launch(signal)),
    lastWords: () => lastWords(dir),
    tell,
  });
  return {
    url,
    get pid() {
      return server.pid;
    },
    stop: () => server.stop(),
  };
}
