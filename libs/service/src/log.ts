/** Structured logs: one JSON object a line. */
import { printableJson } from '@emotune/base';
import { currentSpan } from '@emotune/base/trace';

export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

function plain(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack, cause: plain(value.cause) };
}

/** Writes every entry with the fields `common` (service, …). */
export function jsonLog(write: (line: string) => void, common: Fields = {}): Log {
  const at =
    (level: string) =>
    (message: string, fields: Fields = {}) => {
      const rest = Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, plain(value)]));
      const span = currentSpan();
      const ids = span ? { trace_id: span.traceId, span_id: span.spanId } : {};
      const entry = { time: new Date().toISOString(), level, ...common, ...ids, message, ...rest };
      write(`${printableJson(JSON.stringify(entry))}\n`);
    };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}
