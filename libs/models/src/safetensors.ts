/**
 * safetensors: an 8-byte little-endian header length, a JSON header, the tensors' bytes. Headers are checked before
 * anything is allocated by them; files are written under a temporary name and renamed when they are whole.
 */

import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { InvalidArgument, show } from '@emotune/base';
import type { FileRange } from '@emotune/engine';
import { bfloat16ToFloat32, float16ToFloat32, toFloat16 } from '@emotune/engine';
import { type Shape, sizeOf } from '@emotune/graph';
import { z } from 'zod';
import { openModelFile, readFully } from './file-bytes.js';

type StoredType = 'F32' | 'F16' | 'BF16' | 'F64' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

const bytesPer: Record<StoredType, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** As in the reference implementation: a larger header is an attack or a mistake. */
const largestHeader = 100_000_000;

export interface TensorEntry {
  readonly dtype: StoredType;
  readonly shape: Shape;
  /** Byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

const entry = z.strictObject({
  dtype: z.enum(Object.keys(bytesPer) as [StoredType, ...StoredType[]]),
  shape: z.array(z.number().int().min(0)),
  data_offsets: z.tuple([z.number().int().min(0), z.number().int().min(0)]),
});

function wrong(file: string, field: string, description: string): InvalidArgument {
  return InvalidArgument.at(`${basename(file)}${field ? `: ${field}` : ''}`, description);
}

interface Header {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** Names that were left out when tensors that share memory were saved, by the name of the one that was kept. */
  readonly aliases: ReadonlyMap<string, string>;
}

/** What `save_model` of safetensors for PyTorch notes of shared tensors among the free texts of a file. */
function aliasesOf(metadata: unknown, entries: ReadonlyMap<string, TensorEntry>): Map<string, string> {
  const pairs = Object.entries(metadata ?? {});
  return new Map(pairs.filter(([alias, name]) => !entries.has(alias) && entries.has(name)));
}

/** Checks a header's JSON against the size of the file. */
function parseHeader(json: string, headerBytes: number, fileBytes: number, file: string): Header {
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch (cause) {
    throw InvalidArgument.at(
      basename(file),
      'expected a JSON header, got other bytes: the file is not safetensors, or damaged',
      { cause },
    );
  }
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw))
    throw wrong(file, '', `expected a header of tensors, got ${show(raw)}`);
  const start = 8 + headerBytes;
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(raw)) {
    if (name === '__metadata__') continue;
    const parsed = entry.safeParse(value);
    if (!parsed.success)
      throw wrong(file, name, `expected dtype, shape and data_offsets, got ${show(value)}`);
    const { dtype, shape, data_offsets: offsets } = parsed.data;
    const bytes = shape.reduce((n, d) => n * d, bytesPer[dtype]);
    if (!Number.isSafeInteger(bytes) || offsets[1] - offsets[0] !== bytes) {
      throw wrong(
        file,
        name,
        `expected ${bytes} bytes for ${dtype} [${shape}], got offsets ${offsets[0]}..${offsets[1]}`,
      );
    }
    if (start + offsets[1] > fileBytes)
      throw wrong(
        file,
        name,
        `expected offsets within ${fileBytes - start} bytes, got ${offsets[1]}: the file is cut short`,
      );
    entries.set(name, { dtype, shape, begin: start + offsets[0], end: start + offsets[1] });
  }
  const sorted = [...entries].sort(([, p], [, q]) => p.begin - q.begin || p.end - q.end);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i][1].begin < sorted[i - 1][1].end)
      throw wrong(
        file,
        sorted[i][0],
        `expected bytes of its own, got a range that overlaps ${sorted[i - 1][0]}`,
      );
  }
  return { entries, aliases: aliasesOf((raw as Record<string, unknown>)['__metadata__'], entries) };
}

function toFloat32(bytes: Uint8Array, dtype: StoredType): Float32Array | undefined {
  if (dtype === 'F32') return new Float32Array(bytes.buffer);
  if (dtype !== 'F16' && dtype !== 'BF16') return undefined;
  const data = new Float32Array(bytes.length / 2);
  if (dtype === 'F16') float16ToFloat32(bytes, data);
  else bfloat16ToFloat32(bytes, data);
  return data;
}

/** An open file: the header is read, tensors are read when asked for. Close it. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    readonly entries: ReadonlyMap<string, TensorEntry>,
    readonly aliases: ReadonlyMap<string, string>,
    private readonly handle: FileHandle,
  ) {}

  /** @throws NotFound; InvalidArgument naming what is wrong with the header. */
  static async open(path: string): Promise<SafetensorsFile> {
    const { handle, bytes: size } = await openModelFile(path, 'a safetensors file');
    try {
      if (size < 8) throw wrong(path, '', `expected at least 8 bytes, got ${size}`);
      const head = Buffer.alloc(8);
      await readFully(handle, head, 0, path);
      const length = head.readBigUInt64LE();
      if (length > BigInt(Math.min(largestHeader, size - 8))) {
        throw wrong(
          path,
          '',
          `expected a header of at most ${Math.min(largestHeader, size - 8)} bytes, got ${length}`,
        );
      }
      const header = Buffer.alloc(Number(length));
      await readFully(handle, header, 8, path);
      const { entries, aliases } = parseHeader(header.toString('utf8'), header.length, size, path);
      return new SafetensorsFile(path, entries, aliases, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private entry(name: string): TensorEntry {
    const found = this.entries.get(name);
    if (!found) throw wrong(this.path, name, 'expected a tensor of that name, got none');
    return found;
  }

  private async bytes(name: string): Promise<{ entry: TensorEntry; bytes: Uint8Array }> {
    const found = this.entry(name);
    const bytes = new Uint8Array(found.end - found.begin);
    await readFully(this.handle, bytes, found.begin, this.path);
    return { entry: found, bytes };
  }

  /** A tensor as float32. @throws InvalidArgument when it is stored as anything but F32, F16 or BF16. */
  async float32(name: string): Promise<{ shape: Shape; data: Float32Array }> {
    const { entry: found, bytes } = await this.bytes(name);
    const data = toFloat32(bytes, found.dtype);
    if (!data) throw wrong(this.path, name, `expected F32, F16 or BF16, got ${found.dtype}`);
    return { shape: found.shape, data };
  }

  /**
   * Where a tensor's numbers can be used as they lie in the file, in bytes from its beginning: those of F32 (safetensors is
   * little-endian); undefined for other types.
   */
  plainFloat32(name: string): FileRange | undefined {
    const { dtype, begin, end } = this.entry(name);
    return dtype === 'F32' ? { path: resolve(this.path), offset: begin, length: end - begin } : undefined;
  }

  /** A tensor of I64. */
  async int64(name: string): Promise<{ shape: Shape; data: BigInt64Array }> {
    const { entry: found, bytes } = await this.bytes(name);
    if (found.dtype !== 'I64') throw wrong(this.path, name, `expected I64, got ${found.dtype}`);
    return { shape: found.shape, data: new BigInt64Array(bytes.buffer) };
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

export interface WrittenTensor {
  readonly shape: Shape;
  /** A function is called when it is the tensor's turn: one after another is in memory. */
  readonly data: Float32Array | (() => Promise<Float32Array>);
}

/** Writes float tensors. F16 rounds to nearest. The file appears whole or not at all. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, WrittenTensor>,
  options: { dtype: 'F32' | 'F16'; metadata?: Record<string, string> } = { dtype: 'F32' },
): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...options.metadata } };
  let offset = 0;
  for (const [name, { shape }] of tensors) {
    const bytes = sizeOf(shape) * bytesPer[options.dtype];
    header[name] = { dtype: options.dtype, shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = JSON.stringify(header);
  const padded = Buffer.from(
    json.padEnd(Math.ceil(Buffer.byteLength(json) / 8) * 8 - Buffer.byteLength(json) + json.length, ' '),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const temporary = `${path}.${process.pid}.tmp`;
  const handle = await open(temporary, 'w');
  try {
    await handle.write(length);
    await handle.write(padded);
    for (const { data: given } of tensors.values()) {
      const data = typeof given === 'function' ? await given() : given;
      const stored = options.dtype === 'F16' ? toFloat16(data) : data;
      await handle.write(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength));
    }
    await handle.sync();
    await handle.close();
    await rename(temporary, path);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}
