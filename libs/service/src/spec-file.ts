/**
 * From YAML to a request message, by the message's own descriptor: every unknown field is named with its
 * nearest neighbour, every value of the wrong type with what was expected and what came, all at once. What the values
 * mean is the services' business.
 *
 * Shorthand: enum values without their prefix and in kebab case (`minimize`, `sentiment-regression`), a scale as
 * `0..1`, settings beside the other fields of their message.
 */
import { fieldPath, nearest, show, unknownField, Violations } from '@emotune/base';
import { messageType } from '@emotune/proto';
import protobuf from 'protobufjs';
import { isValue, settingsField, shortEnumName } from './descriptors.js';

type Path = readonly (string | number)[];

const integers = new Set(['int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64']);
const largestInt32 = 2 ** 31 - 1;

const uploadType = 'UploadedFile';

/** What people write for a field: a file of their own by its path, for which the command sends its content. */
export function wordOf(field: protobuf.Field): string {
  return field.resolvedType?.name === uploadType ? 'path' : field.name;
}

function isMapping(value: unknown): value is object {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

class Reader {
  readonly violations = new Violations();

  /** @param origin names the text in a violation of the whole. */
  constructor(private readonly origin: string) {}

  private wrong(path: Path, expected: string, got: unknown): undefined {
    const field = path.length === 0 ? this.origin : fieldPath(path);
    this.violations.add(field, () => `expected ${expected}, got ${show(got)}`);
    return undefined;
  }

  message(type: protobuf.Type, value: unknown, path: Path): unknown {
    if (type.name === 'Scale' && typeof value === 'string') return this.scale(value, path);
    if (type.name === uploadType)
      return typeof value === 'string' ? { name: value } : this.wrong(path, 'a text', value);
    if (!isMapping(value)) return this.wrong(path, 'a mapping', value);
    const written = new Map(type.fieldsArray.map((field) => [wordOf(field), field]));
    const settings = settingsField(type);
    const result: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const field = written.get(key);
      if (field && field !== settings) result[field.name] = this.field(field, item, [...path, key]);
      else if (settings) {
        // Its names are the user's.
        result[settings.name] ??= Object.create(null);
        const given = field === settings ? item : { [key]: item };
        this.settings(result[settings.name] as Record<string, unknown>, given, field ? [...path, key] : path);
      } else this.violations.add([...path, key], () => unknownField(key, [...written.keys()]));
    }
    for (const { name, fieldsArray } of type.oneofsArray) {
      const given = fieldsArray.map((field) => field.name).filter((key) => Object.hasOwn(result, key));
      const choices = fieldsArray.map((field) => field.name).join(', ');
      if (given.length > 1 && !name.startsWith('_'))
        this.wrong(path, `only one of ${choices}`, given.join(' and '));
    }
    return result;
  }

  /** What the names are, and what stands in them, is the services' business. */
  private settings(all: Record<string, unknown>, given: unknown, path: Path): void {
    if (!isMapping(given)) this.wrong(path, 'a mapping', given);
    else
      for (const [name, item] of Object.entries(given))
        if (Object.hasOwn(all, name)) this.wrong([...path, name], 'it once', 'it twice');
        else all[name] = this.value(item, [...path, name]);
  }

  private field(field: protobuf.Field, value: unknown, path: Path): unknown {
    if (field instanceof protobuf.MapField) {
      if (!isMapping(value)) return this.wrong(path, 'a mapping', value);
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, this.single(field, item, [...path, key])]),
      );
    }
    if (!field.repeated) return this.single(field, value, path);
    // One path of several that there may be.
    if (field.resolvedType?.name === uploadType && typeof value === 'string')
      return [this.single(field, value, path)];
    if (!Array.isArray(value)) return this.wrong(path, 'a list', value);
    return value.map((item, i) => this.single(field, item, [...path, i]));
  }

  private single(field: protobuf.Field, value: unknown, path: Path): unknown {
    const type = field.resolvedType;
    if (isValue(field)) return this.value(value, path);
    if (type instanceof protobuf.Type) return this.message(type, value, path);
    if (type instanceof protobuf.Enum) return this.enumValue(type, value, path);
    if (field.type === 'string') return typeof value === 'string' ? value : this.wrong(path, 'a text', value);
    if (field.type === 'bool')
      return typeof value === 'boolean' ? value : this.wrong(path, 'true or false', value);
    if (integers.has(field.type)) {
      if (!Number.isSafeInteger(value)) return this.wrong(path, 'an integer', value);
      if (field.type.endsWith('32') && Math.abs(value as number) > largestInt32)
        return this.wrong(path, `an integer of at most ${largestInt32}`, value);
      return value;
    }
    return typeof value === 'number' && Number.isFinite(value) ? value : this.wrong(path, 'a number', value);
  }

  private enumValue(type: protobuf.Enum, value: unknown, path: Path): unknown {
    const names = Object.keys(type.values).filter((name) => type.values[name] !== 0);
    const short = names.map(shortEnumName);
    const i = typeof value === 'string' ? short.indexOf(value) : -1;
    if (i >= 0) return names[i];
    const near = typeof value === 'string' ? nearest(value, short) : undefined;
    return this.wrong(path, `one of ${short.join(', ')}${near ? ` (did you mean "${near}"?)` : ''}`, value);
  }

  private value(value: unknown, path: Path): unknown {
    if (Array.isArray(value)) return value.map((item, i) => this.value(item, [...path, i]));
    if (isMapping(value))
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, this.value(item, [...path, key])]),
      );
    if (['number', 'string', 'boolean'].includes(typeof value)) return value;
    return this.wrong(path, 'a number, a text, true or false', value);
  }

  private scale(value: string, path: Path): unknown {
    return parseScale(value) ?? this.wrong(path, 'a range such as 0..1', value);
  }
}

/** `-4..4` → {low: -4, high: 4}; undefined when it is not of that form. */
export function parseScale(text: string): { low: number; high: number } | undefined {
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*\.\.\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text);
  return match ? { low: Number(match[1]), high: Number(match[2]) } : undefined;
}

/**
 * The message of type `typeName` (such as `emotune.data.v1.DatasetSpec`) that YAML holds.
 * @param origin names the whole in violations
 * @throws InvalidArgument with every violation.
 */
export function specOf(yaml: unknown, typeName: string, origin: string): unknown {
  const reader = new Reader(origin);
  const message = reader.message(messageType(typeName), yaml, []);
  reader.violations.throwIfAny();
  return message;
}
