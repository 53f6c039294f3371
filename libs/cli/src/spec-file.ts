/**
 * From a YAML file to a request message, by the message's own descriptor: every unknown field is named with its
 * nearest neighbour, every value of the wrong type with what was expected and what came, all at once. What the values
 * mean is the services' business.
 *
 * Shorthand: enum values without their prefix and in kebab case (`minimize`, `sentiment-regression`), a scale as
 * `0..1`, a parameter value as a plain scalar.
 */
import { fieldPath, InvalidArgument, nearest, show, unknownField, type Violation } from '@emotune/base';
import { protoRoot, serviceFiles } from '@emotune/proto';
import protobuf from 'protobufjs';
import { parseDocument } from 'yaml';

type Path = readonly (string | number)[];

let loaded: protobuf.Root | undefined;

/** The descriptors of every service, loaded once. */
function root(): protobuf.Root {
  if (loaded) return loaded;
  loaded = new protobuf.Root();
  loaded.resolvePath = (_, target) =>
    target.startsWith('google/protobuf/') ? target : `${protoRoot.replace(/\/$/, '')}/${target}`;
  loaded.loadSync([...serviceFiles]);
  loaded.resolveAll();
  return loaded;
}

let enumNames: Map<string, string> | undefined;

/** `TASK_SENTIMENT_REGRESSION` → `sentiment-regression`; any other text as it is. */
function shortEnumName(value: string): string {
  if (enumNames === undefined) {
    enumNames = new Map();
    const visit = (namespace: protobuf.NamespaceBase) => {
      for (const item of namespace.nestedArray) {
        if (item instanceof protobuf.Enum) {
          const prefix = `${item.name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()}_`;
          for (const name of Object.keys(item.values)) {
            enumNames!.set(name, name.slice(prefix.length).toLowerCase().replaceAll('_', '-'));
          }
        } else if (item instanceof protobuf.Namespace) visit(item);
      }
    };
    visit(root());
  }
  return enumNames.get(value) ?? value;
}

const integers = new Set(['int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64']);

class Reader {
  readonly violations: Violation[] = [];

  private wrong(path: Path, expected: string, got: unknown): undefined {
    this.violations.push({ field: fieldPath(path), description: `expected ${expected}, got ${show(got)}` });
    return undefined;
  }

  message(type: protobuf.Type, value: unknown, path: Path): unknown {
    if (type.name === 'ParameterValue' && (value === null || typeof value !== 'object'))
      return this.parameterValue(value, path);
    if (type.name === 'Scale' && typeof value === 'string') return this.scale(value, path);
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      return this.wrong(path, 'a mapping', value);
    const known = type.fieldsArray.map((field) => field.name);
    const result: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const field = type.fields[key];
      if (field) result[key] = this.field(field, item, [...path, key]);
      else this.violations.push({ field: fieldPath([...path, key]), description: unknownField(key, known) });
    }
    return result;
  }

  private field(field: protobuf.Field, value: unknown, path: Path): unknown {
    if (field instanceof protobuf.MapField) {
      if (value === null || typeof value !== 'object' || Array.isArray(value))
        return this.wrong(path, 'a mapping', value);
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, this.single(field, item, [...path, key])]),
      );
    }
    if (!field.repeated) return this.single(field, value, path);
    if (!Array.isArray(value)) return this.wrong(path, 'a list', value);
    return value.map((item, i) => this.single(field, item, [...path, i]));
  }

  private single(field: protobuf.Field, value: unknown, path: Path): unknown {
    const type = field.resolvedType;
    if (type instanceof protobuf.Type) return this.message(type, value, path);
    if (type instanceof protobuf.Enum) return this.enumValue(type, value, path);
    if (field.type === 'string') return typeof value === 'string' ? value : this.wrong(path, 'a text', value);
    if (field.type === 'bool')
      return typeof value === 'boolean' ? value : this.wrong(path, 'true or false', value);
    if (integers.has(field.type))
      return Number.isSafeInteger(value) ? value : this.wrong(path, 'an integer', value);
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

  private parameterValue(value: unknown, path: Path): unknown {
    if (typeof value === 'number') return { number: value };
    if (typeof value === 'string') return { text: value };
    if (typeof value === 'boolean') return { flag: value };
    return this.wrong(path, 'a number, a text, true or false', value);
  }

  private scale(value: string, path: Path): unknown {
    return parseScale(value) ?? this.wrong(path, 'a range such as 0..1', value);
  }
}

/** `-4..4` → {low: -4, high: 4}; undefined when it is not of that form. */
function parseScale(text: string): { low: number; high: number } | undefined {
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*\.\.\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text);
  return match ? { low: Number(match[1]), high: Number(match[2]) } : undefined;
}

/**
 * The message of type `typeName` (such as `emotune.data.v1.DatasetSpec`) that the text holds.
 * @throws InvalidArgument with every violation.
 */
export function parseSpec(text: string, typeName: string, origin: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    throw new InvalidArgument(
      document.errors.map((error) => ({ field: origin, description: error.message.split('\n')[0] })),
    );
  }
  const reader = new Reader();
  const message = reader.message(root().lookupType(typeName), document.toJS({ maxAliasCount: 100 }), []);
  if (reader.violations.length > 0) throw new InvalidArgument(reader.violations);
  return message;
}
