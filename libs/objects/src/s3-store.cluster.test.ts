import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { DataLoss, FailedPrecondition, Rng, sha256, Unavailable } from '@emotune/base';
import { type S3, type S3Keys, startS3, withoutS3 } from '@emotune/local';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openObjectStore } from './open.js';
import { type S3Place, s3PlaceOf } from './s3-place.js';
import { S3Requests } from './s3-requests.js';
import { partBytes, S3Uploads } from './s3-upload.js';
import type { ObjectStore } from './store.js';
import { objectStoreContract } from './testing.js';
import { isWhole } from './whole.js';

const reason = withoutS3();
if (reason) process.stderr.write(`skipped: ${reason}\n`);

let s3: S3;
let client: S3Client;
const folder = mkdtempSync(join(tmpdir(), 'emotune-s3-store-'));
const Bucket = 'emotune';
let stores = 0;

beforeAll(async () => {
  if (reason) return;
  s3 = await startS3();
  process.env['AWS_ACCESS_KEY_ID'] = s3.accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = s3.secretAccessKey;
  process.env['EMOTUNE_OBJECTS_CACHE_DIR'] = join(folder, 'cache');
  client = new S3Client({ endpoint: s3.endpoint, region: 'us-east-1', forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  await s3?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Of an empty prefix. */
const urlOf = (prefix: string) => `s3://${Bucket}/${prefix}?endpoint=${encodeURIComponent(s3.endpoint)}`;
const fresh = (patienceMs?: number) => openObjectStore(urlOf(`store ${stores++}`), process.env, patienceMs);

/** Bytes that do not repeat. */
function noise(bytes: number, seed: string): Buffer {
  const rng = Rng.of(seed);
  const all = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) all.writeUInt32LE(rng.int(2 ** 31), at);
  return all;
}

const large = 3 * partBytes + 5;

describe.skipIf(reason)('S3Store', () => {
  objectStoreContract('S3Store', { create: () => fresh(), again: openObjectStore });

  const keyOf = (store: ObjectStore, key: string) =>
    `${new URL(store.url).pathname.slice(1)}/${key}`.replaceAll('%20', ' ');
  const uploads = async (store: ObjectStore) =>
    (await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: keyOf(store, '') }))).Uploads ?? [];

  it('puts and gives back what is larger than a part, by every way', async () => {
    const store = await fresh();
    const bytes = noise(large, 'large');
    const collect = async (key: string, from?: number) => {
      const hash = createHash('sha256');
      for await (const piece of store.read(key, from)) hash.update(piece);
      return hash.digest('hex');
    };
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += 1_000_003) yield bytes.subarray(at, at + 1_000_003);
    }
    const files = mkdtempSync(join(folder, 'files-'));
    writeFileSync(join(files, 'file'), bytes);
    await store.put('memory', bytes);
    await store.put('stream', pieces());
    await store.putFolder('folder', files, 'file');
    for (const key of ['memory', 'stream', 'folder/file']) {
      expect(sha256(await store.get(key))).toBe(sha256(bytes));
      expect(await collect(key)).toBe(sha256(bytes));
      expect(await collect(key, 2 * partBytes + 1)).toBe(sha256(bytes.subarray(2 * partBytes + 1)));
    }
    expect(await uploads(store)).toEqual([]);
    expect((await store.list('')).map(({ key }) => key)).toEqual(['folder/file', 'memory', 'stream']);
    expect(readdirSync(join(folder, 'cache', 'incoming'))).toEqual([]);
  });

  it.each([
    ['a small object', 2_000],
    ['a large one', large],
  ])('names %s that is damaged, uses nothing of it, and is mended by putting it again', async (_, size) => {
    const store = await fresh();
    const key = 'models/m/v1/weights';
    const bytes = noise(size, 'weights');
    await store.put(key, bytes);
    await store.put('models/m/v1/config.json', '{}');
    const other = Buffer.from(bytes);
    other[size - 7] ^= 1;
    const Key = keyOf(store, key);
    const { Metadata } = await client.send(new HeadObjectCommand({ Bucket, Key }));
    await client.send(new PutObjectCommand({ Bucket, Key, Metadata, Body: other }));
    for (const use of [
      () => store.get(key),
      async () => {
        for await (const _ of store.read(key)) throw new Error('it was read');
      },
      () => store.folder('models/m'),
    ]) {
      const error = await use().catch((failure: unknown) => failure);
      expect(error).toBeInstanceOf(DataLoss);
      expect((error as Error).message).toBe(
        `${key}: expected ${size} bytes with SHA-256 ${sha256(bytes)}, got ${size} bytes with SHA-256 ${sha256(other)}: damaged, and not used; import the model again from whole files, or train it again`,
      );
    }
    expect(await isWhole(store, 'models/m')).toBe(false);
    await store.put(key, bytes);
    expect(sha256(await store.get(key))).toBe(sha256(bytes));
    expect(await isWhole(store, 'models/m')).toBe(true);
  });

  it('takes what others put as it is', async () => {
    const store = await fresh();
    await client.send(new PutObjectCommand({ Bucket, Key: keyOf(store, 'a/b'), Body: 'theirs' }));
    await client.send(new PutObjectCommand({ Bucket, Key: keyOf(store, 'a/folder/'), Body: '' }));
    expect(Buffer.from(await store.get('a/b')).toString()).toBe('theirs');
    await using lease = await store.folder('a');
    expect(readdirSync(lease.path)).toEqual(['b']);
  });

  describe('a put whose writer was killed', () => {
    const bytes = noise(large, 'killed');
    const key = 'models/m/v1/weights';
    let store: ObjectStore;
    let place: S3Place;
    let commands: string[];
    /** Tells what is sent. */
    class Told extends S3Requests {
      override send: S3Requests['send'] = (doing, command, expected) => {
        commands.push(command.constructor.name);
        return super.send(doing, command, expected);
      };
    }
    const sending = (content: Buffer, parts = Infinity) =>
      new S3Uploads(new Told(place, { patienceMs: 1_000 }), `${place.prefix}/`).send(keyOf(store, key), {
        bytes: content.length,
        sha256: sha256(content),
        part: async (start, end) => {
          if (start >= parts * partBytes) throw new Error('killed');
          return content.subarray(start, end);
        },
      });
    beforeEach(async () => {
      store = await fresh();
      place = s3PlaceOf(store.url, {});
      commands = [];
      await expect(sending(bytes, 3)).rejects.toThrow('killed');
      expect(commands.filter((name) => name === 'UploadPartCommand')).toHaveLength(3);
      commands = [];
    });

    it('is gone on with by whoever puts the same: only what is missing is sent', async () => {
      expect(await store.exists(key)).toBe(false);
      await sending(bytes);
      expect(commands.filter((name) => name === 'UploadPartCommand')).toHaveLength(1);
      expect(sha256(await store.get(key))).toBe(sha256(bytes));
      expect([await uploads(store), await store.leftovers(0, false)]).toEqual([[], []]);
    });

    it('has nothing to do with one of another content', async () => {
      const other = Buffer.from(bytes);
      other[large - 1] ^= 1;
      await sending(other);
      expect(commands.filter((name) => name === 'UploadPartCommand')).toHaveLength(4);
      expect(sha256(await store.get(key))).toBe(sha256(other));
      expect(await uploads(store)).toHaveLength(1);
    });

    it('is found and removed', async () => {
      expect(await store.leftovers(3_600_000, true)).toEqual([]);
      const left = await store.leftovers(0, true);
      const putMs = expect.any(Number);
      expect(left).toEqual([
        { key: expect.stringMatching(/^\.uploads\/models\/m\/v1\/weights#/), bytes: 3 * partBytes, putMs },
        { key: expect.stringMatching(/^\.uploads\/[0-9a-f]{64}$/), bytes: expect.any(Number), putMs },
      ]);
      expect([await uploads(store), await store.leftovers(0, false)]).toEqual([[], []]);
      await sending(bytes);
      expect(sha256(await store.get(key))).toBe(sha256(bytes));
    });

    it('is begun anew where it was aborted by others', async () => {
      for (const { Key, UploadId } of await uploads(store))
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      await sending(bytes);
      expect(sha256(await store.get(key))).toBe(sha256(bytes));
    });

    it('is one object where several go on with it', async () => {
      await Promise.all([sending(bytes), sending(bytes), sending(bytes)]);
      expect(sha256(await store.get(key))).toBe(sha256(bytes));
      expect(await uploads(store)).toEqual([]);
    });
  });

  it('waits for a server that is away, and goes on: nothing is lost, nothing half there', async () => {
    const store = await fresh();
    const contents = Array.from({ length: 6 }, (_, i) => noise(i % 2 ? large : 100_000, `away ${i}`));
    await store.put('before', contents[1]);
    let ended = 0;
    const work = [
      ...contents.map((bytes, i) => store.put(`c/${i}`, bytes)),
      ...Array.from({ length: 6 }, async () => {
        expect(sha256(await store.get('before'))).toBe(sha256(contents[1]));
      }),
    ].map((one) => one.finally(() => ended++));
    const all = Promise.allSettled(work);
    for (let halts = 0; halts < 3; halts++) {
      const before = ended;
      while (ended === before && ended < work.length) await new Promise((resolve) => setTimeout(resolve, 5));
      await s3.halt();
      await expect(fetch(s3.endpoint)).rejects.toThrow();
      await s3.restart();
      for (const { key } of await store.list('c/'))
        expect(sha256(await store.get(key))).toBe(sha256(contents[Number(key.slice(2))]));
    }
    for (const one of await all)
      expect(one.status, String((one as PromiseRejectedResult).reason)).toBe('fulfilled');
    for (const [i, bytes] of contents.entries())
      expect(sha256(await store.get(`c/${i}`))).toBe(sha256(bytes));
    expect([await uploads(store), await store.leftovers(0, false)]).toEqual([[], []]);
  });

  it('lists and removes many objects', async () => {
    const store = await fresh();
    const count = Number(process.env['EMOTUNE_S3_KEYS'] ?? 2_500);
    const files = join(s3.folder, Bucket, keyOf(store, 'many'));
    for (let i = 0; i < count; i++) {
      if (i % 1000 === 0) mkdirSync(join(files, `${i / 1000}`), { recursive: true });
      writeFileSync(join(files, `${Math.floor(i / 1000)}`, `${i}`), 'x');
    }
    const [began, cpu] = [performance.now(), process.cpuUsage()];
    const all = await store.list('many/');
    if (process.env['EMOTUNE_S3_KEYS'])
      process.stderr.write(
        `${count} keys listed in ${((performance.now() - began) / 1000).toFixed(1)} s, ${(process.cpuUsage(cpu).user / 1e6).toFixed(1)} s of them ours\n`,
      );
    expect(all).toHaveLength(count);
    expect(new Set(all.map(({ key }) => key)).size).toBe(count);
    await store.delete('many');
    expect(await store.list('')).toEqual([]);
  });

  it.each<[string, (url: URL) => Record<string, string>, abstract new (...args: never[]) => Error, string]>([
    [
      'a bucket that is not there',
      (url) => {
        url.host = 'no-such-bucket';
        return {};
      },
      FailedPrecondition,
      'there is no such bucket; create it, or name another in EMOTUNE_OBJECTS_URL',
    ],
    [
      'a wrong secret',
      () => ({ AWS_SECRET_ACCESS_KEY: 'wrong' }),
      FailedPrecondition,
      'the credentials are not accepted (SignatureDoesNotMatch); check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    ],
    [
      'an unknown key',
      () => ({ AWS_ACCESS_KEY_ID: 'nobody' }),
      FailedPrecondition,
      'the credentials are not accepted (InvalidAccessKeyId)',
    ],
    [
      'no credentials',
      () => ({ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_EC2_METADATA_DISABLED: 'true' }),
      FailedPrecondition,
      'no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, mount a credentials file, or give the pod an identity',
    ],
    [
      'a server that is not there',
      (url) => {
        url.searchParams.set('endpoint', 'http://127.0.0.1:1');
        return {};
      },
      Unavailable,
      'cannot be reached to list its objects: connect ECONNREFUSED',
    ],
  ])('tells of %s, and what to do', async (_, change, kind, message) => {
    const url = new URL((await fresh()).url);
    const before = { ...process.env };
    Object.assign(process.env, { HOME: folder }, change(url));
    try {
      const failed = await openObjectStore(url.href, process.env, 300).catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(kind);
      expect((failed as Error).message).toContain(message);
    } finally {
      process.env = before;
    }
  });

  describe('a user who may not do everything', () => {
    /** The store as that user sees it. */
    async function storeOf({ accessKeyId, secretAccessKey }: S3Keys, url: string): Promise<ObjectStore> {
      const before = { ...process.env };
      Object.assign(process.env, {
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      });
      try {
        return await openObjectStore(url);
      } finally {
        process.env = before;
      }
    }
    const told = (doing: string) => `may not ${doing} (AccessDenied); allow s3:ListBucket`;

    it('is told so where nothing is allowed', async () => {
      const { url } = await fresh();
      const refused = await storeOf(await s3.user('guest'), url).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(FailedPrecondition);
      expect((refused as Error).message).toContain(told('list its objects'));
    });

    it('reads where that is allowed, and is told what else is not: nothing is half written or half removed', async () => {
      const store = await fresh();
      await store.put('a/one', 'one');
      await store.put('a/two', 'two');
      const user = await s3.user('reader');
      const of = (Action: string[], Resource: string) => ({
        ...{ Effect: 'Allow', Principal: { AWS: [user.accessKeyId] }, Action },
        Resource: `arn:aws:s3:::${Resource}`,
      });
      const Statement = [of(['s3:ListBucket'], Bucket), of(['s3:GetObject'], `${Bucket}/*`)];
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
      await client.send(new PutBucketPolicyCommand({ Bucket, Policy }));

      const reader = await storeOf(user, store.url);
      expect(Buffer.from(await reader.get('a/one')).toString()).toBe('one');
      const files = mkdtempSync(join(folder, 'files-'));
      writeFileSync(join(files, 'file'), 'x');
      const key = (name: string) => keyOf(store, name);
      async function* stream() {
        yield noise(large, 'refused');
      }
      const attempts: [string, () => Promise<void>][] = [
        [`put ${key('a/one')}`, () => reader.put('a/one', 'other')],
        [`put ${key('large')}`, () => reader.put('large', noise(large, 'refused'))],
        [`put ${key('stream')}`, () => reader.put('stream', stream())],
        [`put ${key('b/file')}`, () => reader.putFolder('b', files)],
        [`delete ${key('a')}`, () => reader.delete('a')],
        [`delete ${key('a/one')}`, () => reader.deleteOld('a/one', Infinity)],
      ];
      for (const [doing, attempt] of attempts) {
        const refused = await attempt().catch((error: unknown) => error);
        expect(refused, doing).toBeInstanceOf(FailedPrecondition);
        expect((refused as Error).message).toContain(told(doing));
      }
      expect((await store.list('')).map((found) => found.key)).toEqual(['a/one', 'a/two']);
      expect(Buffer.from(await store.get('a/one')).toString()).toBe('one');
      expect([await uploads(store), await store.leftovers(0, false)]).toEqual([[], []]);
      expect(readdirSync(join(folder, 'cache', 'incoming'))).toEqual([]);
    });
  });

  it('tells of a region that is not the one of the bucket', async () => {
    const url = new URL((await fresh()).url);
    url.searchParams.set('region', 'eu-north-1');
    await expect(openObjectStore(url.href)).rejects.toThrow(
      `s3://${Bucket} at ${s3.endpoint}: the bucket is in another region; set AWS_REGION to us-east-1`,
    );
  });
});
