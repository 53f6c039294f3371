/**
 * Large objects on their way to S3, in parts. A ticket beside the objects says under which upload a content is on its way to a
 * key, so that whoever puts the same again, after a crash, on another machine, sends only the parts that are missing.
 */
import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type Part,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { FailedPrecondition, sha256 } from '@emotune/base';
import type { Sum } from './damage.js';
import { inLanes } from './in-lanes.js';
import { isAbsent, isChanged, s3Code } from './s3-errors.js';
import type { S3Requests } from './s3-requests.js';

/** What is sent and fetched at once. */
export const partBytes = 8 * 2 ** 20;
const mostParts = 10_000;
const beside = 4;
const mostTries = 3;
export const ticketFolder = '.uploads';

/** What is put: known as a whole before the first part leaves. */
export interface Content extends Sum {
  part(start: number, end: number): Promise<Uint8Array>;
}

/** With an object, in its metadata. */
export const sumName = 'sum';
export const metadataOf = ({ sha256, bytes }: Sum) => ({ [sumName]: `${sha256} ${bytes}` });

const base64 = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('base64');

const isGone = (error: unknown) => s3Code(error) === 'NoSuchUpload';

/** Whether a part that is there holds these bytes. */
function holds(part: Part | undefined, bytes: Uint8Array): boolean {
  if (part === undefined || part.Size !== bytes.length) return false;
  if (part.ChecksumSHA256 !== undefined) return part.ChecksumSHA256 === base64('sha256', bytes);
  return part.ETag?.replaceAll('"', '') === createHash('md5').update(bytes).digest('hex');
}

export class S3Uploads {
  /** @param prefix of all objects, with its closing "/", or empty */
  constructor(
    private readonly requests: S3Requests,
    private readonly prefix: string,
  ) {}

  private get Bucket(): string {
    return this.requests.place.bucket;
  }

  /** @param Key with the store's prefix */
  async send(Key: string, content: Content): Promise<void> {
    const ticket = `${this.prefix}${ticketFolder}/${sha256(`${Key}\n${content.sha256}`)}`;
    for (let tries = mostTries; ; tries--) {
      try {
        const upload = (await this.begun(Key, ticket)) ?? (await this.begin(Key, ticket, content));
        await this.sendParts(Key, upload, content);
        break;
      } catch (error) {
        // Whoever sent the same has completed it, or somebody has given it up.
        if (!(isGone(error) || s3Code(error) === 'InvalidPart')) throw error;
        if (await this.isThere(Key, content)) break;
        if (tries === 1)
          throw new FailedPrecondition(
            `the upload of ${Key} was aborted by others every time; check the bucket's lifecycle rules for incomplete uploads`,
            { cause: error },
          );
        await this.remove(ticket);
      }
    }
    await this.remove(ticket);
  }

  private async isThere(Key: string, content: Sum): Promise<boolean> {
    try {
      const { Metadata } = await this.requests.send(
        `read ${Key}`,
        new HeadObjectCommand({ Bucket: this.Bucket, Key }),
        isAbsent,
      );
      return Metadata?.[sumName] === metadataOf(content)[sumName];
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  /** @param Key with the store's prefix */
  remove(Key: string): Promise<unknown> {
    return this.requests.send(`delete ${Key}`, new DeleteObjectCommand({ Bucket: this.Bucket, Key }));
  }

  /** The upload that a ticket names, with what has arrived of it. */
  private async begun(Key: string, ticket: string): Promise<Begun | undefined> {
    let UploadId: string | undefined;
    try {
      UploadId = await this.requests.ask(
        `read ${ticket}`,
        async (client, abortSignal) => {
          const { Body } = await client.send(new GetObjectCommand({ Bucket: this.Bucket, Key: ticket }), {
            abortSignal,
          });
          return Body?.transformToString();
        },
        isAbsent,
      );
      return UploadId ? { UploadId, parts: await this.parts(Key, UploadId) } : undefined;
    } catch (error) {
      if (isGone(error)) await this.remove(ticket);
      else if (!isAbsent(error)) throw error;
      return undefined;
    }
  }

  private async begin(Key: string, ticket: string, content: Content): Promise<Begun> {
    const { UploadId } = await this.requests.send(
      `put ${Key}`,
      new CreateMultipartUploadCommand({
        ...{ Bucket: this.Bucket, Key, ChecksumAlgorithm: 'SHA256' },
        Metadata: metadataOf(content),
      }),
    );
    try {
      await this.requests.send(
        `put ${ticket}`,
        new PutObjectCommand({ Bucket: this.Bucket, Key: ticket, Body: UploadId!, IfNoneMatch: '*' }),
        isChanged,
      );
    } catch (error) {
      if (!isChanged(error)) throw error;
      // Another writer of the same was faster, or its upload is gone: then ours stands alone.
      const other = await this.begun(Key, ticket);
      if (other && other.UploadId !== UploadId) {
        await this.abort(Key, UploadId!);
        return other;
      }
    }
    return { UploadId: UploadId!, parts: new Map() };
  }

  private async sendParts(Key: string, { UploadId, parts }: Begun, content: Content): Promise<void> {
    const size = Math.max(partBytes, Math.ceil(content.bytes / mostParts));
    const count = Math.ceil(content.bytes / size);
    const Parts = await inLanes(beside, [...Array(count).keys()], async (i) => {
      const bytes = await content.part(i * size, Math.min((i + 1) * size, content.bytes));
      return this.sendPart({ Key, UploadId, PartNumber: i + 1 }, parts.get(i + 1), bytes);
    });
    await this.requests.send(
      `put ${Key}`,
      new CompleteMultipartUploadCommand({
        ...{ Bucket: this.Bucket, Key, UploadId, MultipartUpload: { Parts } },
      }),
      (error) => isGone(error) || s3Code(error) === 'InvalidPart',
    );
  }

  private async sendPart(
    place: { readonly Key: string; readonly UploadId: string; readonly PartNumber: number },
    there: Part | undefined,
    bytes: Uint8Array,
  ): Promise<CompletedPart> {
    const { PartNumber } = place;
    const ChecksumSHA256 = base64('sha256', bytes);
    if (holds(there, bytes)) return { PartNumber, ETag: there!.ETag, ChecksumSHA256 };
    const { ETag } = await this.requests.send(
      `put ${place.Key}`,
      new UploadPartCommand({ ...place, Bucket: this.Bucket, Body: bytes, ChecksumSHA256 }),
      isGone,
    );
    return { PartNumber, ETag, ChecksumSHA256 };
  }

  private async parts(Key: string, UploadId: string): Promise<Map<number, Part>> {
    const found = new Map<number, Part>();
    for (let marker: string | undefined; ; ) {
      const page = await this.requests.send(
        `put ${Key}`,
        new ListPartsCommand({ Bucket: this.Bucket, Key, UploadId, PartNumberMarker: marker }),
        isGone,
      );
      for (const part of page.Parts ?? []) found.set(part.PartNumber!, part);
      if (!page.IsTruncated) return found;
      marker = page.NextPartNumberMarker;
    }
  }

  async abort(Key: string, UploadId: string): Promise<void> {
    await this.requests
      .send(`delete ${Key}`, new AbortMultipartUploadCommand({ Bucket: this.Bucket, Key, UploadId }), isGone)
      .catch((error) => {
        if (!isGone(error)) throw error;
      });
  }

  /** Those on their way that nothing has come to for so long. */
  async abandoned(unchangedMs: number): Promise<AbandonedUpload[]> {
    const found: AbandonedUpload[] = [];
    const before = Date.now() - unchangedMs;
    for (let markers = {}; ; ) {
      const page = await this.requests.send(
        'list the uploads',
        new ListMultipartUploadsCommand({ Bucket: this.Bucket, Prefix: this.prefix, ...markers }),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined || (Initiated?.getTime() ?? 0) > before) continue;
        const parts = await this.parts(Key, UploadId).catch((error) => {
          if (isGone(error)) return undefined;
          throw error;
        });
        if (!parts) continue;
        const putMs = Math.max(
          Initiated?.getTime() ?? 0,
          ...[...parts.values()].map(({ LastModified }) => LastModified?.getTime() ?? 0),
        );
        if (putMs > before) continue;
        const bytes = [...parts.values()].reduce((sum, { Size = 0 }) => sum + Size, 0);
        found.push({ key: Key, uploadId: UploadId, bytes, putMs });
      }
      if (!page.IsTruncated) return found;
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
  }
}

interface Begun {
  readonly UploadId: string;
  /** By number, from 1. */
  readonly parts: ReadonlyMap<number, Part>;
}

export interface AbandonedUpload {
  /** With the store's prefix. */
  readonly key: string;
  readonly uploadId: string;
  readonly bytes: number;
  /** When the last of it came. */
  readonly putMs: number;
}
