/**
 * Joins texts that nearly equal each other. They pass twice in the same order: `add` notes some 120 bytes of each, `candidates` says
 * which met another in a bucket, `review` takes the shingles of those alone, and `join` compares them.
 */
import { grown, Numbering } from '@emotune/base';
import { hashOfText, jaccard, MinHash } from './min-hash.js';

/** Texts whose keys are held in one array. */
const block = 2 ** 15;
/** Of one bucket, each joined to none of the others: a text is compared with so many at most. */
const mostCompared = 64;

export class NearTexts {
  private readonly minHash: MinHash;
  /** Two words for each band of each text, a block of texts after another. */
  private readonly keys: Uint32Array[] = [];
  private count = 0;
  private met: Uint8Array | undefined;
  private readonly shingles = new Map<number, Uint32Array>();

  /** @param threshold Jaccard similarity of character 5-grams from which on two texts are near, on (0, 1). */
  constructor(readonly threshold: number) {
    this.minHash = new MinHash(threshold);
  }

  get size(): number {
    return this.count;
  }

  /**
   * The next text, by its number.
   * @param kind Texts are near those of the same kind alone.
   */
  add(text: string, kind: string): number {
    const number = this.count++;
    const words = 2 * this.minHash.bands;
    const at = number % block;
    if (at === 0) this.keys.push(new Uint32Array(block * words));
    this.minHash.keys(text, hashOfText(kind), this.keys.at(-1)!, at * words);
    return number;
  }

  /** 1 for each text that met another in some band. */
  candidates(): Uint8Array {
    if (this.met !== undefined) return this.met;
    const met = new Uint8Array(this.count);
    for (let band = 0; band < this.minHash.bands; band++) {
      const buckets = new Numbering(2);
      let first = new Int32Array(1024);
      for (let text = 0; text < this.count; text++) {
        const known = buckets.size;
        const bucket = this.bucketOf(buckets, text, band);
        if (bucket === known) {
          first = grown(first, bucket + 1);
          first[bucket] = text;
        } else met[text] = met[first[bucket]] = 1;
      }
    }
    this.met = met;
    return met;
  }

  private bucketOf(buckets: Numbering, text: number, band: number): number {
    const keys = this.keys[Math.floor(text / block)];
    const at = ((text % block) * this.minHash.bands + band) * 2;
    return buckets.add([keys[at], keys[at + 1]]);
  }

  /** Notes a candidate once more. */
  review(number: number, text: string): void {
    if (this.candidates()[number] === 1) this.shingles.set(number, this.minHash.shinglesOf(text));
  }

  /** For each text the number of the first one that it is joined with, its own where there is none; nearness is passed on. */
  join(): Int32Array {
    const parent = Int32Array.from({ length: this.count }, (_, i) => i);
    const root = (text: number): number => {
      let at = text;
      while (parent[at] !== at) {
        parent[at] = parent[parent[at]];
        at = parent[at];
      }
      return at;
    };
    const members = [...this.shingles.keys()].sort((a, b) => a - b);
    for (let band = 0; band < this.minHash.bands; band++) {
      const buckets = new Numbering(2);
      const apart: number[][] = [];
      for (const text of members) {
        const bucket = this.bucketOf(buckets, text, band);
        apart[bucket] ??= [];
        const others = apart[bucket];
        const mine = this.shingles.get(text)!;
        const near = others.find(
          (other) => root(other) === root(text) || jaccard(this.shingles.get(other)!, mine) >= this.threshold,
        );
        if (near === undefined) {
          if (others.length < mostCompared) others.push(text);
          continue;
        }
        const [a, b] = [root(near), root(text)];
        parent[Math.max(a, b)] = Math.min(a, b);
      }
    }
    return parent.map((_, text) => root(text));
  }
}
