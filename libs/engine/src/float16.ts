/** Half precision as float32: float16 (IEEE 754 binary16) and bfloat16. */

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Every float16 by its bits. */
export const half = new Float32Array(65536);
for (let bits = 0; bits < half.length; bits++) half[bits] = halfToNumber(bits);

/** Bits of float16, two bytes each from an even address on, as float32. */
export function float16ToFloat32(from: Uint8Array, to: Float32Array): void {
  const bits = new Uint16Array(from.buffer, from.byteOffset, to.length);
  for (let i = 0; i < bits.length; i++) to[i] = half[bits[i]];
}

/** Bits of bfloat16, the upper half of float32's, two bytes each from an even address on, as float32. */
export function bfloat16ToFloat32(from: Uint8Array, to: Float32Array): void {
  const bits = new Uint16Array(from.buffer, from.byteOffset, to.length);
  const out = new Uint32Array(to.buffer, to.byteOffset, to.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i] << 16;
}

/** Float32 to the nearest float16, ties to even (the platform's conversion). */
export function toFloat16(data: Float32Array): Uint16Array {
  const out = new Uint16Array(data.length);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  for (let i = 0; i < data.length; i++) {
    value[0] = data[i];
    const b = bits[0];
    const sign = (b >>> 16) & 0x8000;
    const exponent = (b >>> 23) & 255;
    const fraction = b & 0x7fffff;
    if (exponent === 255) out[i] = sign | 0x7c00 | (fraction ? 0x200 : 0);
    else {
      // |x| as a multiple of the spacing of float16 at its size; at least 2⁻²⁴.
      const magnitude = Math.abs(data[i]);
      const e = Math.max(-14, Math.min(16, exponent - 127));
      const units = magnitude / 2 ** (e - 10);
      const floor = Math.floor(units);
      const rest = units - floor;
      const rounded = floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
      const code = e === -14 && rounded < 1024 ? rounded : ((e + 15) << 10) + (rounded - 1024);
      out[i] = sign | Math.min(0x7c00, code);
    }
  }
  return out;
}
