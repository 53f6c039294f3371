/** Messages as JSON for other programs, by their own descriptors. */
import { messageType } from '@emotune/proto';
import protobuf from 'protobufjs';
import { isValue, settingsField, shortEnumName } from './descriptors.js';

function single(field: protobuf.Field, value: unknown): unknown {
  const type = field.resolvedType;
  if (type === null || isValue(field)) return value;
  if (type instanceof protobuf.Enum) return shortEnumName(value as string);
  return message(type as protobuf.Type, value as Record<string, unknown>);
}

function isUnspecified(field: protobuf.Field, value: unknown): boolean {
  return (
    field.resolvedType instanceof protobuf.Enum &&
    !field.repeated &&
    (field.resolvedType.values as Record<string, number>)[value as string] === 0
  );
}

function message(type: protobuf.Type, value: Record<string, unknown>): unknown {
  if (type.fullName === '.google.protobuf.Timestamp') {
    const { seconds, nanos } = value as { seconds: number; nanos: number };
    return new Date(1000 * seconds + nanos / 1e6).toISOString();
  }
  const result: [name: string, value: unknown][] = [];
  for (const field of type.fieldsArray) {
    const item = value[field.name];
    if (item === undefined || item === null || isUnspecified(field, item)) continue;
    if (field instanceof protobuf.MapField) {
      const entries = Object.entries(item).map(([key, entry]): [string, unknown] => [
        key,
        single(field, entry),
      ]);
      if (field === settingsField(type)) result.push(...entries);
      else result.push([field.name, Object.fromEntries(entries)]);
    } else if (field.repeated)
      result.push([field.name, (item as unknown[]).map((entry) => single(field, entry))]);
    else result.push([field.name, single(field, item)]);
  }
  return Object.fromEntries(result);
}

/**
 * A message of type `typeName` (such as `emotune.tuning.v1.Experiment`): enum values in their short words, times in
 * ISO 8601, parameter values as plain scalars, settings beside the other fields of their message, absent fields left out.
 */
export function messageJson(typeName: string, value: object): unknown {
  return message(messageType(typeName), value as Record<string, unknown>);
}
