/**
 * Weights in 4 bits: blocks of 32 inputs of a row share a scale, and one of 16 evenly spaced multiples of it stands for each
 * weight, as in llama.cpp's Q4_0. NF4, QLoRA's own table of 16 values (Dettmers et al. 2023, §3), would be nearer to normal
 * weights, but the runtime's CPU kernel for it multiplies by the wrong side in the gradient and is seven times slower.
 */
import { float32, type HostTensor, uint8 } from '@emotune/engine';
import { int4Block, int4Zero } from '@emotune/graph';

/**
 * Bytes and scales, laid out as `Dequantize4` of the op table has it, of a weight [out, in]. The element of a block that is
 * largest in size becomes −8 times the scale, exactly up to float32's rounding, every other the nearest of −8 … 7 times it.
 */
export function quantizeBlocks({ shape: [out, into], data }: HostTensor): {
  weight: HostTensor;
  scale: HostTensor;
} {
  const source = data as Float32Array;
  const half = Math.ceil(out / 2);
  const blocks = Math.ceil(into / int4Block);
  // The high half of the last byte row of an odd number of rows stands for nothing.
  const bytes = new Uint8Array(half * into);
  const scales = new Float32Array(out * blocks);
  for (let row = 0; row < out; row++) {
    const [at, shift] = row < half ? [row * into, 0] : [(row - half) * into, 4];
    for (let block = 0; block < blocks; block++) {
      const [begin, end] = [block * int4Block, Math.min(into, (block + 1) * int4Block)];
      let far = 0;
      for (let i = begin; i < end; i++) {
        const x = source[row * into + i];
        if (Math.abs(x) > Math.abs(far)) far = x;
      }
      // No negative zero.
      const scale = Math.fround(far / -int4Zero) || 0;
      scales[row * blocks + block] = scale;
      for (let i = begin; i < end; i++) {
        const steps = scale === 0 ? 0 : Math.round(source[row * into + i] / scale);
        // Below −8 only where the scale itself is so small that it was rounded.
        bytes[at + i] |= Math.max(0, Math.min(2 * int4Zero - 1, steps + int4Zero)) << shift;
      }
    }
  }
  return { weight: uint8([half, into], bytes), scale: float32([out, blocks], scales) };
}

/** The weight [out, in] that stands for another once it was held in 4 bits. */
export function throughBlocks(tensor: HostTensor): HostTensor {
  const { weight, scale } = quantizeBlocks(tensor);
  const [out, into] = tensor.shape;
  const [half, blocks] = [weight.shape[0], scale.shape[1]];
  const values = new Float32Array(out * into);
  for (let row = 0; row < out; row++) {
    const [at, shift] = row < half ? [row * into, 0] : [(row - half) * into, 4];
    for (let i = 0; i < into; i++) {
      const bits = ((weight.data as Uint8Array)[at + i] >> shift) & 15;
      values[row * into + i] =
        (bits - int4Zero) * (scale.data as Float32Array)[row * blocks + Math.floor(i / int4Block)];
    }
  }
  return float32(tensor.shape, values);
}
