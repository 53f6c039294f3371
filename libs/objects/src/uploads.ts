/**
 * Files that users bring. An upload is kept by its content at `uploads/<sha256>`, whole or absent. Until it is whole what came
 * lies in parts beside it, so that it goes on after a broken connection, also at another replica; a part's key says where it
 * begins and how long it is, so writers of one file never change each other's.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  Aborted,
  type Clock,
  chunkBytes,
  FailedPrecondition,
  InvalidArgument,
  largestRowFileBytes,
  NotFound,
  show,
  tooLarge,
  type Violation,
  Violations,
} from '@emotune/base';
import type { ObjectStore } from './store.js';

/** A file may be this large: several times the largest checkpoint that one machine can train. */
export const largestUploadBytes = 256 * 2 ** 30;
const dayMs = 86_400_000;
const keptMs = 7 * dayMs;
/** One that is told to be here can be used for as long. */
const usableMs = dayMs;
/** Stored at once on the way. */
const partBytes = 16 * chunkBytes;

export interface UploadHeader {
  readonly sha256: string;
  /** Of the whole file. */
  readonly bytes: number;
  /** Where the chunks begin. */
  readonly offset: number;
}

export interface UploadStatus {
  /** Bytes from the start that need not be sent again. */
  readonly received: number;
  readonly complete: boolean;
}

export interface StoredUpload {
  readonly sha256: string;
  /** Of all that lies here of it. */
  readonly bytes: number;
  /** False while there are parts alone. */
  readonly complete: boolean;
  /** When the last of it came. */
  readonly putMs: number;
}

const hashPattern = /^[0-9a-f]{64}$/;
const hashRule = 'expected a SHA-256 in lower-case hexadecimal';

/** @throws InvalidArgument */
export function uploadKey(hash: string, field: string): string {
  if (!hashPattern.test(hash)) throw InvalidArgument.at(field, `${hashRule}, got ${show(hash)}`);
  return `uploads/${hash}`;
}

/** A file in a request, by its content. */
export interface UploadedFile {
  readonly sha256: string;
  /** What the user calls it. */
  readonly name: string;
}

/** In bytes, as file systems count. */
const longestName = 255;

/** What is wrong with how a request names a file. */
export function uploadViolations(upload: UploadedFile | undefined, field: string): readonly Violation[] {
  if (!upload) return [{ field, description: 'expected an uploaded file, got nothing' }];
  const violations = new Violations();
  if (!hashPattern.test(upload.sha256))
    violations.add(`${field}.sha256`, `${hashRule}, got ${show(upload.sha256)}`);
  // A name is shown on a line.
  if (upload.name === '' || Buffer.byteLength(upload.name) > longestName || /\p{Cc}/u.test(upload.name))
    violations.add(`${field}.name`, `expected a name of 1 to ${longestName} bytes, got ${show(upload.name)}`);
  return violations.list;
}

/**
 * The size of an uploaded file.
 * @throws FailedPrecondition where nothing was uploaded, or so long ago that it was removed.
 */
export async function uploadBytes(
  objects: ObjectStore,
  upload: UploadedFile,
  field: string,
): Promise<number> {
  const found = await objects.stat(uploadKey(upload.sha256, field));
  if (found) return found.bytes;
  throw new FailedPrecondition(
    `${field}: the content of ${show(upload.name)} is not here (any more); upload it, then ask again`,
  );
}

/** The content of a file whose rows are read. @throws FailedPrecondition as `uploadBytes`; InvalidArgument when it is too large. */
export async function openRowFile(
  objects: ObjectStore,
  upload: UploadedFile,
  field: string,
): Promise<{ readonly bytes: number; read(from?: number): AsyncIterable<Uint8Array> }> {
  const bytes = await uploadBytes(objects, upload, field);
  if (bytes > largestRowFileBytes) throw tooLarge(field, upload.name, bytes);
  return { bytes, read: (from) => objects.read(uploadKey(upload.sha256, field), from) };
}

const heldPrefix = 'uploads/held-';
/** The hold of a process that was killed counts no longer. */
const heldMs = dayMs;

/** While `work` runs, these uploads are not deleted. */
export async function whileHeld<T>(
  objects: ObjectStore,
  hashes: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const key = `${heldPrefix}${randomUUID()}`;
  await objects.put(key, JSON.stringify(hashes));
  try {
    return await work();
  } finally {
    await objects.delete(key);
  }
}

interface Part {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

const partsOf = (hash: string) => `uploads/parts/${hash}`;
const partKey = (hash: string, start: number, bytes: number) => `${partsOf(hash)}/${start}-${bytes}`;

/** Those that follow each other without a gap from the start on. */
function chainOf(parts: readonly Part[]): Part[] {
  const chain: Part[] = [];
  for (let reach = 0; ; ) {
    const next = parts
      .filter(({ start, end }) => start <= reach && end > reach)
      .reduce<Part | undefined>((far, part) => (far && far.end >= part.end ? far : part), undefined);
    if (!next) return chain;
    chain.push(next);
    reach = next.end;
  }
}

const reachOf = (chain: readonly Part[]) => chain.at(-1)?.end ?? 0;

export class Uploads {
  constructor(
    private readonly objects: ObjectStore,
    private readonly clock: Clock,
    private readonly limitBytes = largestUploadBytes,
  ) {}

  private async wholeBytes(hash: string, field: string): Promise<number | undefined> {
    const found = await this.objects.stat(uploadKey(hash, field));
    return found && this.clock.now() - found.putMs < keptMs - usableMs ? found.bytes : undefined;
  }

  private async parts(hash: string): Promise<Part[]> {
    const folder = `${partsOf(hash)}/`;
    return (await this.objects.list(folder)).map(({ key, bytes }) => {
      const start = Number(key.slice(folder.length).split('-')[0]);
      return { key, start, end: start + bytes };
    });
  }

  /** @throws InvalidArgument */
  async status(hash: string): Promise<UploadStatus> {
    uploadKey(hash, 'sha256');
    // In this order: whoever ends it puts the whole before removing the parts.
    const parts = await this.parts(hash);
    const whole = await this.wholeBytes(hash, 'sha256');
    if (whole !== undefined) return { received: whole, complete: true };
    return { received: reachOf(chainOf(parts)), complete: false };
  }

  /**
   * Takes in the bytes of a file from an offset on. What came is kept, whatever ends the chunks.
   * @throws InvalidArgument when the file has another hash or more bytes than it should; Aborted when it has fewer;
   *   ResourceExhausted, FailedPrecondition as the store does.
   */
  async receive(header: UploadHeader, chunks: AsyncIterable<Uint8Array>): Promise<UploadStatus> {
    const { sha256: hash, bytes, offset } = header;
    const complete = { received: bytes, complete: true };
    const whole = await this.wholeBytes(hash, 'header.sha256');
    if (!(Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= this.limitBytes))
      throw InvalidArgument.at('header.bytes', `expected 0 to ${this.limitBytes}, got ${bytes}`);
    if (whole !== undefined) return complete;
    const { received } = await this.status(hash);
    if (!(Number.isSafeInteger(offset) && offset >= 0 && offset <= Math.min(received, bytes)))
      throw InvalidArgument.at(
        'header.offset',
        `expected at most ${Math.min(received, bytes)}, which is what came before, got ${offset}`,
      );
    let stored = offset;
    let waiting: Uint8Array[] = [];
    let waitingBytes = 0;
    const store = async () => {
      if (waitingBytes > 0)
        await this.objects.put(partKey(hash, stored, waitingBytes), Buffer.concat(waiting));
      stored += waitingBytes;
      [waiting, waitingBytes] = [[], 0];
    };
    try {
      for await (const chunk of chunks) {
        if (chunk.length > chunkBytes)
          throw InvalidArgument.at(
            'chunk',
            `expected at most ${chunkBytes} bytes at once, got ${chunk.length}`,
          );
        if (stored + waitingBytes + chunk.length > bytes)
          throw InvalidArgument.at('chunk', `expected ${bytes} bytes in all, as the header says, got more`);
        waiting.push(chunk);
        waitingBytes += chunk.length;
        if (waitingBytes >= partBytes && stored + waitingBytes < bytes) await store();
      }
    } catch (error) {
      await store();
      throw error;
    }
    if (stored + waitingBytes < bytes) {
      await store();
      throw new Aborted(
        `the upload ended after ${stored} of ${bytes} bytes; they are kept: go on from there`,
      );
    }
    await this.complete(hash, stored, Buffer.concat(waiting));
    return complete;
  }

  /** Joins the parts before `at` and the rest to the file. */
  private async complete(hash: string, at: number, rest: Uint8Array): Promise<void> {
    try {
      await this.objects.put(
        uploadKey(hash, 'header.sha256'),
        this.verified(hash, this.joined(hash, at, rest)),
      );
    } catch (error) {
      // What others sent of it goes too: nobody can tell whose bytes are wrong.
      if (error instanceof InvalidArgument) await this.objects.delete(partsOf(hash));
      if (!(error instanceof NotFound)) throw error;
      // Where another upload of the file has just ended, it has removed the parts.
      if (!(await this.status(hash)).complete)
        throw new Aborted('parts of the upload are gone; send them again', { cause: error });
    }
    await this.objects.delete(partsOf(hash));
  }

  private async *joined(hash: string, at: number, rest: Uint8Array): AsyncGenerator<Uint8Array> {
    let reach = 0;
    for (const { key, start } of at > 0 ? chainOf(await this.parts(hash)) : []) {
      for await (const piece of this.objects.read(key, reach - start)) {
        const wanted = piece.subarray(0, at - reach);
        reach += wanted.length;
        if (wanted.length > 0) yield wanted;
      }
    }
    if (reach < at) throw new NotFound(`expected ${at} bytes of ${hash}, got ${reach}`);
    yield rest;
  }

  private async *verified(hash: string, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const digest = createHash('sha256');
    for await (const piece of pieces) {
      digest.update(piece);
      yield piece;
    }
    const got = digest.digest('hex');
    if (got !== hash)
      throw InvalidArgument.at(
        'header.sha256',
        `expected bytes whose SHA-256 is ${hash}, got ${got}: the file changed while it was read, or was damaged on its way; send it again`,
      );
  }

  /** What lies here, by hash. */
  async list(): Promise<StoredUpload[]> {
    const found = new Map<string, StoredUpload>();
    for (const { key, ...stored } of await this.objects.list('uploads/')) {
      if (key.startsWith(heldPrefix)) continue;
      const [, first, hash] = key.split('/');
      const complete = first !== 'parts';
      const sha256 = complete ? first : hash;
      const { bytes, putMs } = found.get(sha256) ?? { bytes: 0, putMs: 0 };
      found.set(sha256, {
        sha256,
        bytes: bytes + stored.bytes,
        complete: complete || (found.get(sha256)?.complete ?? false),
        putMs: Math.max(putMs, stored.putMs),
      });
    }
    return [...found.values()].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
  }

  /** Whether somebody reads it. */
  async isHeld(hash: string): Promise<boolean> {
    for (const { key, putMs } of await this.objects.list(heldPrefix)) {
      if (this.clock.now() - putMs >= heldMs) continue;
      const hashes = await this.objects.get(key).catch((error) => {
        if (error instanceof NotFound) return '[]';
        throw error;
      });
      if (JSON.parse(Buffer.from(hashes).toString()).includes(hash)) return true;
    }
    return false;
  }

  /** Removes one before its time; the bytes that it took. @throws InvalidArgument, NotFound */
  async delete(hash: string): Promise<number> {
    const key = uploadKey(hash, 'sha256');
    const found = (await this.list()).find(({ sha256 }) => sha256 === hash);
    if (!found)
      throw new NotFound(`expected an uploaded file, got ${show(hash)}; "emotune upload list" shows all`);
    await this.objects.delete(key);
    await this.objects.delete(partsOf(hash));
    return found.bytes;
  }

  /** Removes what came too long ago. */
  async sweep(): Promise<void> {
    await this.objects.deleteOld('uploads', this.clock.now() - keptMs);
  }
}
