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
