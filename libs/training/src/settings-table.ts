/** The settings of training by the names that users write, read off the schema that says them once (`settings.ts`). */
import { z } from 'zod';
import { trainingSettings } from './settings.js';
import { expectation } from './value-text.js';

/** Which choice a setting belongs to: those names of another setting. */
export interface Owner {
  readonly setting: string;
  readonly names: readonly string[];
}

/** Values of a setting where one name is chosen; `name` is undefined where it has no owner. */
interface Variant {
  readonly name: string | undefined;
  readonly type: z.ZodType;
  readonly default: unknown;
  readonly description: string;
}

export interface Setting {
  /** A dot leads to a setting within another one. */
  readonly name: string;
  /** Where it lies in `TrainingSettings`. */
  readonly place: readonly string[];
  readonly variants: readonly Variant[];
  readonly of: Owner | undefined;
  /** The default where it hangs on no other setting. */
  readonly default: unknown;
  /** What counts where nothing is said, in words. */
  readonly usual: string | undefined;
  /** A checkpoint made with one value does not fit another, or would mean something else with it. */
  readonly shared: boolean;
  /** A search can vary it: a number, a text or a flag whose trials can be compared. */
  readonly searchable: boolean;
  /** Of one run; an experiment decides it by itself. */
  readonly ofRun: boolean;
  /** Allowed, without effect, where its owner is not chosen. */
  readonly idle: boolean;
  /** Of its values, for people: "numbers above 0". */
  readonly expects: string;
}

interface Meta {
  readonly description?: string;
  readonly usual?: string;
  readonly shared?: true;
  readonly search?: false;
  readonly ofRun?: true;
  readonly idle?: true;
}

/** What this needs of a Zod schema's definition. */
interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly defaultValue?: unknown;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly discriminator?: string;
  readonly options?: readonly z.ZodType[];
  readonly values?: readonly unknown[];
  readonly entries?: Readonly<Record<string, unknown>>;
}

const definition = (schema: z.ZodType): Definition => schema.def as unknown as Definition;

/** Where users write a setting other than where it lies. */
const words: readonly [RegExp, string][] = [
  [/^(method|optimizer|schedule)\.name$/, '$1'],
  [/^method\.rank$/, 'loraRank'],
  [/^method\.alpha$/, 'loraAlpha'],
  [/^(optimizer|schedule)\./, ''],
];

function nameOf(place: readonly string[], owner: string | undefined): string {
  const path = place.join('.');
  const rule = words.find(([pattern]) => pattern.test(path));
  if (rule) return path.replace(...rule);
  // What else a method has stands under its name.
  return owner !== undefined && place[0] === 'method' ? `${owner}.${place.slice(1).join('.')}` : path;
}

interface Leaf {
  readonly place: readonly string[];
  readonly owner?: { readonly place: readonly string[]; readonly name: string };
  readonly type: z.ZodType;
  readonly default: unknown;
  /** Whether the default counts whatever else is said. */
  readonly constant: boolean;
  readonly meta: Meta;
}

/** The schema without what wraps it, its default, whether it may be left out, and what is said of it. */
function unwrapped(schema: z.ZodType): { inner: z.ZodType; usual: unknown; optional: boolean; meta: Meta } {
  let [inner, usual, optional]: [z.ZodType, unknown, boolean] = [schema, undefined, false];
  let meta = (schema.meta() ?? {}) as Meta;
  for (let at = definition(inner); at.innerType !== undefined; at = definition(inner)) {
    if (at.type === 'default' || at.type === 'prefault') usual = at.defaultValue;
    if (at.type === 'optional') optional = true;
    inner = at.innerType;
    meta = { ...(inner.meta() as Meta | undefined), ...meta };
  }
  return { inner, usual, optional, meta };
}

function leavesOf(
  schema: z.ZodType,
  place: readonly string[],
  within: Pick<Leaf, 'owner' | 'constant'>,
): Leaf[] {
  const { inner, usual, optional, meta } = unwrapped(schema);
  const { type, shape, discriminator, options = [] } = definition(inner);
  const constant = within.constant && !optional;
  const inShape = (fields: Definition['shape'], of: Pick<Leaf, 'owner' | 'constant'>) =>
    Object.entries(fields ?? {}).flatMap(([key, field]) => leavesOf(field, [...place, key], of));
  if (type === 'object') return inShape(shape, { ...within, constant });
  if (discriminator === undefined) return [{ place, ...within, type: inner, default: usual, constant, meta }];
  const choices = options.map((option) => {
    const { [discriminator]: name, ...fields } = definition(option).shape ?? {};
    const literal = unwrapped(name);
    return { name: String(definition(literal.inner).values?.[0]), usual: literal.usual, fields };
  });
  const names = choices.map(({ name }) => name);
  const chosen = (usual as Record<string, unknown> | undefined)?.[discriminator];
  return [
    {
      place: [...place, discriminator],
      ...within,
      constant,
      meta,
      // A choice that may be left out is, by that name.
      type: z.enum(optional ? [absent, ...names] : names),
      default: chosen ?? choices.find((choice) => choice.usual !== undefined)?.name,
    },
    ...choices.flatMap(({ name, fields }) =>
      inShape(fields, { owner: { place: [...place, discriminator], name }, constant: false }),
    ),
  ];
}

/** The name by which a method is left out. */
export const absent = 'none';

function settingOf(name: string, leaves: readonly Leaf[]): Setting {
  const [{ place, owner, meta, constant }] = leaves;
  const variants = leaves.map(
    (leaf): Variant => ({
      name: leaf.owner?.name,
      type: leaf.type,
      default: leaf.default,
      description: leaf.meta.description ?? '',
    }),
  );
  const texts = variants.map(({ type }) => expectation(type));
  const different = new Set(texts).size > 1;
  const expects = different
    ? texts.map((text, i) => `${text} (${variants[i].name})`).join(', or ')
    : texts[0];
  const names = leaves.flatMap((leaf) => leaf.owner?.name ?? []);
  return {
    name,
    place,
    variants,
    expects,
    of: owner && { setting: nameOf(owner.place, undefined), names },
    default: constant ? leaves[0].default : undefined,
    usual: meta.usual,
    shared: meta.shared === true,
    searchable: meta.search !== false && meta.ofRun !== true && variants.some(({ type }) => isScalar(type)),
    ofRun: meta.ofRun === true,
    idle: meta.idle === true,
  };
}

/** Whether a parameter of a search can have values of it. */
function isScalar(type: z.ZodType): boolean {
  const { type: kind, options } = definition(type);
  return kind === 'union' ? options!.some(isScalar) : !['array', 'record', 'readonly'].includes(kind);
}

function tableOf(schema: z.ZodType): Map<string, Setting> {
  const byName = Map.groupBy(leavesOf(schema, [], { constant: true }), ({ place, owner }) =>
    nameOf(place, owner?.name),
  );
  const choices = (name: string) => definition(byName.get(name)![0].type).entries;
  return new Map(
    [...byName].map(([name, leaves]) => {
      const setting = settingOf(name, leaves);
      const { of } = setting;
      // What every choice has is of none.
      const everywhere = of && of.names.length === Object.keys(choices(of.setting) ?? {}).length;
      const usual = new Set(setting.variants.map((variant) => variant.default));
      const same = usual.size === 1 ? leaves[0].default : undefined;
      return [name, everywhere ? { ...setting, of: undefined, default: same } : setting];
    }),
  );
}

/** By name, in the order of the schema. */
export const settings: ReadonlyMap<string, Setting> = tableOf(trainingSettings);
