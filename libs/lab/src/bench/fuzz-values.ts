/** Values that requests should not hold, and some that they may, by the type of their field. */
import type { Rng } from '@emotune/base';
import protobuf from 'protobufjs';

/** As protobuf.js makes a message of it. */
export type Message = Record<string, unknown>;

const token = (text: string) => Buffer.from(text).toString('base64url');

/** Names that every object has, or that look like something else than a name. */
const names = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '',
  ' ',
  '.',
  '..',
  '../../etc/passwd',
  '/dev/zero',
  'a@b@c',
  '@',
  '%00',
  'hf:',
  'hf:datasets/a/b:*',
  'hf:a/b@main:../x.gguf',
];

const texts = [
  ...names,
  '\0',
  'a\0b',
  '\ud800',
  'a\udc00b',
  '\u202eabc\u001b[2J',
  '\ufeff',
  'e\u0301𝒳🙂',
  'x'.repeat(300),
  'é'.repeat(5000),
  'a/'.repeat(5000),
  'x'.repeat(200_000),
  '(a+)+$',
  'null',
  '-0',
];

const pageTokens = ['NaN', '1e20', '-1', '9'.repeat(40), '0x10', ' ', 'a\0', '1.5', 'Infinity'].map(token);

const noTokens = ['!!!', 'YQ==', '\u00ff', ...pageTokens];

/** Words that mean something somewhere. */
const known = (
  'kept spare-1 emotune-llama-4m llama train test text onnx safetensors peft emotune-demo de a ' +
  'auto random grid sobol tpe gp cma-es nsga2 pbt none patience median percentile asha hyperband threshold wilcoxon ' +
  'startUpTrials population points candidates sigma beta priorWeight goodShare warmUp minExamples maxExamples ' +
  'reductionFactor lower upper pThreshold learningRate weightDecay dropout method loraRank lora.targets ' +
  'loss.taskWeights batch optimizer architecture curriculum'
).split(' ');

const doubles = [
  Number.NaN,
  Infinity,
  -Infinity,
  1.7e308,
  -1.7e308,
  5e-324,
  -0,
  -1,
  1e16,
  1e-300,
  0.1,
  1,
  2.5,
  1000,
];

const ints32 = [0, 1, -1, 2, 1000, 1001, 65_536, 2 ** 31 - 1, -(2 ** 31)];

const ints64 = [
  ...ints32,
  2 ** 31,
  2 ** 53 - 1,
  2 ** 53,
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
];

/** More than any list may have. */
const many = 10_000;
const largeCharacters = 400;

export function oneOf<T>(rng: Rng, from: readonly T[]): T {
  return from[rng.int(from.length)];
}

function nested(depth: number, rng: Rng): unknown {
  let value: unknown = oneOf<unknown>(rng, [1, 'a', null, {}]);
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

function named(pairs: readonly (readonly [string, unknown])[]): Message {
  // Also `__proto__` becomes a name like others.
  return Object.fromEntries(pairs);
}

function plain(rng: Rng): unknown {
  switch (rng.int(6)) {
    case 0:
      return oneOf(rng, texts);
    case 1:
      return oneOf(rng, doubles);
    case 2:
      return nested(oneOf(rng, [1, 5, 20]), rng);
    case 3:
      return named([[oneOf(rng, names), 1]]);
    case 4:
      return Array.from({ length: oneOf(rng, [0, 3, many]) }, (_, i) => i % 7);
    default:
      return oneOf<unknown>(rng, [null, true, false, 0, 1, 'a', [], {}]);
  }
}

function single(field: protobuf.Field, rng: Rng, depth: number): unknown {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) return oneOf(rng, [...Object.values(type.values), 99, -1, 2 ** 31 - 1]);
  if (type?.fullName === '.google.protobuf.Value') return plain(rng);
  if (type instanceof protobuf.Type) return depth > 0 ? randomMessage(type, rng, depth - 1) : {};
  switch (field.type) {
    case 'string':
      if (field.name === 'pageToken') return oneOf(rng, noTokens);
      return oneOf(rng, rng.uniform() < 0.3 ? known : texts);
    case 'bytes':
      return Buffer.alloc(oneOf(rng, [0, 1, 1000, 2 ** 20 + 1]), 7);
    case 'bool':
      return rng.uniform() < 0.5;
    case 'int32':
      return oneOf(rng, ints32);
    case 'int64':
      return oneOf(rng, ints64);
    default:
      return oneOf(rng, doubles);
  }
}

/** @param usual A value that the field takes, of which many are made. */
export function randomValue(field: protobuf.Field, rng: Rng, depth: number, usual?: unknown): unknown {
  if (field instanceof protobuf.MapField) {
    if (rng.uniform() < 0.2) {
      const value = field.type === 'double' ? 1 : 'a';
      return named(Array.from({ length: many }, (_, i) => [`n${i}`, value] as const));
    }
    const few = rng.shuffle([...names, ...known]).slice(0, 1 + rng.int(4));
    return named(few.map((name) => [name, single(field, rng, 0)] as const));
  }
  if (!field.repeated) return single(field, rng, depth);
  const length = oneOf(rng, [0, 1, 2, 3, many]);
  if (length < many) return Array.from({ length }, () => single(field, rng, depth));
  const copied = Array.isArray(usual) && usual.length > 0 ? usual[0] : single(field, rng, 0);
  // Of large ones a message takes fewer.
  const fits = (JSON.stringify(copied)?.length ?? 0) < largeCharacters;
  return Array.from({ length: fits ? length : 2 }, () => copied);
}

/** Fields that may be there, each as likely as not, with values of any kind. */
export function randomMessage(type: protobuf.Type, rng: Rng, depth = 4): Message {
  const present = type.fieldsArray.filter(() => rng.uniform() < 0.5);
  return named(present.map((field) => [field.name, randomValue(field, rng, depth)] as const));
}
