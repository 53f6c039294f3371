/** Tensors of the host as tensors of TensorFlow.js, and back. */
import { InvalidArgument } from '@emotune/base';
import type { DType, Shape } from '@emotune/graph';
import type { DataType, Tensor } from '@tensorflow/tfjs-core';
import { half, toFloat16 } from '../float16.js';
import { bool, float16, float32, type HostTensor, int8, int64, reading, uint8 } from '../tensor.js';
import type { Tf } from './load.js';

/** What stands for each type there. */
const typeOf: Readonly<Record<DType, DataType>> = {
  float32: 'float32',
  float16: 'float32',
  int64: 'int32',
  int8: 'int32',
  uint8: 'int32',
  bool: 'bool',
};

function widened(bits: Uint16Array): Float32Array {
  return Float32Array.from(bits, (b) => half[b]);
}

/** @throws InvalidArgument for an integer that 32 bits do not hold. */
function narrowed(name: string, values: BigInt64Array): Int32Array {
  const narrow = Int32Array.from(values, Number);
  const wrong = values.findIndex((v, i) => BigInt(narrow[i]) !== v);
  if (wrong >= 0) throw InvalidArgument.at(name, `expected integers of 32 bits, got ${values[wrong]}`);
  return narrow;
}

/** A copy on the device. */
export function toDevice(tf: Tf, name: string, tensor: HostTensor): Tensor {
  return reading(tensor, ({ dtype, shape, data }) => {
    const values =
      dtype === 'float16'
        ? widened(data as Uint16Array)
        : dtype === 'int64'
          ? narrowed(name, data as BigInt64Array)
          : dtype === 'float32'
            ? (data as Float32Array).slice()
            : dtype === 'bool'
              ? (data as Uint8Array).slice()
              : Int32Array.from(data as Uint8Array);
    return tf.tensor(values, [...shape], typeOf[dtype]);
  });
}

/** A copy on the host. */
export async function toHost(tensor: Tensor, dtype: DType, shape: Shape): Promise<HostTensor> {
  const values = await tensor.data();
  switch (dtype) {
    case 'float32':
      return float32(shape, Float32Array.from(values));
    case 'float16':
      return float16(shape, toFloat16(Float32Array.from(values)));
    case 'int64':
      return int64(shape, values);
    case 'int8':
      return int8(shape, Int8Array.from(values));
    case 'uint8':
      return uint8(shape, Uint8Array.from(values));
    case 'bool':
      return bool(shape, Uint8Array.from(values));
  }
}
