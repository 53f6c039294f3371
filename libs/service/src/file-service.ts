/** Files of users on their way in, and artifacts on their way out. */
import { createHash } from 'node:crypto';
import { chunkBytes, FailedPrecondition, InvalidArgument, NotFound } from '@emotune/base';
import { lead } from '@emotune/database';
import { artifactKey, goneArtifact, largestUploadBytes, type UploadStatus, Uploads } from '@emotune/objects';
import type { files } from '@emotune/proto';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import { collectGarbage, usersOfUpload } from './collector.js';
import type { ServiceContext } from './host.js';
import { timestamp } from './messages.js';
import { paged, pageOf } from './paging.js';
import { Worker } from './worker.js';

const sweepMs = 3_600_000;

function statusMessage(status: UploadStatus): files.UploadStatus {
  return { ...status, limitBytes: largestUploadBytes };
}

async function* chunksOf(requests: AsyncIterator<files.UploadRequest>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await requests.next();
    if (done) return;
    if (!value.chunk)
      throw InvalidArgument.at('chunk', 'expected bytes after the header, got another message');
    yield value.chunk;
  }
}

/** Without a database garbage is collected only when somebody asks. */
export type FilesContext = Pick<ServiceContext, 'objects' | 'clock' | 'log' | 'work' | 'channel'> &
  Partial<Pick<ServiceContext, 'database'>>;

export class Files implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly uploads: Uploads;
  private readonly sweeper: Worker;
  private readonly closing = new AbortController();
  private collecting: Promise<void> | undefined;

  constructor(private readonly context: FilesContext) {
    const { objects, clock, log } = context;
    this.uploads = new Uploads(objects, clock);
    const sweep = async () => {
      await this.uploads.sweep();
      return false;
    };
    this.sweeper = new Worker(sweep, { name: 'sweeper of uploads', clock, log, everyMs: sweepMs });
  }

  onApplicationBootstrap(): void {
    const { work, database, clock } = this.context;
    if (work !== 'nothing') this.sweeper.start();
    const { signal } = this.closing;
    if (work === 'trials' && database)
      this.collecting = lead(database, 'garbage', { clock, signal }, (term) =>
        this.collectAgain(term.signal),
      );
  }

  async onApplicationShutdown(): Promise<void> {
    this.closing.abort();
    await this.sweeper.close();
    await this.collecting;
  }

  /** Every hour, in one process of the service. */
  private async collectAgain(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.context;
    for (;;) {
      await clock.sleep(sweepMs, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        const { garbage, bytes } = await this.collectGarbage({ dryRun: false, minAgeSeconds: 0 });
        if (garbage.length > 0)
          log.info('what nothing needs was removed', { bytes, names: garbage.map(({ name }) => name) });
      } catch (error) {
        log.warn('what nothing needs is removed later', { error });
      }
    }
  }

  /** @throws as `collectGarbage` */
  collectGarbage(request: files.CollectGarbageRequest): Promise<files.CollectGarbageResponse> {
    return collectGarbage(this.context, request);
  }

  /** @throws InvalidArgument */
  async status({ sha256 }: files.GetUploadRequest): Promise<files.UploadStatus> {
    return statusMessage(await this.uploads.status(sha256));
  }

  /** By hash. @throws InvalidArgument */
  async listUploads(request: files.ListUploadsRequest): Promise<files.ListUploadsResponse> {
    const { limit, after } = pageOf(request);
    const all = (await this.uploads.list()).filter(({ sha256 }) => sha256 > after);
    const { shown, nextPageToken } = paged(all, limit, ({ sha256 }) => sha256);
    const uploads = shown.map(({ putMs, ...upload }) => ({
      ...upload,
      uploadTime: timestamp(new Date(putMs)),
    }));
    return { uploads, nextPageToken };
  }

  /** @throws InvalidArgument, NotFound; FailedPrecondition naming what needs it; Unavailable while that cannot be known. */
  async deleteUpload({ sha256 }: files.DeleteUploadRequest): Promise<files.DeleteUploadResponse> {
    if (await this.uploads.isHeld(sha256))
      throw new FailedPrecondition(
        'the uploaded file is read by an import of a model: it cannot be deleted before that is done',
      );
    const users = await usersOfUpload(this.context.channel, sha256);
    if (users.length > 0)
      throw new FailedPrecondition(
        `the uploaded file is needed by ${users.join(', ')}: it cannot be deleted before they are done`,
      );
    return { bytes: await this.uploads.delete(sha256) };
  }

  /** @throws as `Uploads.receive` */
  async upload(requests: AsyncIterable<files.UploadRequest>): Promise<files.UploadStatus> {
    const each = requests[Symbol.asyncIterator]();
    try {
      const first = await each.next();
      const header = first.done ? undefined : first.value.header;
      if (!header) throw InvalidArgument.at('header', 'expected a header first, got none');
      return statusMessage(await this.uploads.receive(header, chunksOf(each)));
    } finally {
      await each.return?.();
    }
  }

  /** @throws InvalidArgument for what is no artifact or an offset beyond its end; NotFound. */
  async *download(
    { artifact, offset }: files.DownloadRequest,
    signal: AbortSignal,
  ): AsyncGenerator<files.DownloadResponse> {
    const { objects } = this.context;
    const key = artifactKey(artifact, 'artifact');
    const digest = createHash('sha256');
    let bytes = 0;
    try {
      for await (const piece of objects.read(key)) {
        signal.throwIfAborted();
        digest.update(piece);
        bytes += piece.length;
      }
    } catch (error) {
      throw error instanceof NotFound ? goneArtifact(artifact) : error;
    }
    if (!(offset >= 0 && offset <= bytes))
      throw InvalidArgument.at('offset', `expected 0 to ${bytes}, got ${offset}`);
    yield { header: { bytes, sha256: digest.digest('hex') } };
    for await (const piece of objects.read(key, offset))
      for (let at = 0; at < piece.length; at += chunkBytes)
        yield { chunk: piece.subarray(at, at + chunkBytes) };
  }
}
