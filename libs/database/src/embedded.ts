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
}

export interface EmbeddedPostgres {
  readonly url: string;
  /** Process id of the server. */
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

function readVersion(data: string): string {
  try {
    return readFileSync(join(data, 'PG_VERSION'), 'utf8').trim();
  } catch (cause) {
    throw new FailedPrecondition(
      `expected a PostgreSQL cluster in ${data}, got a folder without PG_VERSION; restore it from a copy, ` +
        'or move it away to begin with an empty one',
      { cause },
    );
  }
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

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Resolves when the server takes connections; rejects with the end of its log when it ends before. */
async function untilReady(child: ChildProcess, data: string, log: string): Promise<void> {
  for (let waited = 0; ; waited += 0.02) {
    if (hasExited(child)) throw new Error(endOf(readFileSync(log, 'utf8').trim(), 500));
    const postmaster = readPostmaster(data);
    if (postmaster?.pid === child.pid && postmaster?.state === 'ready') return;
    if (waited > startSeconds) throw new Unavailable(`PostgreSQL did not start within ${startSeconds} s`);
    await delay(20);
  }
}

async function startServer(
  dir: string,
  port: number,
  binaries: Binaries,
  as: ServerUser,
  durable: boolean,
): Promise<ChildProcess> {
  const data = join(dir, 'data');
  const logFile = join(dir, 'server.log');
  const all = {
    ...settings,
    ...(durable ? {} : unsafeSettings),
    port: String(port),
    cluster_name: ownerMark(process.pid),
  };
  // A file, not a pipe: the server must not wait for this process to read, and outlives it when it is killed.
  const log = openSync(logFile, 'w', 0o600);
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = startProgram(binaries.postgres, ['-D', `${folderName(dir, as)}/data`, ...args], as, dir, log);
  closeSync(log);
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  try {
    await untilReady(child, data, logFile);
  } catch (error) {
    child.kill('SIGQUIT');
    throw error;
  }
  return child;
}

/**
 * Starts the server on the cluster in `dir`, which is made when missing. It ends with this process; one that a killed
 * process left behind on this cluster is ended first.
 * @throws ClusterInUse; FailedPrecondition when the folder cannot be written, is damaged or of another PostgreSQL version,
 * or when this platform's package is missing; Unavailable when the port is taken; ResourceExhausted when the disk is full.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { durable = true } = options;
  const as = serverUser();
  let dir = resolve(options.dir);
  let unlock: () => void;
  try {
    mkdirSync(dir, { recursive: true });
    dir = realpathSync(dir);
    if (as.uid !== undefined) chownSync(dir, as.uid, as.gid!);
    unlock = lockStart(dir);
  } catch (cause) {
    throw cause instanceof ClusterInUse ? cause : startFailure(dir, cause as Error);
  }
  try {
    return await startIn(dir, as, durable, options.port);
  } finally {
    unlock();
  }
}

async function startIn(
  dir: string,
  as: ServerUser,
  durable: boolean,
  askedPort: number | undefined,
): Promise<EmbeddedPostgres> {
  const data = join(dir, 'data');
  const binaries = await findBinaries(as);
  await stopOrphan(data);
  if (!existsSync(data)) {
    await createCluster(dir, binaries, as, durable).catch((cause) => {
      throw startFailure(dir, cause);
    });
  }
  const version = readVersion(data);
  if (version !== binaries.version) {
    throw new FailedPrecondition(
      `The database in ${data} was made by PostgreSQL ${version}, this is PostgreSQL ${binaries.version}; ` +
        'run the version of EmoTune that made it, or move the folder away to begin with an empty one',
    );
  }

  let port = 0;
  let server: ChildProcess | undefined;
  for (let attempt = 1; server === undefined; attempt++) {
    port = await freePort(askedPort ?? 0);
    server = await startServer(dir, port, binaries, as, durable).catch((cause) => {
      // Another program took the free port in between.
      if (/could not bind/.test(cause.message) && attempt < portAttempts) return undefined;
      throw cause instanceof Unavailable ? cause : startFailure(dir, cause);
    });
  }
  return running(server, `postgres://${user}:${readPassword(data)}@127.0.0.1:${port}/postgres`);
}

function readPassword(data: string): string {
  return readFileSync(join(data, 'emotune.password'), 'utf8');
}

function running(server: ChildProcess, url: string): EmbeddedPostgres {
  const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const killAtExit = () => server.kill('SIGQUIT');
  process.once('exit', killAtExit);
  return {
    url,
    pid: server.pid!,
    async stop() {
      process.removeListener('exit', killAtExit);
      // SIGINT: end sessions, write everything, stop.
      if (!hasExited(server)) server.kill('SIGINT');
      else return;
      await exited;
    },
  };
}
