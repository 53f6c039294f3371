/** A job's log as a folder of this machine: one file a segment. Nothing is remembered, so a trainer goes on where its runner ended. */
import { appendFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isFull, type LogPlace, type LogSegment, segmentName, segmentOffset, surplus } from './log.js';

export class LogFolder implements LogPlace {
  constructor(private readonly folder: string) {}

  private list(): LogSegment[] {
    let names: string[];
    try {
      names = readdirSync(this.folder).sort();
    } catch {
      // It has none, or was removed.
      return [];
    }
    return names.flatMap((name) => {
      const offset = segmentOffset(name);
      const found = statSync(join(this.folder, name), { throwIfNoEntry: false });
      return offset === undefined || !found ? [] : [{ offset, bytes: found.size }];
    });
  }

  /** Adds whole lines. A disk that is full costs the log, not the trial. */
  append(lines: Uint8Array): void {
    try {
      mkdirSync(this.folder, { recursive: true });
      const segments = this.list();
      const last = segments.at(-1) ?? { offset: 0, bytes: 0 };
      const full = isFull(last, lines.length);
      const offset = full ? last.offset + last.bytes : last.offset;
      appendFileSync(join(this.folder, segmentName(offset)), lines, { mode: 0o600 });
      if (!full) return;
      for (const left of surplus([...segments.map((segment) => segment.offset), offset]))
        rmSync(join(this.folder, segmentName(left)), { force: true });
    } catch {
      // See above.
    }
  }

  async segments(): Promise<readonly LogSegment[]> {
    return this.list();
  }

  async read(offset: number): Promise<Uint8Array | undefined> {
    return readFile(join(this.folder, segmentName(offset))).catch(() => undefined);
  }
}
