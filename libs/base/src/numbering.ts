/**
 * Numbers keys in the order in which they first come, without keeping an object for each: a key is a few 32-bit words, such as the
 * beginning of a hash. 16 bytes of one tell any number of texts apart that a machine can hold.
 */
export class Numbering {
  private keys: Uint32Array;
  /** Numbers by the hash of their key, with open addressing; −1: none. */
  private slots: Int32Array;
  private count = 0;

  /** @param words of each key */
  constructor(private readonly words: number) {
    this.keys = new Uint32Array(words * 1024);
    this.slots = new Int32Array(2048).fill(-1);
  }

  /** How many keys there are. */
  get size(): number {
    return this.count;
  }

  /** The number of a key; it is `size` before where the key is new. */
  add(key: ArrayLike<number>): number {
    const at = this.slotOf(key);
    if (this.slots[at] >= 0) return this.slots[at];
    const number = this.count++;
    this.slots[at] = number;
    this.keys = grown(this.keys, this.count * this.words);
    for (let k = 0; k < this.words; k++) this.keys[number * this.words + k] = key[k];
    if (2 * this.count > this.slots.length) this.widen();
    return number;
  }

  /** The number of a key; undefined where it never came. */
  get(key: ArrayLike<number>): number | undefined {
    const number = this.slots[this.slotOf(key)];
    return number < 0 ? undefined : number;
  }

  private slotOf(key: ArrayLike<number>): number {
    const { words, keys, slots } = this;
    const mask = slots.length - 1;
    let at = 0;
    for (let k = 0; k < words; k++) at = Math.imul(at ^ key[k], 0x9e3779b1) + (at >>> 15);
    for (at &= mask; ; at = (at + 1) & mask) {
      const number = slots[at];
      if (number < 0) return at;
      let k = 0;
      while (k < words && keys[number * words + k] === key[k]) k++;
      if (k === words) return at;
    }
  }

  private widen(): void {
    this.slots = new Int32Array(2 * this.slots.length).fill(-1);
    for (let n = 0; n < this.count; n++)
      this.slots[this.slotOf(this.keys.subarray(n * this.words, (n + 1) * this.words))] = n;
  }
}

/** An array that holds so many values at least: the same one, or one of half as much again. */
export function grown<T extends Uint8Array | Int32Array | Uint32Array | Float64Array>(
  array: T,
  length: number,
): T {
  if (length <= array.length) return array;
  const Kind = array.constructor as new (length: number) => T;
  const larger = new Kind(Math.max(length, Math.ceil(1.5 * array.length)));
  larger.set(array as never);
  return larger;
}
