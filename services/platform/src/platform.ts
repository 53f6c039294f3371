/**
 * The platform on one machine: every service in this process over loopback gRPC, with a real PostgreSQL, a folder as
 * object store, an in-process bus and trainers as child processes. Everything it knows lies in one data folder, so a
 * later start, also after a kill, goes on where this one ended.
 */
import { chmod, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { closeToOthers, FailedPrecondition, makeFolder, systemClock } from '@emotune/base';
import { dataMigrations, dataModule } from '@emotune/data';
import { Database, type ServerNews, startEmbeddedPostgres } from '@emotune/database';
import { evaluationMigrations, evaluationModule, pageSettingsOf, studyVariables } from '@emotune/evaluation';
import { MemoryBus, PostgresLetters, standardRetry } from '@emotune/events';
import {
  augmentationSources,
  augmentationVariables,
  featurizationMigrations,
  featurizationModule,
} from '@emotune/featurization';
import { hubSettings } from '@emotune/hub';
import { inferenceMigrations, inferenceModule } from '@emotune/inference';
import { inherited, ProcessRunner } from '@emotune/jobs';
import { FolderStore } from '@emotune/objects';
import {
  buildLimits,
  type Channel,
  Host,
  type Log,
  limitsOf,
  limitVariables,
  readEnvironment,
  tracingVariables,
} from '@emotune/service';
import { importCheckpoint, makeToken, startTracing, tokenFile, type Work } from '@emotune/service/client';
import { tuningMigrations, tuningModule } from '@emotune/tuning';
import { z } from 'zod';
import { baseModels, modelsFolder } from './base-models.js';
import { type PlatformRecord, recordFile } from './running-platform.js';

export interface PlatformOptions {
  readonly dataDir: string;
  /** On 127.0.0.1; 0 or nothing takes a free one. */
  readonly port?: number;
  /** A folder of corpora as published. */
  readonly corporaDir?: string | undefined;
  /** May corpora be fetched? Default true. */
  readonly download?: boolean;
  readonly log: Log;
  /** One that carries experiments on, nobody knows how long, lets other commands find it through the data folder. */
  readonly work: Work;
}

export interface Platform {
  /** host:port */
  readonly address: string;
  readonly channel: Channel;
  close(): Promise<void>;
}

async function writableFolder(dataDir: string): Promise<string> {
  const folder = resolve(dataDir);
  const probe = join(folder, `.probe-${process.pid}`);
  try {
    await makeFolder(folder);
    await writeFile(probe, '');
    await rm(probe);
  } catch (cause) {
    throw new FailedPrecondition(
      `--data-dir: expected a folder that can be written, got ${folder} (${(cause as NodeJS.ErrnoException).code}); make it writable or choose another`,
      { cause },
    );
  }
  return folder;
}

/** What a data folder holds. */
const ours = ['postgres', 'objects', 'jobs', 'corpora', 'models', 'platform.log', recordFile, tokenFile];

/**
 * Closes what an earlier platform has left open to other users. Of a folder that holds something else too, what is ours alone:
 * it may be one that others need.
 */
async function closeFolder(dataDir: string): Promise<void> {
  const names = await readdir(dataDir);
  const known = names.filter((name) => ours.includes(name));
  const paths = known.map((name) => join(dataDir, name));
  for (const path of known.length === names.length ? [dataDir, ...paths] : paths) {
    const { mode } = await stat(path);
    if ((mode & 0o077) === 0) continue;
    await chmod(path, mode & 0o700).catch((error) => {
      // It is another user's, who has let this one write there.
      if (error.code !== 'EPERM') throw error;
    });
  }
}

/** What becomes of the database server, as lines of the log. */
function toLog(log: Log): (news: ServerNews) => void {
  return ({ type, ...fields }) => {
    if (type === 'ended') log.error('the database server has ended and is started again', fields);
    else if (type === 'waiting')
      log.error('the database server cannot be started and will be tried again', fields);
    else log.info('the database server is back', fields);
  };
}

/** Of trainers when the platform ends, which itself has ten seconds. */
const trainerGraceSeconds = 6;

/** Where raters find their page, so that their links stay good: the port after the usual one. */
const studiesAddress = '127.0.0.1:50052';

/** The trainer's program: compiled, since it runs in a process of its own. */
function trainerEntry(): string {
  return createRequire(import.meta.url).resolve('@emotune/trainer/main');
}

/** @throws ClusterInUse when another process serves the folder; FailedPrecondition when it cannot be written; Unavailable when the port is taken. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  closeToOthers();
  const dataDir = await writableFolder(options.dataDir);
  const { log, work } = options;
  const clock = systemClock;
  const threads = availableParallelism();
  const hub = hubSettings(process.env);
  // In the order they were started; closed the other way round.
  const started: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of started.splice(0).reverse()) await part.close();
  };
  try {
    const endTracing = await startTracing('platform', process.env);
    if (endTracing) started.push({ close: endTracing });
    await closeFolder(dataDir);
    const postgres = await startEmbeddedPostgres({ dir: join(dataDir, 'postgres'), tell: toLog(log) });
    started.push({ close: () => postgres.stop() });
    const bus = await Database.connect(postgres.url, 'bus');
    started.push(bus);
    const objects = await FolderStore.open(join(dataDir, 'objects'));
    const runner = ProcessRunner.open({
      folder: join(dataDir, 'jobs'),
      entry: trainerEntry(),
      environment: inherited(process.env),
      takesOver: work === 'trials',
      graceSeconds: trainerGraceSeconds,
    });
    started.push(runner);
    const host = await Host.create({
      database: (schema) => Database.connect(postgres.url, schema),
      objects,
      bus: new MemoryBus(clock, standardRetry, await PostgresLetters.open(bus)),
      clock,
      log,
      listen: `127.0.0.1:${options.port ?? 0}`,
      token: await makeToken(join(dataDir, tokenFile)),
      limits: limitsOf(readEnvironment(z.object(limitVariables), process.env)),
      work,
      builds: buildLimits(process.env),
    });
    started.push(host);
    await host.start([
      dataModule({
        ...(await host.context('data', dataMigrations)),
        hub,
        locate: {
          corporaDir: options.corporaDir,
          cacheDir: join(dataDir, 'corpora'),
          download: options.download ?? true,
        },
      }),
      featurizationModule({
        ...(await host.context('featurization', featurizationMigrations)),
        augmentation: augmentationSources(
          readEnvironment(z.object(augmentationVariables), process.env),
          join(dataDir, 'rewriter'),
        ),
      }),
      tuningModule({
        ...(await host.context('tuning', tuningMigrations)),
        runner,
        address: host.address,
        tracing: tracingVariables(process.env),
        hub,
      }),
      evaluationModule({
        ...(await host.context('evaluation', evaluationMigrations)),
        threads,
        page: pageSettingsOf(readEnvironment(z.object(studyVariables), process.env), studiesAddress),
      }),
      inferenceModule({ ...(await host.context('inference', inferenceMigrations)), threads }),
    ]);
    for (const { model } of baseModels)
      await importCheckpoint(host.channel, { name: model, path: join(modelsFolder, model) });
    if (work === 'trials') {
      const record = join(dataDir, recordFile);
      const text: PlatformRecord = { address: host.address, pid: process.pid };
      await writeFile(`${record}.tmp`, JSON.stringify(text));
      await rename(`${record}.tmp`, record);
      started.push({ close: () => rm(record, { force: true }) });
    }
    return { address: host.address, channel: host.channel, close };
  } catch (error) {
    await close();
    throw error;
  }
}
