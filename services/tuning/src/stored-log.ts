/** The log of an attempt in the object store: one object a segment, so that what is kept already is not written again. */

import { NotFound } from '@emotune/base';
import {
  isFull,
  type LogPiece,
  type LogPlace,
  type LogSegment,
  segmentName,
  segmentOffset,
  surplus,
} from '@emotune/jobs';
import type { ObjectStore } from '@emotune/objects';

/** Reads what is kept below the prefix. */
export function logPlace(objects: ObjectStore, prefix: string): LogPlace {
  return {
    segments: async () =>
      (await objects.list(`${prefix}/`)).flatMap(({ key, bytes }): LogSegment[] => {
        const offset = segmentOffset(key.slice(prefix.length + 1));
        return offset === undefined ? [] : [{ offset, bytes }];
      }),
    read: async (offset) => {
      try {
        return await objects.get(`${prefix}/${segmentName(offset)}`);
      } catch (error) {
        if (error instanceof NotFound) return undefined;
        throw error;
      }
    },
  };
}

interface Held {
  readonly offset: number;
  readonly parts: Uint8Array[];
  bytes: number;
  /** Of them, those that the store has; −1: not even that there are none. */
  stored: number;
}

/** Adds to what is kept below a prefix. One at a time. */
export class StoredLog {
  /** The last segment, and those before it that are to be stored. */
  private segments: Held[];
  /** Segments that are left out now. */
  private readonly removed: number[] = [];
  private storing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly objects: ObjectStore,
    private readonly prefix: string,
    segments: readonly Held[],
  ) {
    this.segments = [...segments];
  }

  /** Goes on where an earlier process ended. */
  static async open(objects: ObjectStore, prefix: string): Promise<StoredLog> {
    const place = logPlace(objects, prefix);
    const segments = (await place.segments()).map(
      (segment): Held => ({ ...segment, parts: [], stored: segment.bytes }),
    );
    const last = segments.at(-1);
    const known = last && (await place.read(last.offset));
    if (last && known) last.parts.push(known);
    return new StoredLog(objects, prefix, last ? segments : [{ offset: 0, parts: [], bytes: 0, stored: -1 }]);
  }

  /** Bytes that the log has had, those that were left out included. */
  get end(): number {
    const { offset, bytes } = this.segments[this.segments.length - 1];
    return offset + bytes;
  }

  add({ offset, bytes: given }: LogPiece): void {
    // It may be a view of much more.
    const bytes = Buffer.from(given);
    const last = this.segments[this.segments.length - 1];
    if (offset === this.end && !isFull(last, bytes.length)) {
      last.parts.push(bytes);
      last.bytes += bytes.length;
      return;
    }
    this.segments.push({ offset, parts: [bytes], bytes: bytes.length, stored: -1 });
    for (const left of surplus(this.segments)) {
      if (left.stored >= 0) this.removed.push(left.offset);
      left.parts.length = 0;
    }
    const gone = new Set(surplus(this.segments));
    this.segments = this.segments.filter((segment) => !gone.has(segment));
  }

  /** Resolves when the store has all that was added. */
  store(): Promise<void> {
    const stored = this.storing.catch(() => {}).then(() => this.flush());
    this.storing = stored;
    return stored;
  }

  private async flush(): Promise<void> {
    const last = this.segments[this.segments.length - 1];
    for (const segment of this.segments.filter(({ bytes, stored }) => stored < bytes)) {
      const { offset, parts, bytes } = segment;
      await this.objects.put(`${this.prefix}/${segmentName(offset)}`, Buffer.concat(parts));
      segment.stored = bytes;
      // It does not grow any more.
      if (segment !== last) parts.length = 0;
    }
    for (let offset = this.removed.shift(); offset !== undefined; offset = this.removed.shift())
      await this.objects.delete(`${this.prefix}/${segmentName(offset)}`);
  }
}
