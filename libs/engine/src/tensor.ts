/** Tensors on the host: what goes into and comes out of an executor. */
import { closeSync, openSync, readSync } from 'node:fs';
import { InvalidArgument, NotFound } from '@emotune/base';
import { type DType, type Shape, sizeOf } from '@emotune/graph';

type TensorData = Float32Array | Uint16Array | BigInt64Array | Int8Array | Uint8Array;

export interface HostTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Row-major. Booleans are one byte each, float16 are their bits. */
  readonly data: TensorData;
}

/** Bytes `offset` to `offset + length` of a file; `path` is absolute. */
export interface FileRange {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** A float32 tensor that stays in its file, little-endian and row-major, which must not change meanwhile. */
export class FileTensor implements HostTensor {
  readonly dtype = 'float32';

  constructor(
    readonly shape: Shape,
    readonly range: FileRange,
  ) {}

  /** Read anew each time. @throws NotFound when the file is gone or shorter. */
  get data(): Float32Array {
    const { path, offset, length } = this.range;
    const data = new Float32Array(length / 4);
    try {
      const file = openSync(path, 'r');
      try {
        for (let done = 0; done < length; ) {
          const count = readSync(file, data, done, length - done, offset + done);
          if (count === 0) throw new Error('it ended');
          done += count;
        }
      } finally {
        closeSync(file);
      }
    } catch (cause) {
      throw new NotFound(
        `expected ${length} bytes at ${offset} of ${path}, as when the model was loaded (${(cause as Error).message})`,
        { cause },
      );
    }
    return data;
  }
}

const arrays = {
  float32: Float32Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** @throws InvalidArgument when the elements do not fit the type and shape. */
function tensor(dtype: DType, shape: Shape, data: TensorData): HostTensor {
  if (!(data instanceof arrays[dtype]) || data.length !== sizeOf(shape)) {
    throw InvalidArgument.at(
      'tensor',
      `expected ${sizeOf(shape)} elements of ${dtype} for [${shape}], got ${data.length} in a ${data.constructor.name}`,
    );
  }
  return { dtype, shape, data };
}

export function float32(shape: Shape, values: ArrayLike<number>): HostTensor {
  return tensor('float32', shape, values instanceof Float32Array ? values : Float32Array.from(values));
}

/** `bits`: of each number in IEEE 754 binary16. */
export function float16(shape: Shape, bits: Uint16Array): HostTensor {
  return tensor('float16', shape, bits);
}

export function int64(shape: Shape, values: Iterable<number>): HostTensor {
  return tensor('int64', shape, BigInt64Array.from(values as Iterable<never>, BigInt));
}

export function bool(shape: Shape, values: Uint8Array): HostTensor {
  return tensor('bool', shape, values);
}

export function uint8(shape: Shape, values: Uint8Array): HostTensor {
  return tensor('uint8', shape, values);
}

export function int8(shape: Shape, values: Int8Array): HostTensor {
  return tensor('int8', shape, values);
}

/** Gives back the memory of a tensor that nobody reads any more; its array is empty afterwards. */
export function release({ data }: HostTensor): void {
  type Movable = ArrayBufferLike & { transfer?(length: number): ArrayBuffer };
  if (data.length > 0) (data.buffer as Movable).transfer?.(0);
}

/** What `f` makes of a tensor; one that lies in a file is in memory only meanwhile. */
export function reading<T>(tensor: HostTensor, f: (read: HostTensor) => T): T {
  if (!(tensor instanceof FileTensor)) return f(tensor);
  const { dtype, shape, data } = tensor as HostTensor;
  const read = { dtype, shape, data };
  try {
    return f(read);
  } finally {
    release(read);
  }
}
