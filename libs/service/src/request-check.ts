/**
 * What no request may hold, whatever it asks for. Text is UTF-8 without U+0000, which PostgreSQL cannot keep; names of a map are
 * no prototype; numbers are finite and exact; words of an enum are known ones.
 */
import { show, textFault, Violations } from '@emotune/base';
import protobuf from 'protobufjs';

/** Stands in a text for bytes that are no UTF-8: no bytes that are have it. */
export const otherBytes = '\udc00';

/** Messages that tell what was measured: a loss may have become infinite, or no number at all. */
const measuring: ReadonlySet<string> = new Set([
  '.emotune.tuning.v1.FinishTrialRequest',
  '.emotune.tuning.v1.FoldResult',
  '.emotune.tuning.v1.Measurement',
  '.emotune.tuning.v1.StudyMeasurement',
  '.emotune.tuning.v1.StudyObjective',
]);

const plainValue = '.google.protobuf.Value';
const long = /^(?:[su]?int|s?fixed)64$/;

/** What was found, and where what is looked at now stands. */
class Findings extends Violations {
  private readonly path: PropertyKey[] = [];

  here(description: string): void {
    this.add(this.path, description);
  }

  within<T>(part: PropertyKey, check: Check<T>, value: T): void {
    this.path.push(part);
    check(value, this);
    this.path.pop();
  }
}

type Check<T = never> = (value: T, found: Findings) => void;

const checkText: Check<string> = (value, found) => {
  if (value.endsWith(otherBytes))
    found.here(`expected UTF-8, got other bytes in ${show(value.slice(0, -1))}: encode it`);
  else if (value.includes('\0')) found.here(textFault(value)!);
};

const checkNumber: Check<number> = (value, found) => {
  if (!Number.isFinite(value)) found.here(`expected a finite number, got ${value}`);
};

const checkLong: Check<number> = (value, found) => {
  if (!Number.isSafeInteger(value))
    found.here(`expected a whole number between -2^53 and 2^53, got ${value}`);
};

function eachOf<T>(check: Check<T>): Check<readonly T[]> {
  return (values, found) => {
    for (let i = 0; i < values.length; i++) found.within(i, check, values[i]);
  };
}

/** What the names of a map stand for. */
function entriesOf<T>(check: Check<T>): Check<Readonly<Record<string, T>>> {
  return (map, found) => {
    for (const name of Object.keys(map)) {
      // No name that anybody gives to anything; to assign it to an object changes the object.
      if (name === '__proto__') found.here('expected another name than "__proto__"');
      checkText(name, found);
      found.within(name, check, map[name]);
    }
  };
}

const checkPlain: Check<unknown> = (value, found) => {
  if (typeof value === 'number') checkNumber(value, found);
  else if (typeof value === 'string') checkText(value, found);
  else if (Array.isArray(value)) checkPlains(value, found);
  else if (value !== null && typeof value === 'object') checkPlainEntries(value as never, found);
};
const checkPlains = eachOf(checkPlain);
const checkPlainEntries = entriesOf(checkPlain);

function wordsOf({ values }: protobuf.Enum): Check<string | number> {
  const expected = `expected one of ${Object.keys(values).join(', ')}`;
  return (value, found) => {
    // Known ones have become their names.
    if (typeof value !== 'string') found.here(`${expected}, got ${value}`);
  };
}

/** Undefined where whatever can be decoded is allowed. */
function checkOfSingle({ resolvedType: type, type: name, parent }: protobuf.Field): Check | undefined {
  if (type instanceof protobuf.Enum) return wordsOf(type);
  if (type?.fullName === plainValue) return checkPlain;
  if (type instanceof protobuf.Type) return checkOf(type);
  if (name === 'string') return checkText;
  if (long.test(name)) return checkLong;
  const counted = !['bool', 'bytes'].includes(name) && !measuring.has(parent!.fullName);
  return counted ? checkNumber : undefined;
}

function checkOfField(field: protobuf.Field): Check | undefined {
  const check = checkOfSingle(field);
  if (check === undefined) return undefined;
  if (field instanceof protobuf.MapField) return entriesOf(check);
  return field.repeated ? eachOf(check) : check;
}

/** Made once of each type. */
const made = new WeakMap<protobuf.Type, Check<object>>();

function checkOf(type: protobuf.Type): Check<object> {
  const known = made.get(type);
  if (known) return known;
  const fields: [name: string, check: Check][] = [];
  const check: Check<object> = (message, found) => {
    for (const [name, checkField] of fields) {
      const value = (message as Record<string, unknown>)[name];
      if (value !== undefined && value !== null) found.within(name, checkField, value as never);
    }
  };
  // A type may hold itself.
  made.set(type, check);
  for (const field of type.fieldsArray) {
    const checkField = checkOfField(field);
    if (checkField) fields.push([field.name, checkField]);
  }
  return check;
}

/** @throws InvalidArgument with every violation. */
export function checkRequest(type: protobuf.Type, message: object): void {
  const found = new Findings();
  checkOf(type)(message, found);
  found.throwIfAny();
}
