/**
 * GGUF, the file of llama.cpp: typed metadata, tensor descriptions, the tensors' bytes (specification:
 * ggml/docs/gguf.md). Read by hand, because its bytes have to be checked against the size of the file before anything is
 * allocated by them.
 */
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { InvalidArgument, show } from '@emotune/base';
import type { Shape } from '@emotune/graph';
import { openModelFile, readFully } from './file-bytes.js';
import { type BlockType, blockTypes, otherTypes } from './gguf-blocks.js';

type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** Integers of 64 bits are numbers where they are safe. Lists of booleans are bytes 0 and 1. */
export type GgufValue = number | bigint | boolean | string | readonly string[] | GgufNumbers;

export interface GgufTensor {
  readonly type: BlockType;
  /** Slowest dimension first, as Hugging Face has it. */
  readonly shape: Shape;
  /** Byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

/** Metadata and tensor descriptions that are longer belong to no model: vocabularies of 250,000 tokens take 10 MB. */
const largestHeader = 2 ** 28;
const longestKey = 65_535;
const mostDimensions = 4;
const firstRead = 2 ** 20;
/** Raw bytes held while a tensor is dequantised. */
const chunkBytes = 2 ** 22;

const boolKind = 7;
const stringKind = 8;
const listKind = 9;

interface NumberKind {
  readonly bytes: number;
  readonly read: (view: DataView, at: number) => number | bigint;
  readonly list: (bytes: ArrayBuffer) => GgufNumbers;
}

const numberKinds: Readonly<Record<number, NumberKind>> = {
  0: { bytes: 1, read: (v, at) => v.getUint8(at), list: (b) => new Uint8Array(b) },
  1: { bytes: 1, read: (v, at) => v.getInt8(at), list: (b) => new Int8Array(b) },
  2: { bytes: 2, read: (v, at) => v.getUint16(at, true), list: (b) => new Uint16Array(b) },
  3: { bytes: 2, read: (v, at) => v.getInt16(at, true), list: (b) => new Int16Array(b) },
  4: { bytes: 4, read: (v, at) => v.getUint32(at, true), list: (b) => new Uint32Array(b) },
  5: { bytes: 4, read: (v, at) => v.getInt32(at, true), list: (b) => new Int32Array(b) },
  6: { bytes: 4, read: (v, at) => v.getFloat32(at, true), list: (b) => new Float32Array(b) },
  7: { bytes: 1, read: (v, at) => v.getUint8(at), list: (b) => new Uint8Array(b) },
  10: { bytes: 8, read: (v, at) => v.getBigUint64(at, true), list: (b) => new BigUint64Array(b) },
  11: { bytes: 8, read: (v, at) => v.getBigInt64(at, true), list: (b) => new BigInt64Array(b) },
  12: { bytes: 8, read: (v, at) => v.getFloat64(at, true), list: (b) => new Float64Array(b) },
};

/** The bytes read so far end before the header does. */
class HeaderGoesOn extends Error {}

/** Reads values one after the other from the beginning of a file of `fileBytes`. */
class Cursor {
  at = 0;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Buffer,
    private readonly fileBytes: number,
    private readonly file: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  wrong(field: string, description: string): InvalidArgument {
    return InvalidArgument.at(`${this.file}${field ? `: ${field}` : ''}`, description);
  }

  /** Where the next `count` items of at least `bytes` each begin, after a check that the file can hold them. */
  private take(field: string, count: number | bigint, bytes: number): number {
    const left = this.fileBytes - this.at;
    if (BigInt(count) * BigInt(bytes) > BigInt(left)) {
      throw this.wrong(
        field,
        `expected at most the ${left} bytes that are left in the file, got ${count} × ${bytes}: the file is cut short or damaged`,
      );
    }
    const begin = this.at;
    const end = begin + Number(count) * bytes;
    if (end > largestHeader)
      throw this.wrong(field, `expected metadata of at most ${largestHeader} bytes, got more`);
    if (end > this.bytes.length) throw new HeaderGoesOn();
    this.at = end;
    return begin;
  }

  uint32(field: string): number {
    return this.view.getUint32(this.take(field, 1, 4), true);
  }

  uint64(field: string): bigint {
    return this.view.getBigUint64(this.take(field, 1, 8), true);
  }

  /** A count of things that each take at least `bytes` in the file. */
  count(field: string, bytes: number): number {
    const count = this.uint64(field);
    const begin = this.at;
    this.take(field, count, bytes);
    this.at = begin;
    return Number(count);
  }

  string(field: string): string {
    const length = this.uint64(field);
    const begin = this.take(field, length, 1);
    return this.bytes.toString('utf8', begin, this.at);
  }

  value(field: string): GgufValue {
    const kind = this.uint32(field);
    if (kind === stringKind) return this.string(field);
    if (kind === listKind) return this.list(field);
    const number = numberKinds[kind];
    if (!number) throw this.wrong(field, `expected a known type of value, got type ${kind}`);
    const value = number.read(this.view, this.take(field, 1, number.bytes));
    if (kind === boolKind) return value !== 0;
    return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  private list(field: string): readonly string[] | GgufNumbers {
    const kind = this.uint32(field);
    if (kind === stringKind) {
      const count = this.count(field, 8);
      const strings: string[] = [];
      for (let i = 0; i < count; i++) strings.push(this.string(`${field}[${i}]`));
      return strings;
    }
    const number = numberKinds[kind];
    if (!number) throw this.wrong(field, `expected a list of strings or numbers, got type ${kind}`);
    const begin = this.take(field, this.uint64(field), number.bytes);
    const copy = new ArrayBuffer(this.at - begin);
    new Uint8Array(copy).set(this.bytes.subarray(begin, this.at));
    return number.list(copy);
  }
}

interface Header {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

function parseMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = cursor.string(`metadata key ${i}`);
    if (key.length === 0 || key.length > longestKey)
      throw cursor.wrong(`metadata key ${i}`, `expected 1 to ${longestKey} characters, got ${key.length}`);
    if (metadata.has(key)) throw cursor.wrong(key, 'expected each key once, got it twice');
    metadata.set(key, cursor.value(key));
  }
  return metadata;
}

/** Descriptions of tensors, their byte ranges counted from the beginning of the tensor data. */
function parseTensors(cursor: Cursor, count: number, alignment: number): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (let i = 0; i < count; i++) {
    const name = cursor.string(`tensor ${i}`);
    if (tensors.has(name)) throw cursor.wrong(name, 'expected each tensor once, got it twice');
    const dimensions = cursor.uint32(name);
    if (dimensions > mostDimensions)
      throw cursor.wrong(name, `expected at most ${mostDimensions} dimensions, got ${dimensions}`);
    const sizes = Array.from({ length: dimensions }, () => cursor.uint64(name));
    const code = cursor.uint32(name);
    const offset = cursor.uint64(name);
    const type = blockTypes[code];
    if (type === undefined) {
      const read = Object.values(blockTypes).map((known) => known.name);
      throw cursor.wrong(
        name,
        `expected one of ${read.join(', ')}, got ${otherTypes[code] ?? `the unknown type ${code}`}; convert the model to one of these`,
      );
    }
    const elements = sizes.reduce((n, size) => n * size, 1n);
    if (elements > BigInt(Number.MAX_SAFE_INTEGER))
      throw cursor.wrong(name, `expected at most 2^53 elements, got [${[...sizes].reverse()}]`);
    if ((sizes[0] ?? 1n) % BigInt(type.elements) !== 0n)
      throw cursor.wrong(
        name,
        `expected rows of a multiple of ${type.elements} elements for ${type.name}, got ${sizes[0] ?? 1}`,
      );
    if (offset % BigInt(alignment) !== 0n)
      throw cursor.wrong(name, `expected an offset that is a multiple of ${alignment}, got ${offset}`);
    const begin = Number(offset);
    const end = begin + (Number(elements) / type.elements) * type.bytes;
    if (!Number.isSafeInteger(end))
      throw cursor.wrong(name, `expected bytes within the file, got offset ${offset}`);
    tensors.set(name, { type, shape: sizes.map(Number).reverse(), begin, end });
  }
  return tensors;
}

function placeTensors(
  cursor: Cursor,
  tensors: ReadonlyMap<string, GgufTensor>,
  start: number,
  fileBytes: number,
): Map<string, GgufTensor> {
  const placed = new Map<string, GgufTensor>();
  for (const [name, tensor] of tensors) {
    const [begin, end] = [start + tensor.begin, start + tensor.end];
    if (end > fileBytes)
      throw cursor.wrong(
        name,
        `expected bytes within the file of ${fileBytes}, got ${begin}..${end}: the file is cut short`,
      );
    placed.set(name, { ...tensor, begin, end });
  }
  const sorted = [...placed].sort(([, p], [, q]) => p.begin - q.begin || p.end - q.end);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i][1].begin < sorted[i - 1][1].end)
      throw cursor.wrong(
        sorted[i][0],
        `expected bytes of its own, got a range that overlaps ${sorted[i - 1][0]}`,
      );
  }
  return placed;
}

/** Checks everything before the tensors' bytes against the size of the file. */
function parseHeader(bytes: Buffer, fileBytes: number, file: string): Header {
  const cursor = new Cursor(bytes, fileBytes, file);
  if (fileBytes < 4 || bytes.toString('latin1', 0, 4) !== 'GGUF')
    throw cursor.wrong(
      '',
      `expected a file that begins with GGUF, got ${show(bytes.toString('latin1', 0, 4))}`,
    );
  cursor.uint32('magic');
  const version = cursor.uint32('version');
  if (version !== 2 && version !== 3) {
    const big = version !== 0 && (version & 0xffff) === 0;
    throw cursor.wrong(
      'version',
      `expected 2 or 3, got ${version}${big ? ': the file is big-endian' : ''}; convert the model again with a current llama.cpp`,
    );
  }
  // Shortest tensor: empty name, no dimension, type, offset. Shortest entry: empty key, type, one byte.
  const tensorCount = cursor.count('tensor count', 24);
  const entryCount = cursor.count('metadata count', 13);
  const metadata = parseMetadata(cursor, entryCount);
  const alignment = metadata.get('general.alignment') ?? 32;
  if (
    typeof alignment !== 'number' ||
    !(alignment >= 1 && alignment <= 2 ** 20) ||
    Math.log2(alignment) % 1 !== 0
  )
    throw cursor.wrong('general.alignment', `expected a power of two up to 2^20, got ${show(alignment)}`);
  const tensors = parseTensors(cursor, tensorCount, alignment);
  const start = Math.ceil(cursor.at / alignment) * alignment;
  return { metadata, tensors: placeTensors(cursor, tensors, start, fileBytes) };
}

/** Reads as much of the beginning as the header takes. */
async function readHeader(handle: FileHandle, fileBytes: number, file: string): Promise<Header> {
  for (let length = firstRead; ; length *= 4) {
    const bytes = Buffer.alloc(Math.min(length, fileBytes));
    await readFully(handle, bytes, 0, file);
    try {
      return parseHeader(bytes, fileBytes, file);
    } catch (error) {
      if (!(error instanceof HeaderGoesOn)) throw error;
    }
  }
}

/** An open file: metadata and descriptions are read, tensors are read when asked for. Close it. */
export class GgufFile {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;

  private constructor(
    readonly path: string,
    header: Header,
    private readonly handle: FileHandle,
  ) {
    this.metadata = header.metadata;
    this.tensors = header.tensors;
  }

  /** @throws NotFound; InvalidArgument naming what is wrong with the header. */
  static async open(path: string): Promise<GgufFile> {
    const { handle, bytes } = await openModelFile(path, 'a GGUF file');
    try {
      return new GgufFile(path, await readHeader(handle, bytes, basename(path)), handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private tensor(name: string): GgufTensor {
    const found = this.tensors.get(name);
    if (!found)
      throw InvalidArgument.at(`${basename(this.path)}: ${name}`, 'expected a tensor of that name, got none');
    return found;
  }

  /** A tensor as float32. */
  async float32(name: string): Promise<{ shape: Shape; data: Float32Array }> {
    const { type, shape, begin, end } = this.tensor(name);
    const { elements, bytes, decode } = type;
    const data = new Float32Array(shape.reduce((n, d) => n * d, 1));
    const step = Math.floor(chunkBytes / bytes) * bytes;
    const buffer = new Uint8Array(Math.min(step, end - begin));
    for (let at = 0; at < end - begin; at += step) {
      const piece = buffer.subarray(0, Math.min(step, end - begin - at));
      await readFully(this.handle, piece, begin + at, this.path);
      const first = (at / bytes) * elements;
      decode(piece, data.subarray(first, first + (piece.length / bytes) * elements));
    }
    return { shape, data };
  }

  /** Whether two tensors hold the same bytes as the same type and shape. */
  async same(one: string, other: string): Promise<boolean> {
    const [p, q] = [this.tensor(one), this.tensor(other)];
    if (p.type !== q.type || String(p.shape) !== String(q.shape)) return false;
    const size = p.end - p.begin;
    const [a, b] = [Buffer.alloc(Math.min(chunkBytes, size)), Buffer.alloc(Math.min(chunkBytes, size))];
    for (let at = 0; at < size; at += chunkBytes) {
      const length = Math.min(chunkBytes, size - at);
      await readFully(this.handle, a.subarray(0, length), p.begin + at, this.path);
      await readFully(this.handle, b.subarray(0, length), q.begin + at, this.path);
      if (a.compare(b, 0, length, 0, length) !== 0) return false;
    }
    return true;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
