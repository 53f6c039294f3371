/**
 * An object store in a bucket of S3, or of a server that speaks it. Each object has the sum of its content in its metadata, and
 * whoever reads it compares. What is large is read from a copy on this machine, which is fetched and checked once.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { FailedPrecondition, InvalidArgument, Lanes, NotFound, sha256, Unavailable } from '@emotune/base';
import { damaged } from './damage.js';
import { filesBelow } from './files.js';
import { entryId, type FolderCache } from './folder-cache.js';
import { inLanes } from './in-lanes.js';
import { checkedFolder, checkedKey } from './key.js';
import { isAbsent, s3Error } from './s3-errors.js';
import { urlOf } from './s3-place.js';
import { type Found, isOther, mostTries, S3Reader } from './s3-reader.js';
import type { S3Requests } from './s3-requests.js';
import { type Content, metadataOf, partBytes, S3Uploads, ticketFolder } from './s3-upload.js';
import type { FolderLease, ObjectInfo, ObjectStat, ObjectStore } from './store.js';
import { sumOf } from './sums.js';

/** Objects on their way at a time. */
const beside = 4;
/** Of a local copy, read at once. */
const readBytes = 2 ** 20;
const deletedAtOnce = 1000;

interface Listed extends Found {
  readonly putMs: number;
}

export class S3Store implements ObjectStore {
  readonly url: string;
  /** Before every key. */
  private readonly prefix: string;
  private readonly uploads: S3Uploads;
  private readonly reader: S3Reader;
  private readonly lanes = new Lanes(beside);
  private readonly Bucket: string;

  private constructor(
    private readonly requests: S3Requests,
    private readonly cache: FolderCache,
  ) {
    const { place } = requests;
    this.url = urlOf(place);
    this.Bucket = place.bucket;
    this.prefix = place.prefix === '' ? '' : `${place.prefix}/`;
    this.uploads = new S3Uploads(requests, this.prefix);
    this.reader = new S3Reader(requests, (key) => this.name(key));
  }

  /** @throws FailedPrecondition where the bucket cannot be used; Unavailable where it stays away. */
  static async open(requests: S3Requests, cache: FolderCache): Promise<S3Store> {
    const store = new S3Store(requests, cache);
    await requests.send(
      'list its objects',
      new ListObjectsV2Command({ Bucket: store.Bucket, Prefix: store.prefix, MaxKeys: 1 }),
    );
    return store;
  }

  private name(key: string): string {
    const checked = checkedKey(key);
    if (checked === ticketFolder || checked.startsWith(`${ticketFolder}/`))
      throw InvalidArgument.at('key', `expected a key outside ${ticketFolder}/, got ${key}`);
    return this.prefix + checked;
  }

  async put(key: string, data: Uint8Array | string | AsyncIterable<Uint8Array>): Promise<void> {
    const name = this.name(key);
    if (typeof data === 'string') return this.putBytes(name, Buffer.from(data));
    if (data instanceof Uint8Array) return this.putBytes(name, data);
    const pieces = data[Symbol.asyncIterator]();
    try {
      const begun: Uint8Array[] = [];
      for (let bytes = 0; bytes <= partBytes; bytes += begun.at(-1)!.length) {
        const { done, value } = await pieces.next();
        if (done) return await this.putBytes(name, Buffer.concat(begun));
        begun.push(value);
      }
      await this.cache.temporary(async (path) => {
        const file = await open(path, 'wx+', 0o600);
        try {
          for (const piece of begun.splice(0)) await file.appendFile(piece);
          for (let next = await pieces.next(); !next.done; next = await pieces.next())
            await file.appendFile(next.value);
          await this.putFile(name, file);
        } finally {
          await file.close();
        }
      });
    } finally {
      await pieces.return?.();
    }
  }

  private async putBytes(name: string, bytes: Uint8Array): Promise<void> {
    const content: Content = {
      sha256: sha256(bytes),
      bytes: bytes.length,
      part: async (start, end) => bytes.subarray(start, end),
    };
    if (bytes.length > partBytes) return this.uploads.send(name, content);
    await this.lanes.run(() =>
      this.requests.send(
        `put ${name}`,
        new PutObjectCommand({
          ...{ Bucket: this.Bucket, Key: name, Body: bytes, Metadata: metadataOf(content) },
          ChecksumSHA256: Buffer.from(content.sha256, 'hex').toString('base64'),
        }),
      ),
    );
  }

  private async putFile(name: string, file: FileHandle): Promise<void> {
    const sum = await sumOf(file);
    const part = async (start: number, end: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
      if (bytesRead < end - start)
        throw new FailedPrecondition(`${name}: its file became shorter while it was stored; store it again`);
      return buffer;
    };
    if (sum.bytes > partBytes) await this.uploads.send(name, { ...sum, part });
    else await this.putBytes(name, await part(0, sum.bytes));
  }

  get(key: string): Promise<Uint8Array> {
    return this.reader.get(key);
  }

  async *read(key: string, from = 0): AsyncGenerator<Uint8Array> {
    const found = await this.reader.begin(key);
    if (found.bytes <= found.piece.length) {
      const isWhole = found.sum === undefined || found.sum.sha256 === sha256(found.piece);
      const bytes = isWhole ? found.piece : await this.get(key);
      if (from < bytes.length) yield bytes.subarray(from);
      return;
    }
    await using copy = await this.latest(key, async () => {
      const object = await this.headed(key);
      if (!object) throw this.reader.missing(key);
      return this.copyOf([object], dirname(key), key);
    });
    yield* createReadStream(join(copy.path, basename(key)), { start: from, highWaterMark: readBytes });
  }

  private async headed(key: string): Promise<Listed | undefined> {
    const name = this.name(key);
    try {
      const {
        ContentLength = 0,
        LastModified,
        ETag = '',
      } = await this.requests.send(
        `read ${name}`,
        new HeadObjectCommand({ Bucket: this.Bucket, Key: name }),
        isAbsent,
      );
      return { key, bytes: ContentLength, etag: ETag, putMs: LastModified?.getTime() ?? 0 };
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    const found = await this.headed(key);
    return found && { bytes: found.bytes, putMs: found.putMs };
  }

  async exists(key: string): Promise<boolean> {
    return (await this.headed(key)) !== undefined;
  }

  async freeBytes(): Promise<number> {
    return Infinity;
  }

  private async listed(prefix: string): Promise<Listed[]> {
    const found: Listed[] = [];
    for (let ContinuationToken: string | undefined; ; ) {
      const page = await this.requests.send(
        `list ${this.prefix}${prefix}`,
        new ListObjectsV2Command({
          ...{ Bucket: this.Bucket, Prefix: this.prefix + prefix, ContinuationToken },
        }),
      );
      for (const { Key = '', Size = 0, ETag = '', LastModified } of page.Contents ?? [])
        found.push({
          ...{ key: Key.slice(this.prefix.length), bytes: Size, etag: ETag },
          putMs: LastModified?.getTime() ?? 0,
        });
      if (!page.IsTruncated) break;
      ContinuationToken = page.NextContinuationToken;
    }
    // Consoles make objects that stand for folders.
    return found.filter(({ key }) => !key.endsWith('/')).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async list(prefix: string): Promise<ObjectInfo[]> {
    return (await this.listed(prefix))
      .filter(({ key }) => !key.startsWith(`${ticketFolder}/`))
      .map(({ key, bytes, putMs }) => ({ key, bytes, putMs }));
  }

  async delete(prefix: string): Promise<void> {
    const below = checkedFolder(prefix);
    const name = this.name(below);
    await this.requests.send(`delete ${name}`, new DeleteObjectCommand({ Bucket: this.Bucket, Key: name }));
    const names = (await this.listed(`${below}/`)).map(({ key }) => this.prefix + key);
    for (let at = 0; at < names.length; at += deletedAtOnce) {
      const Objects = names.slice(at, at + deletedAtOnce).map((Key) => ({ Key }));
      const { Errors = [] } = await this.requests.send(
        `delete ${name}/`,
        new DeleteObjectsCommand({ Bucket: this.Bucket, Delete: { Objects, Quiet: true } }),
      );
      const [first] = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
      if (first)
        throw s3Error(
          {
            name: first.Code,
            message: first.Message,
            $metadata: { httpStatusCode: first.Code === 'AccessDenied' ? 403 : 500 },
          },
          this.requests.place,
          `delete ${first.Key}`,
        );
    }
  }

  async deleteOld(prefix: string, putMs: number): Promise<void> {
    const below = checkedFolder(prefix);
    const itself = await this.headed(below);
    const old = [...(itself ? [itself] : []), ...(await this.listed(`${below}/`))].filter(
      (object) => object.putMs < putMs,
    );
    await inLanes(beside, old, async ({ key, etag }) => {
      const name = this.prefix + key;
      await this.requests
        .send(
          `delete ${name}`,
          new DeleteObjectCommand({ Bucket: this.Bucket, Key: name, IfMatch: etag }),
          isOther,
        )
        .catch((error) => {
          // Another has taken its place, or its place is empty.
          if (!isOther(error)) throw error;
        });
    });
  }

  async leftovers(unchangedMs: number, remove: boolean): Promise<ObjectInfo[]> {
    const uploads = await this.uploads.abandoned(unchangedMs);
    const before = Date.now() - unchangedMs;
    const tickets = (await this.listed(`${ticketFolder}/`)).filter(({ putMs }) => putMs <= before);
    if (remove) {
      for (const { key, uploadId } of uploads) await this.uploads.abort(key, uploadId);
      for (const { key } of tickets) await this.uploads.remove(this.prefix + key);
    }
    return [
      ...uploads.map(({ key, uploadId, ...upload }) => ({
        ...{ key: `${ticketFolder}/${key.slice(this.prefix.length)}#${uploadId}`, ...upload },
      })),
      ...tickets.map(({ key, bytes, putMs }) => ({ key, bytes, putMs })),
    ];
  }

  async putFolder(prefix: string, folder: string, last?: string): Promise<void> {
    const below = checkedFolder(prefix);
    const files = (await filesBelow(folder)).map((path) => relative(folder, path)).sort();
    if (files.length === 0) throw new NotFound(`expected files to store in ${folder}, got none`);
    if (last !== undefined && !files.includes(last))
      throw InvalidArgument.at('last', `expected a file of ${basename(folder)}, got ${last}`);
    const put = async (file: string) => {
      const handle = await open(join(folder, file), 'r');
      try {
        await this.putFile(this.name(`${below}/${file}`), handle);
      } finally {
        await handle.close();
      }
    };
    await inLanes(
      beside,
      files.filter((file) => file !== last),
      put,
    );
    if (last !== undefined) await put(last);
  }

  async folder(prefix: string): Promise<FolderLease> {
    const below = checkedFolder(prefix);
    this.name(below);
    return this.latest(below, async () => {
      const found = await this.listed(`${below}/`);
      if (found.length === 0) throw new NotFound(`expected objects below ${below} in ${this.url}`);
      return this.copyOf(found, below, below);
    });
  }

  /** Looks again where others replace or remove what is copied. */
  private async latest(told: string, copy: () => Promise<FolderLease>): Promise<FolderLease> {
    for (let tries = mostTries; ; tries--) {
      try {
        return await copy();
      } catch (error) {
        if (tries > 1 && isOther(error)) continue;
        throw isOther(error)
          ? new Unavailable(`${told} is replaced again and again while it is read`)
          : error;
      }
    }
  }

  /** A copy of these objects below `base` on this machine. */
  private copyOf(found: readonly Found[], base: string, told: string): Promise<FolderLease> {
    const id = entryId(this.url, base, ...found.map(({ key, bytes, etag }) => `${key} ${bytes} ${etag}`));
    const bytes = found.reduce((sum, one) => sum + one.bytes, 0);
    return this.cache.lend(told, id, bytes, async (folder) => {
      const fetched = await inLanes(beside, found, async (object) => {
        const path = join(folder, relative(base, checkedKey(object.key)));
        await mkdir(dirname(path), { recursive: true });
        return this.reader.fetch(object, path);
      });
      const damages = fetched.filter((one) => one !== undefined);
      if (damages.length > 0) throw damaged(damages);
    });
  }
}
