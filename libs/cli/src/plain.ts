/** Messages as people and scripts read them: short enum names, ISO times, plain parameter values, nothing unset. */
import { shortEnumName } from './spec-file.js';

function isTimestamp(value: object): value is { seconds: number; nanos: number } {
  const keys = Object.keys(value);
  return keys.length === 2 && 'seconds' in value && 'nanos' in value;
}

function isParameterValue(value: object): boolean {
  const keys = Object.keys(value);
  return keys.length === 1 && ['number', 'text', 'flag'].includes(keys[0]);
}

/** A copy of a message for `--json`. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'string') return shortEnumName(value);
  if (value === null || typeof value !== 'object') return value;
  if (isTimestamp(value)) return new Date(value.seconds * 1000 + value.nanos / 1e6).toISOString();
  if (isParameterValue(value)) return Object.values(value)[0];
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined && item !== null)
      .map(([key, item]) => [key, plain(item)]),
  );
}
