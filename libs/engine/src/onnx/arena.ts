/**
 * How ONNX Runtime's arena (a best-fit allocator with coalescing) lays out what a graph needs, so that a plan knows what
 * it takes. Regions come from the system and never go back; each new one is twice the last. A chunk is split only when
 * at least half of it, or 128 MiB, would be left.
 */
export interface Chunk {
  readonly region: Region;
  readonly start: number;
  size: number;
  free: boolean;
  previous: Chunk | undefined;
  next: Chunk | undefined;
}

interface Region {
  /** End of what was ever used: pages behind it are not resident. */
  touched: number;
}

const granule = 256;
const firstRegion = 2 ** 20;
const largestRemainder = 128 * 2 ** 20;

export class Arena {
  private readonly regions: Region[] = [];
  /** Ascending by size. */
  private readonly gaps: Chunk[] = [];
  private nextRegion = firstRegion;

  take(bytes: number): Chunk {
    const size = Math.max(1, Math.ceil(bytes / granule)) * granule;
    const at = this.firstOfSize(size);
    const chunk = at < this.gaps.length ? this.gaps.splice(at, 1)[0] : this.extend(size);
    chunk.free = false;
    if (chunk.size >= 2 * size || chunk.size - size >= largestRemainder) this.split(chunk, size);
    chunk.region.touched = Math.max(chunk.region.touched, chunk.start + size);
    return chunk;
  }

  give(chunk: Chunk): void {
    let whole = chunk;
    if (chunk.next?.free) this.join(chunk, this.drop(chunk.next));
    if (chunk.previous?.free) {
      whole = this.drop(chunk.previous);
      this.join(whole, chunk);
    }
    whole.free = true;
    this.gaps.splice(this.firstOfSize(whole.size), 0, whole);
  }

  /** Bytes of all regions that were ever used. */
  touched(): number {
    return this.regions.reduce((sum, { touched }) => sum + touched, 0);
  }

  /** Index of the smallest gap of at least this size. */
  private firstOfSize(size: number): number {
    let [low, high] = [0, this.gaps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.gaps[middle].size < size) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private drop(gap: Chunk): Chunk {
    this.gaps.splice(this.gaps.indexOf(gap, this.firstOfSize(gap.size)), 1);
    return gap;
  }

  private extend(size: number): Chunk {
    const grown = this.nextRegion < size;
    while (this.nextRegion < size) this.nextRegion *= 2;
    const region = { touched: 0 };
    this.regions.push(region);
    const chunk = {
      region,
      start: 0,
      size: this.nextRegion,
      free: true,
      previous: undefined,
      next: undefined,
    };
    if (!grown) this.nextRegion *= 2;
    return chunk;
  }

  private split(chunk: Chunk, size: number): void {
    const rest: Chunk = {
      region: chunk.region,
      start: chunk.start + size,
      size: chunk.size - size,
      free: true,
      previous: chunk,
      next: chunk.next,
    };
    if (chunk.next) chunk.next.previous = rest;
    chunk.next = rest;
    chunk.size = size;
    this.gaps.splice(this.firstOfSize(rest.size), 0, rest);
  }

  private join(left: Chunk, right: Chunk): void {
    left.size += right.size;
    left.next = right.next;
    if (right.next) right.next.previous = left;
  }
}
