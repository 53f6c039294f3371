/** The settings as documents: tables in Markdown, and a JSON schema. */
import { z } from 'zod';
import { type Setting, settings } from './settings-table.js';

const code = (text: unknown) => `\`${text}\``;

/** What is the same of all variants once, else each with its choices. */
function ofVariants({ variants }: Setting, textOf: (variant: Setting['variants'][number]) => string): string {
  const byText = Map.groupBy(variants, textOf);
  if (byText.size === 1) return [...byText.keys()][0];
  return [...byText]
    .map(([text, of]) => `${text} (${of.map(({ name }) => code(name)).join(', ')})`)
    .join('; ');
}

function shown(value: unknown): string {
  return typeof value === 'string' ? code(value) : value === undefined ? '–' : String(value);
}

/** `a` \| `b`: a bar would end a cell. */
const cell = (text: string) => text.replaceAll('|', '\\|');

const heads = ['setting', 'values', 'default', 'of', 'what it is', 'search'];

function rowOf(setting: Setting): string[] {
  const { name, of, expects, usual, shared, searchable, ofRun } = setting;
  const owner = of ? `${code(of.setting)}: ${of.names.map(code).join(', ')}` : '';
  const search = ofRun ? 'of one run' : !searchable ? 'fixed' : shared ? 'one value with pbt' : 'yes';
  return [
    ...[code(name), expects, usual ?? ofVariants(setting, (variant) => shown(variant.default)), owner],
    ...[ofVariants(setting, ({ description }) => description), search],
  ].map(cell);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = heads.map((_, i) => Math.max(3, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, i) => text.padEnd(widths[i])).join(' | ')} |`;
  const [head, ...others] = rows;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...others.map(line)].join('\n');
}

const block = /(<!-- settings: (.+?) -->\n)[\s\S]*?(<!-- end of settings -->)/g;

/**
 * A document with a table between `<!-- settings: replay loss.* -->` and `<!-- end of settings -->`.
 * @throws Error when a setting is in none of the tables.
 */
export function documented(text: string): string {
  const told = new Set<string>();
  const result = text.replace(block, (_, begin: string, patterns: string, end: string) => {
    const matches = patterns
      .split(' ')
      .map((pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`));
    const rows = matches.flatMap((pattern) =>
      [...settings.values()].filter(({ name }) => pattern.test(name)),
    );
    for (const { name } of rows) told.add(name);
    return `${begin}\n${table([heads, ...rows.map(rowOf)])}\n\n${end}`;
  });
  const missing = [...settings.keys()].filter((name) => !told.has(name));
  if (missing.length > 0) throw new Error(`no table has ${missing.join(', ')}`);
  return result;
}

function schemaOf(setting: Setting): z.ZodType {
  const types = [...new Set(setting.variants.map(({ type }) => type))];
  const type = types.length === 1 ? types[0] : z.union(types);
  const { default: value } = setting;
  const description = ofVariants(setting, (variant) => variant.description);
  return (value === undefined ? type.optional() : type.default(value as never)).meta({ description });
}

interface Tree {
  [key: string]: z.ZodType | Tree;
}

function objectOf(tree: Tree): z.ZodObject {
  return z.strictObject(
    Object.fromEntries(
      Object.entries(tree).map(([key, item]) => [
        key,
        item instanceof z.ZodType ? item : objectOf(item).optional(),
      ]),
    ),
  );
}

/** The JSON schema of a file of settings, nested, with other fields beside them. */
export function settingsJsonSchema(beside: z.ZodObject = z.object({})): object {
  const root: Tree = { ...beside.shape };
  for (const setting of settings.values()) {
    const keys = setting.name.split('.');
    const last = keys.pop()!;
    let at = root;
    for (const key of keys) {
      at[key] ??= {};
      at = at[key] as Tree;
    }
    at[last] = schemaOf(setting);
  }
  return z.toJSONSchema(objectOf(root), { io: 'input' });
}
