/**
 * Blocks of quantised weights as ggml lays them out (ggml-common.h, dequantize_row_* of ggml-quants.c), decoded to
 * float32. d and m are scale and offset of a block, both float16; a weight is q·d or q·d + m, rounded once.
 */
import { bfloat16ToFloat32, float16ToFloat32, half } from '@emotune/engine';

export interface BlockType {
  readonly name: string;
  /** Weights of a block. */
  readonly elements: number;
  /** Their size in the file. */
  readonly bytes: number;
  /** Decodes whole blocks; `from` begins at an even address of its buffer. */
  readonly decode: (from: Uint8Array, to: Float32Array) => void;
}

type DecodeBlock = (from: Uint8Array, at: number, to: Float32Array, first: number) => void;

/** A type from how one of its blocks, at byte `at`, becomes the weights from `first` on. */
function blocks(name: string, elements: number, bytes: number, decodeBlock: DecodeBlock): BlockType {
  return {
    name,
    elements,
    bytes,
    decode: (from, to) => {
      for (let at = 0, first = 0; at < from.length; at += bytes, first += elements)
        decodeBlock(from, at, to, first);
    },
  };
}

function float16At(from: Uint8Array, at: number): number {
  return half[from[at] | (from[at + 1] << 8)];
}

/** d, [m], [fifth bits of 32 weights], 16 bytes with the low bits of weight i and i + 16; `zero` stands for 0. */
function legacy(
  name: string,
  { offset, fifth, zero }: { offset: boolean; fifth: boolean; zero: number },
): BlockType {
  const high = offset ? 4 : 2;
  const low = high + (fifth ? 4 : 0);
  return blocks(name, 32, low + 16, (from, at, to, first) => {
    const d = float16At(from, at);
    const m = offset ? float16At(from, at + 2) : 0;
    const at5 = at + high;
    const bits = fifth ? from[at5] | (from[at5 + 1] << 8) | (from[at5 + 2] << 16) | (from[at5 + 3] << 24) : 0;
    for (let i = 0; i < 16; i++) {
      const byte = from[at + low + i];
      to[first + i] = ((byte & 15) + (((bits >>> i) & 1) << 4) - zero) * d + m;
      to[first + i + 16] = ((byte >> 4) + (((bits >>> (i + 16)) & 1) << 4) - zero) * d + m;
    }
  });
}

const q8 = blocks('Q8_0', 32, 34, (from, at, to, first) => {
  const d = float16At(from, at);
  for (let i = 0; i < 32; i++) to[first + i] = ((from[at + 2 + i] << 24) >> 24) * d;
});

/** Scale and minimum of eight groups of 32, 6 bits each, packed into 12 bytes. */
const groupScale = new Uint8Array(8);
const groupMinimum = new Uint8Array(8);

function unpackGroups(from: Uint8Array, at: number): void {
  for (let j = 0; j < 4; j++) {
    groupScale[j] = from[at + j] & 63;
    groupMinimum[j] = from[at + j + 4] & 63;
    const packed = from[at + j + 8];
    groupScale[j + 4] = (packed & 15) | ((from[at + j] >> 6) << 4);
    groupMinimum[j + 4] = (packed >> 4) | ((from[at + j + 4] >> 6) << 4);
  }
}

/** Super-blocks of 256: d, minimum's d, 12 bytes of groups, [fifth bits], 4 bits of each weight. */
function grouped(name: string, fifth: boolean): BlockType {
  const high = 16;
  const low = high + (fifth ? 32 : 0);
  return blocks(name, 256, low + 128, (from, at, to, first) => {
    const d = float16At(from, at);
    const dMinimum = float16At(from, at + 2);
    unpackGroups(from, at + 4);
    for (let group = 0; group < 8; group++) {
      const scale = d * groupScale[group];
      const minimum = dMinimum * groupMinimum[group];
      const bytes = at + low + 32 * (group >> 1);
      const shift = 4 * (group & 1);
      const out = first + 32 * group;
      for (let i = 0; i < 32; i++) {
        const fifthBit = fifth ? ((from[at + high + i] >> group) & 1) << 4 : 0;
        to[out + i] = scale * (((from[bytes + i] >> shift) & 15) + fifthBit) - minimum;
      }
    }
  });
}

/** Super-blocks of 256: 4 low bits, 2 high bits, 16 scales (int8) of 16 weights each, d. */
const q6k = blocks('Q6_K', 256, 210, (from, at, to, first) => {
  const d = float16At(from, at + 208);
  for (let part = 0; part < 2; part++) {
    const low = at + 64 * part;
    const high = at + 128 + 32 * part;
    const scales = at + 192 + 8 * part;
    for (let quarter = 0; quarter < 4; quarter++) {
      const lowAt = low + 32 * (quarter & 1);
      const shift = 4 * (quarter >> 1);
      const out = first + 128 * part + 32 * quarter;
      for (let i = 0; i < 32; i++) {
        const q = ((from[lowAt + i] >> shift) & 15) | (((from[high + i] >> (2 * quarter)) & 3) << 4);
        const scale = (from[scales + 2 * quarter + (i >> 4)] << 24) >> 24;
        to[out + i] = d * scale * (q - 32);
      }
    }
  }
});

/** The types that are read here, by their code in the file. */
export const blockTypes: Readonly<Record<number, BlockType>> = {
  0: {
    name: 'F32',
    elements: 1,
    bytes: 4,
    decode: (from, to) => new Uint8Array(to.buffer, to.byteOffset, to.byteLength).set(from),
  },
  1: { name: 'F16', elements: 1, bytes: 2, decode: float16ToFloat32 },
  2: legacy('Q4_0', { offset: false, fifth: false, zero: 8 }),
  3: legacy('Q4_1', { offset: true, fifth: false, zero: 0 }),
  6: legacy('Q5_0', { offset: false, fifth: true, zero: 16 }),
  7: legacy('Q5_1', { offset: true, fifth: true, zero: 0 }),
  8: q8,
  12: grouped('Q4_K', false),
  13: grouped('Q5_K', true),
  14: q6k,
  30: { name: 'BF16', elements: 1, bytes: 2, decode: bfloat16ToFloat32 },
};

/** Names of the other types, to refuse them by. */
export const otherTypes: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};
