/** Objects of S3 on their way here: in pieces of one version, compared with the sum that they were put with. */
import { open } from 'node:fs/promises';
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { Lanes, NotFound, sha256, Unavailable } from '@emotune/base';
import { type Damage, damaged, type Sum } from './damage.js';
import { inLanes } from './in-lanes.js';
import { isAbsent, isChanged, s3Code } from './s3-errors.js';
import { urlOf } from './s3-place.js';
import type { S3Requests } from './s3-requests.js';
import { partBytes, sumName } from './s3-upload.js';
import { sumOf } from './sums.js';

/** Pieces on their way at a time. */
const beside = 4;
/** How often what is replaced while it is read is begun again. */
export const mostTries = 10;

/** An object as a listing or its first piece tells it. */
export interface Found {
  readonly key: string;
  readonly bytes: number;
  readonly etag: string;
}

interface Begun extends Found {
  /** The first `partBytes` of it. */
  readonly piece: Uint8Array;
  /** Undefined where others have put it. */
  readonly sum: Sum | undefined;
}

/** Not the one that was asked for any more: replaced, or gone. */
export const isOther = (error: unknown) => isChanged(error) || isAbsent(error);

function sumIn(metadata: Readonly<Record<string, string>> | undefined): Sum | undefined {
  const [hash = '', bytes = ''] = (metadata?.[sumName] ?? '').split(' ');
  return /^[0-9a-f]{64}$/.test(hash) ? { sha256: hash, bytes: Number(bytes) } : undefined;
}

export class S3Reader {
  private readonly lanes = new Lanes(beside);

  /** @param name what a key is called in the bucket */
  constructor(
    private readonly requests: S3Requests,
    private readonly name: (key: string) => string,
  ) {}

  /** Some bytes of an object, of this version where one is named. */
  private piece(
    key: string,
    Range: string | undefined,
    IfMatch: string | undefined,
  ): Promise<{ readonly piece: Uint8Array; readonly answer: GetObjectCommandOutput }> {
    const [Bucket, Key] = [this.requests.place.bucket, this.name(key)];
    return this.lanes.run(() =>
      this.requests.ask(
        `read ${Key}`,
        async (client, abortSignal) => {
          const asked = new GetObjectCommand({ Bucket, Key, Range, IfMatch });
          const answer = await client.send(asked, { abortSignal });
          return { answer, piece: (await answer.Body?.transformToByteArray()) ?? new Uint8Array() };
        },
        (error) => isOther(error) || s3Code(error) === 'InvalidRange',
      ),
    );
  }

  /** @throws NotFound; what `isOther` tells where the version that is named is not there any more. */
  async begin(key: string, version?: string): Promise<Begun> {
    try {
      const { piece, answer } = await this.piece(key, `bytes=0-${partBytes - 1}`, version).catch((error) => {
        // An empty object has no ranges.
        if (s3Code(error) === 'InvalidRange') return this.piece(key, undefined, version);
        throw error;
      });
      const total = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1];
      return {
        ...{ key, piece, etag: answer.ETag ?? '', sum: sumIn(answer.Metadata) },
        bytes: total === undefined ? piece.length : Number(total),
      };
    } catch (error) {
      if (isAbsent(error) && version === undefined) throw this.missing(key, error);
      throw error;
    }
  }

  missing(key: string, cause?: unknown): NotFound {
    return new NotFound(`expected an object ${key} in ${urlOf(this.requests.place)}`, { cause });
  }

  /** The pieces of an object after the first, each with where it begins, in any order. */
  private async rest(
    { key, bytes, etag }: Found,
    take: (piece: Uint8Array, at: number) => Promise<void>,
  ): Promise<void> {
    const starts: number[] = [];
    for (let at = partBytes; at < bytes; at += partBytes) starts.push(at);
    await inLanes(beside, starts, async (at) => {
      const { piece } = await this.piece(key, `bytes=${at}-${Math.min(at + partBytes, bytes) - 1}`, etag);
      await take(piece, at);
    });
  }

  /** Begins again while the object is replaced, or does not come as it was put: it may have been damaged on its way. */
  private async whole<T>(
    key: string,
    etag: string | undefined,
    read: (begun: Begun) => Promise<{ readonly found: Sum; readonly value: T }>,
  ): Promise<{ readonly value: T } | { readonly damage: Damage }> {
    let damage: Damage | undefined;
    for (let tries = mostTries; tries > 0; tries--) {
      try {
        const begun = await this.begin(key, etag);
        const { found, value } = await read(begun);
        const expected = begun.sum;
        if (!expected || (expected.sha256 === found.sha256 && expected.bytes === found.bytes))
          return { value };
        // Twice the same: it was not damaged on its way.
        if (damage?.found?.sha256 === found.sha256) return { damage };
        damage = { key, expected, found };
      } catch (error) {
        if (!isOther(error) || etag !== undefined) throw error;
      }
    }
    throw new Unavailable(`${key} is another each time that it is read; try again`);
  }

  async get(key: string): Promise<Uint8Array> {
    const read = await this.whole(key, undefined, async (begun) => {
      let value = begun.piece;
      if (begun.bytes > value.length) {
        value = Buffer.alloc(begun.bytes);
        value.set(begun.piece);
        await this.rest(begun, async (piece, at) => value.set(piece, at));
      }
      return { value, found: { sha256: sha256(value), bytes: value.length } };
    });
    if ('damage' in read) throw damaged([read.damage]);
    return read.value;
  }

  /** Writes an object to a file. What is wrong with it. */
  async fetch({ key, etag }: Found, path: string): Promise<Damage | undefined> {
    const read = await this.whole(key, etag, async (begun) => {
      const file = await open(path, 'w+', 0o600);
      try {
        await file.write(begun.piece, 0, begun.piece.length, 0);
        await this.rest(begun, async (piece, at) => void (await file.write(piece, 0, piece.length, at)));
        return { value: undefined, found: await sumOf(file) };
      } finally {
        await file.close();
      }
    });
    return 'damage' in read ? read.damage : undefined;
  }
}
