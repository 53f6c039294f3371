import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, NotFound } from '@emotune/base';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GgufFile } from './gguf.js';
import { type BlockType, blockTypes } from './gguf-blocks.js';
import { floats, ggufBytes, string, uint32, uint64, type WrittenFile } from './testing.js';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'emotune-gguf-'));
  path = join(dir, 'model.gguf');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const typeNamed = (name: string): BlockType => Object.values(blockTypes).find((type) => type.name === name)!;

/** Bytes of blocks with finite scales at the places `halves`. */
function blockBytes(size: number, halves: readonly number[]): Uint8Array {
  const count = size > 2 ? 3 : 96;
  const bytes = Uint8Array.from({ length: size * count }, (_, i) => (i * i * 7 + i * 31 + 11) % 256);
  // float16 of 0.0625·(k + 1) + 0.001, and of −0.7 times that.
  const scales = [
    [0x2c10, 0xa9b1],
    [0x3008, 0xada5],
    [0x3208, 0xb039],
  ];
  for (let k = 0; k < count; k++) {
    if (size === 2) bytes[2 * k + 1] &= 0x3f;
    for (const [j, at] of halves.entries()) {
      bytes[k * size + at] = scales[k][j] & 255;
      bytes[k * size + at + 1] = scales[k][j] >> 8;
    }
  }
  return bytes;
}

/** From gguf-py 0.19.0 (`gguf.quants.dequantize`): weights 0, 1, 17, half + 5, last, and the SHA-256 of all as float32. */
const dequantised: [string, number[], number[], string][] = [
  [
    'F16',
    [],
    [0.1575927734375, 0.0288848876953125, 0.00011855363845825195, 0.0004341602325439453, 0.2237548828125],
    '2c8d756b4ae68880',
  ],
  [
    'BF16',
    [],
    [
      2.0227162167429924e-9, 3.1780134079895106e-15, 2.96412655503348e-34, 7.740697632481178e-30,
      3.934837877750397e-8,
    ],
    '81448aeec0217970',
  ],
  ['Q8_0', [0], [6.4111328125, -5.6494140625, 3.4912109375, -6.9287109375, 9.9892578125], '0781632f13c45abb'],
  ['Q4_0', [0], [-0.1904296875, -0.0634765625, 0.126953125, -0.755859375, -0.75390625], '1edeb7ad76fbb104'],
  [
    'Q4_1',
    [0, 2],
    [0.399871826171875, 0.272918701171875, 0.272918701171875, 0.91961669921875, 0.8104248046875],
    '1b35321573b22e09',
  ],
  ['Q5_0', [0], [0.0634765625, -0.3173828125, 0.1904296875, 1.6376953125, 1.3193359375], 'b87c2d711f06a787'],
  [
    'Q5_1',
    [0, 2],
    [1.161590576171875, 1.542449951171875, 0.272918701171875, 1.80145263671875, 1.1873779296875],
    '24b9faeec9b02eb8',
  ],
  [
    'Q4_K',
    [0, 2],
    [38.536712646484375, 3.624603271484375, 3.624603271484375, 40.12359619140625, 42.408447265625],
    '9027490d3a343336',
  ],
  [
    'Q5_K',
    [0, 2],
    [94.39608764648438, 59.483978271484375, 59.483978271484375, 166.93157958984375, 106.338623046875],
    '7b8fa2dd49649ccd',
  ],
  [
    'Q6_K',
    [208],
    [128.5400390625, -71.4111328125, 14.2822265625, 153.0615234375, 395.80078125],
    'e2e7a2efa848b98a',
  ],
];

describe('blocks', () => {
  it.each(dequantised)('%s is what gguf-py makes of it, to the bit', (name, halves, some, digest) => {
    const { bytes, elements, decode } = typeNamed(name);
    const from = blockBytes(bytes, halves);
    const to = new Float32Array((from.length / bytes) * elements);
    decode(from, to);
    expect([0, 1, 17, to.length / 2 + 5, to.length - 1].map((i) => to[i])).toEqual(some);
    expect(createHash('sha256').update(floats(to)).digest('hex').slice(0, 16)).toBe(digest);
  });

  it('are all tested', () => {
    expect(new Set(['F32', ...dequantised.map(([name]) => name)])).toEqual(
      new Set(Object.values(blockTypes).map(({ name }) => name)),
    );
  });
});

const weights = Float32Array.of(1, -2.5, 3e-8, 4, 5, 6);
const small: WrittenFile = {
  metadata: {
    'general.architecture': { string: 'llama' },
    'a.count': { uint64: 7n },
    'a.huge': { uint64: 2n ** 63n },
    'a.flag': { bool: true },
    'a.names': { strings: ['ä', ''] },
    'a.kinds': { int32s: [-1, 3] },
  },
  tensors: [
    { name: 'w', shape: [2, 3], bytes: floats(weights) },
    { name: 'half', shape: [2], type: 1, bytes: Uint8Array.of(0, 0x3c, 0, 0xc0) },
    { name: 'empty', shape: [0, 4], bytes: new Uint8Array() },
    { name: 'scalar', shape: [], bytes: floats(Float32Array.of(9)) },
  ],
};

describe('GGUF', () => {
  it.each([{ version: 2 }, { version: 3 }, { alignment: 64, key: true }])(
    'reads what is written: %j',
    async (more) => {
      const { key, ...options } = { key: false, ...more };
      const metadata = { ...small.metadata, ...(key ? { 'general.alignment': { uint32: 64 } } : {}) };
      writeFileSync(path, ggufBytes({ ...small, ...options, metadata }));
      const file = await GgufFile.open(path);
      expect(file.metadata.get('a.count')).toBe(7);
      expect(file.metadata.get('a.huge')).toBe(2n ** 63n);
      expect(file.metadata.get('a.flag')).toBe(true);
      expect(file.metadata.get('a.names')).toEqual(['ä', '']);
      expect(file.metadata.get('a.kinds')).toEqual(Int32Array.of(-1, 3));
      expect(await file.float32('w')).toEqual({ shape: [2, 3], data: weights });
      expect(await file.float32('half')).toEqual({ shape: [2], data: Float32Array.of(1, -2) });
      expect(await file.float32('empty')).toEqual({ shape: [0, 4], data: new Float32Array() });
      expect(await file.float32('scalar')).toEqual({ shape: [], data: Float32Array.of(9) });
      expect(await file.same('w', 'w')).toBe(true);
      expect(await file.same('w', 'scalar')).toBe(false);
      await expect(file.float32('v')).rejects.toThrow('v: expected a tensor of that name');
      await file.close();
    },
  );

  const w = (more: object) => ({ tensors: [{ ...small.tensors![0], ...more }] });
  const entry = (...value: Buffer[]) =>
    Buffer.concat([
      Buffer.from('GGUF'),
      uint32(3),
      uint64(0),
      uint64(1),
      string('k'),
      ...value,
      Buffer.alloc(64),
    ]);

  it.each([
    ['another format', Buffer.from('PK\x03\x04 and more'), 'expected a file that begins with GGUF'],
    ['nothing', Buffer.alloc(0), 'expected a file that begins with GGUF'],
    ['version 1', ggufBytes({ version: 1 }), 'version: expected 2 or 3, got 1'],
    ['a big-endian file', ggufBytes({ version: 0x03000000 }), 'the file is big-endian'],
    [
      '2^60 tensors',
      Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(2n ** 60n), uint64(0)]),
      'tensor count: expected at most',
    ],
    [
      '2^60 keys',
      Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(0), uint64(2n ** 60n)]),
      'metadata count: expected at most',
    ],
    ['a list of 2^50 numbers', entry(uint32(9), uint32(4), uint64(2n ** 50n)), 'k: expected at most the'],
    ['a list of 2^63 strings', entry(uint32(9), uint32(8), uint64(2n ** 63n)), 'k: expected at most the'],
    ['a list of lists', entry(uint32(9), uint32(9), uint64(1)), 'k: expected a list of strings or numbers'],
    ['a text beyond the file', entry(uint32(8), uint64(1000)), 'k: expected at most the'],
    ['an unknown type of value', entry(uint32(13)), 'k: expected a known type of value, got type 13'],
    [
      'an odd alignment',
      ggufBytes({ metadata: { 'general.alignment': { uint32: 24 } } }),
      'general.alignment: expected a power of two',
    ],
    [
      'a tensor twice',
      ggufBytes({ tensors: [...w({}).tensors, ...w({}).tensors] }),
      'w: expected each tensor once',
    ],
    ['five dimensions', ggufBytes(w({ shape: [1, 1, 1, 2, 3] })), 'w: expected at most 4 dimensions, got 5'],
    ['2^64 elements', ggufBytes(w({ shape: [2n ** 32n, 2n ** 32n] })), 'w: expected at most 2^53 elements'],
    ['an unknown type', ggufBytes(w({ type: 77 })), 'w: expected one of F32, F16, Q4_0'],
    ['a type that is not read', ggufBytes(w({ type: 10 })), 'got Q2_K; convert the model'],
    [
      'half a block',
      ggufBytes(w({ type: 8 })),
      'w: expected rows of a multiple of 32 elements for Q8_0, got 3',
    ],
    [
      'an offset between',
      ggufBytes(w({ offset: 4n })),
      'w: expected an offset that is a multiple of 32, got 4',
    ],
    ['an offset beyond', ggufBytes(w({ offset: 2n ** 62n })), 'w: expected bytes within the file'],
    ['bytes beyond the file', ggufBytes(w({ shape: [200, 3] })), 'the file is cut short'],
    [
      'overlap',
      ggufBytes({
        tensors: [
          { name: 'v', shape: [20], bytes: new Uint8Array(80) },
          { ...small.tensors![0], offset: 32n },
        ],
      }),
      'w: expected bytes of its own, got a range that overlaps v',
    ],
  ])('refuses %s', async (_, bytes, message) => {
    writeFileSync(path, bytes);
    await expect(GgufFile.open(path)).rejects.toThrow(message);
    await expect(GgufFile.open(path)).rejects.toBeInstanceOf(InvalidArgument);
  });

  it('refuses a folder and a missing file', async () => {
    await expect(GgufFile.open(dir)).rejects.toThrow('expected a file, got a folder');
    await expect(GgufFile.open(path)).rejects.toBeInstanceOf(NotFound);
  });
});

async function openOrRefuse(bytes: Uint8Array): Promise<void> {
  writeFileSync(path, bytes);
  try {
    const file = await GgufFile.open(path);
    try {
      for (const name of file.tensors.keys()) await file.float32(name);
    } finally {
      await file.close();
    }
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgument);
  }
}

const mutations = 600;

describe('GGUF of any bytes', () => {
  const good = ggufBytes(small);

  it('is opened or refused, cut at every byte', async () => {
    for (let keep = 0; keep < good.length; keep++) await openOrRefuse(good.subarray(0, keep));
  });

  it('is opened or refused, with bytes changed', async () => {
    const edit = fc.tuple(fc.nat(good.length - 1), fc.constantFrom(0, 1, 7, 8, 9, 127, 128, 255));
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 6 }), async (edits) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of edits) bytes[at] = value;
        await openOrRefuse(bytes);
      }),
      { numRuns: mutations },
    );
  });

  it('is opened or refused, with counts and sizes of any size', async () => {
    const size = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 53n, 2n ** 63n),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 8), size, async (at, value) => {
        const bytes = Buffer.from(good);
        bytes.writeBigUInt64LE(value, at);
        await openOrRefuse(bytes);
      }),
      { numRuns: mutations },
    );
  });
});
