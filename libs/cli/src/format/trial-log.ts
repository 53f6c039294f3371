/** A trial's log, which comes in pieces, as lines; and what people see of a line. */
import type { tuning } from '@emotune/proto';
import { count } from './text.js';

/** A line of a log, or what was left out before the next. */
export interface LogLine {
  readonly attempt: number;
  /** Where it begins, in bytes. */
  readonly offset: number;
  readonly line?: string;
  /** Bytes. */
  readonly leftOut?: number;
}

const newline = 0x0a;

export class LogLines {
  private attempt = 0;
  private position = 0;
  private rest: Buffer = Buffer.alloc(0);

  /** Lines that have come to their end. */
  take({ attempt, offset, data }: tuning.TrialLogPiece): LogLine[] {
    const lines: LogLine[] = [];
    const continues = attempt === this.attempt && offset === this.position;
    if (!continues) {
      lines.push(...this.end());
      const before = attempt === this.attempt ? this.position : 0;
      if (offset > before) lines.push({ attempt, offset: before, leftOut: offset - before });
      this.attempt = attempt;
    }
    let start = offset - this.rest.length;
    let bytes = Buffer.concat([this.rest, data]);
    this.position = offset + data.length;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline)) {
      lines.push({ attempt, offset: start, line: bytes.toString('utf8', 0, end) });
      start += end + 1;
      bytes = bytes.subarray(end + 1);
    }
    this.rest = bytes;
    return lines;
  }

  /** A last line without an end. */
  end(): LogLine[] {
    const { attempt, position, rest } = this;
    this.rest = Buffer.alloc(0);
    return rest.length === 0 ? [] : [{ attempt, offset: position - rest.length, line: rest.toString() }];
  }
}

function entryOf(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{"time":')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function errorText(error: unknown): string {
  const { name, message, stack, cause } = error as Readonly<Record<string, unknown>>;
  const own = String(stack ?? `${name}: ${message}`);
  return cause === undefined || cause === null ? own : `${own}\ncaused by ${errorText(cause)}`;
}

/** Entries of our own logs as sentences with their fields, errors below; anything else as it is. */
export function logLineText({ line = '', leftOut }: LogLine): string {
  if (leftOut !== undefined) return `[${count(leftOut)} bytes are left out here]`;
  const entry = entryOf(line);
  if (!entry) return line;
  const { time, level, service: _, message, error, ...fields } = entry;
  const told = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const first = [time, level, message, ...told].join(' ');
  return error === undefined ? first : `${first}\n${errorText(error).replace(/^/gm, '  ')}`;
}
