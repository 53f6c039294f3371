/**
 * What a job has written, in segments named by the byte at which they begin: the first and the last two are kept, so that a
 * log that grows without end keeps its head and its tail. Pure but for where the segments lie.
 */

/** At most `segmentBytes` of a log; those between the end of the piece before and `offset` were left out. */
export interface LogPiece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface LogSegment {
  readonly offset: number;
  /** Its length. */
  readonly bytes: number;
}

/** Where segments lie. */
export interface LogPlace {
  /** Ordered by offset. */
  segments(): Promise<readonly LogSegment[]>;
  /** Undefined when it was left out meanwhile. */
  read(offset: number): Promise<Uint8Array | undefined>;
}

/** A segment is not begun anew before it has grown to this: a log has at most three times as much. */
const segmentBytes = 512 * 1024;

/** Whether what comes next begins a segment of its own. */
export function isFull({ bytes }: LogSegment, more: number): boolean {
  return bytes > 0 && bytes + more > segmentBytes;
}

/** Those in the middle, which are left out. */
export function surplus<T>(segments: readonly T[]): readonly T[] {
  return segments.slice(1, -2);
}

/** What lies there from the byte `from` on. */
export async function* piecesOf(place: LogPlace, from = 0): AsyncGenerator<LogPiece> {
  let position = from;
  for (const { offset, bytes } of await place.segments()) {
    if (offset + bytes <= position) continue;
    const whole = await place.read(offset);
    if (whole === undefined) continue;
    const skipped = Math.max(0, position - offset);
    if (skipped >= whole.length) continue;
    yield { offset: offset + skipped, bytes: whole.subarray(skipped) };
    position = offset + whole.length;
  }
}

const nameDigits = 12;

/** The name of a segment: names are in the order of the offsets. */
export function segmentName(offset: number): string {
  return String(offset).padStart(nameDigits, '0');
}

/** The offset of a segment of this name; undefined for any other name. */
export function segmentOffset(name: string): number | undefined {
  return /^\d{12}$/.test(name) ? Number(name) : undefined;
}
