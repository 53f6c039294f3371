/** Turns a Zod schema into a parser that reports every violation at once, with paths and nearest names. */
import { distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { beginningOf } from './characters.js';
import { Violations } from './violations.js';

/** The candidate closest to `name`, or undefined when none is near enough to be a slip of the keyboard. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const limit = Math.max(2, Math.floor(name.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    // They differ by at least that.
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const d = distance(name.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) [best, bestDistance] = [candidate, d];
  }
  return best;
}

/** "unknown field" with the nearest known one. */
export function unknownField(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined
    ? `unknown field, expected one of ${known.join(', ')}`
    : `unknown field, did you mean "${near}"?`;
}

/** A short rendering of any value for an error message. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'number') return String(value);
  let text: string;
  try {
    text = JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}` : v)) ?? String(value);
  } catch {
    // Too deep, too long, or in a circle.
    text = `a ${typeof value}`;
  }
  return text.length > 80 ? `${beginningOf(text, 77)}…` : text;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      Object.hasOwn(value ?? {}, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    input,
  );
}

interface Node {
  readonly shape?: Record<PropertyKey, Node>;
  readonly def?: { innerType?: Node; in?: Node; element?: Node; options?: readonly Node[] };
}

/** The schemas that a value at this place could be read by, without what wraps them. */
function alternatives(schema: Node | undefined): Node[] {
  if (schema === undefined) return [];
  const { innerType, in: input, options } = schema.def ?? {};
  if (options) return options.flatMap(alternatives);
  return innerType || input ? alternatives(innerType ?? input) : [schema];
}

function shapeKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  const found = path.reduce(
    (nodes, key) => nodes.flatMap((node) => alternatives(node.shape?.[key] ?? node.def?.element)),
    alternatives(schema as unknown as Node),
  );
  return [...new Set(found.flatMap((node) => Object.keys(node.shape ?? {})))];
}

/**
 * Parses `input` with `schema`.
 * @param shown how messages show the value at a path of `input`
 * @throws InvalidArgument with one violation per problem, paths prefixed with `prefix`.
 */
export function parse<T extends z.ZodType>(
  schema: T,
  input: unknown,
  prefix: readonly PropertyKey[] = [],
  shown: (value: unknown, path: readonly PropertyKey[]) => string = show,
): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const violations = new Violations();
  for (const issue of result.error.issues) {
    const at = [...prefix, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      const known = shapeKeys(schema, issue.path);
      for (const key of issue.keys) violations.add([...at, key], () => unknownField(key, known));
    } else
      violations.add(at, () => {
        const message = issue.message.replace(/^Invalid input: /, '').replace(/, received .*$/, '');
        return `${message}, got ${shown(valueAt(input, issue.path), issue.path)}`;
      });
  }
  throw violations.error;
}
