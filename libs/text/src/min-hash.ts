/**
 * Which of many texts nearly equal each other, without comparing all pairs: MinHash (Broder 1997) of character 5-grams, by one
 * permutation with optimal densification (Shrivastava 2017), in bands for locality-sensitive hashing (Leskovec, Rajaraman and Ullman,
 * Mining of Massive Datasets, 3.4). Hashes have 64 bits. What falls into one bucket is compared by its shingles afterwards, so no
 * pair below the threshold is ever joined; of those at it, `missed` at most are not found.
 */

/** Characters (UTF-16 units) of a shingle: what tells short texts apart, whatever the language. */
const shingleUnits = 5;
/** Of a band: two texts meet in it when all of them agree. */
const rowsOfBand = 6;
/** Share of pairs right at the threshold that meet in no band. */
const missed = 1e-3;

/** Bands needed to meet with probability 1 − `missed` at a Jaccard similarity of `threshold`, on (0, 1). */
export function bandsFor(threshold: number): number {
  return Math.ceil(Math.log(missed) / Math.log(1 - threshold ** rowsOfBand));
}

/** Finaliser of MurmurHash3 (Appleby): every bit of 32 depends on every other. */
function mixed(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Two independent words of 32 bits for each shingle of a text, into `high` and `low`; gives how many there are. */
function shingles(text: string, high: Uint32Array, low: Uint32Array): number {
  const last = Math.max(0, text.length - shingleUnits);
  for (let at = 0; at <= last; at++) {
    let hash = 0;
    const end = Math.min(text.length, at + shingleUnits);
    for (let i = at; i < end; i++) hash = Math.imul(hash, 0x01000193) + text.charCodeAt(i) + 1;
    high[at] = mixed(hash);
    low[at] = mixed(Math.imul(hash, 0x9e3779b1) + 0x7f4a7c15);
  }
  return last + 1;
}

/** A hash of 64 bits of any text, as two words. */
export function hashOfText(text: string): readonly [number, number] {
  let [a, b] = [0x811c9dc5, 0xc2b2ae35];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b, 0x85ebca77) + unit;
  }
  return [mixed(a), mixed(b)];
}

/** Makes the keys of texts' bands. Texts whose `kind` differs never meet. */
export class MinHash {
  readonly bands: number;
  private readonly bins: number;
  private readonly taken: Uint8Array;
  private readonly least: Uint32Array;
  private high = new Uint32Array(1024);
  private low = new Uint32Array(1024);

  constructor(threshold: number) {
    this.bands = bandsFor(threshold);
    this.bins = this.bands * rowsOfBand;
    this.taken = new Uint8Array(this.bins);
    this.least = new Uint32Array(this.bins);
  }

  /** Two words for each band, into `keys` from `offset` on. */
  keys(
    text: string,
    [kindHigh, kindLow]: readonly [number, number],
    keys: Uint32Array,
    offset: number,
  ): void {
    this.sign(text);
    const { least } = this;
    for (let band = 0; band < this.bands; band++) {
      let [a, b] = [kindHigh ^ band, kindLow + band];
      for (let row = 0; row < rowsOfBand; row++) {
        const value = least[band * rowsOfBand + row];
        a = mixed(a ^ value);
        b = mixed(Math.imul(b, 31) + value);
      }
      keys[offset + 2 * band] = a;
      keys[offset + 2 * band + 1] = b;
    }
  }

  /** The least hash of the shingles that fall into each bin; an empty one borrows that of the bin that its own hashes choose first. */
  private sign(text: string): void {
    const { bins, taken, least } = this;
    this.reserve(text.length);
    const count = shingles(text, this.high, this.low);
    taken.fill(0);
    for (let i = 0; i < count; i++) {
      const bin = Math.floor((this.high[i] / 2 ** 32) * bins);
      if (taken[bin] === 0 || this.low[i] < least[bin]) least[bin] = this.low[i];
      taken[bin] = 1;
    }
    for (let bin = 0; bin < bins; bin++) {
      if (taken[bin] === 1) continue;
      for (let attempt = 1; ; attempt++) {
        const from = Math.floor((mixed(Math.imul(bin + 1, 0x9e3779b1) + attempt) / 2 ** 32) * bins);
        if (taken[from] === 0) continue;
        least[bin] = least[from];
        break;
      }
    }
  }

  private reserve(units: number): void {
    if (units < this.high.length) return;
    this.high = new Uint32Array(2 * units);
    this.low = new Uint32Array(2 * units);
  }

  /** The shingles of a text, each once, rising, told apart by 32 bits: two of one pair share them once in 10⁵ pairs. */
  shinglesOf(text: string): Uint32Array {
    this.reserve(text.length);
    const count = shingles(text, this.high, this.low);
    const sorted = this.low.slice(0, count).sort();
    let kept = 0;
    for (let i = 0; i < count; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[kept++] = sorted[i];
    return sorted.slice(0, kept);
  }
}

/** Jaccard similarity of two sets, each rising: what they share over what either has, 0..1. */
export function jaccard(a: Uint32Array, b: Uint32Array): number {
  let [shared, i, j] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      shared++;
      i++;
      j++;
    } else if (a[i] < b[j]) i++;
    else j++;
  }
  return shared / (a.length + b.length - shared);
}
