/** What a schema of one value accepts, for people. */
import { z } from 'zod';

/** What this reads of a JSON schema. */
interface Json {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Json[];
  readonly items?: Json;
  readonly additionalProperties?: Json;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** `a, b or c`. */
function either(names: readonly unknown[]): string {
  const last = names.length - 1;
  return last === 0 ? String(names[0]) : `${names.slice(0, last).join(', ')} or ${names[last]}`;
}

/** Bounds beyond which no number is exact are none. */
const bound = (value: number | undefined) =>
  value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER ? undefined : value;

function range(json: Json): string {
  const [least, most] = [bound(json.minimum), bound(json.maximum)];
  const [above, below] = [bound(json.exclusiveMinimum), bound(json.exclusiveMaximum)];
  if (least !== undefined) {
    if (most !== undefined) return ` from ${least} to ${most}`;
    return below === undefined ? ` of at least ${least}` : ` from ${least} to less than ${below}`;
  }
  const low = above === undefined ? [] : [`above ${above}`];
  const high = most !== undefined ? [`at most ${most}`] : below !== undefined ? [`below ${below}`] : [];
  return [...low, ...high].length === 0 ? '' : ` ${[...low, ...high].join(' and ')}`;
}

function textOf(json: Json): string {
  if (json.anyOf) return json.anyOf.map(textOf).join(' or ');
  if (json.enum) return either(json.enum);
  if (json.const !== undefined) return String(json.const);
  if (json.type === 'integer') return `whole numbers${range(json)}`;
  if (json.type === 'number') return `numbers${range(json)}`;
  if (json.type === 'boolean') return 'true or false';
  if (json.type === 'array') return `lists of ${textOf(json.items ?? {})}`;
  if (json.type === 'object') return `mappings to ${textOf(json.additionalProperties ?? {})}`;
  return 'texts';
}

/** In the plural: `numbers above 0`, `whole numbers from 1 to 16`, `full or lora`, `texts or lists of texts`. */
export function expectation(type: z.ZodType): string {
  return textOf(z.toJSONSchema(type, { io: 'input' }) as Json);
}
