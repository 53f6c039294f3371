/** What a card (README.md) tells in its front matter. */
import { parse } from 'yaml';

function headOf(text: string): string {
  return /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1] ?? '';
}

interface Feature {
  readonly name?: unknown;
  readonly dtype?: unknown;
  readonly sequence?: unknown;
  readonly list?: unknown;
}

/** The names of a column whose values are numbers of classes, by number. */
function classNames({ dtype, sequence, list }: Feature): readonly string[] | undefined {
  for (const type of [dtype, sequence, list]) {
    const names = (type as { class_label?: { names?: unknown } } | undefined)?.class_label?.names;
    if (typeof names === 'object' && names !== null) return Object.values(names).map(String);
  }
  return undefined;
}

/** By column: what the numbers of its classes mean, where the card of a data set tells it. */
export function classNamesOfCard(text: string): ReadonlyMap<string, readonly string[]> {
  let head: { dataset_info?: unknown } | null;
  try {
    // Looking for a key that stands twice would take the square of their number.
    head = parse(headOf(text), { uniqueKeys: false });
  } catch {
    return new Map();
  }
  const found = new Map<string, readonly string[]>();
  // One description, or one for each configuration.
  for (const info of [head?.dataset_info ?? []].flat() as { features?: unknown }[])
    for (const feature of Array.isArray(info?.features) ? (info.features as Feature[]) : []) {
      const names = classNames(feature);
      if (names && !found.has(String(feature.name))) found.set(String(feature.name), names);
    }
  return found;
}

/** The licence that it declares; empty where it declares none. */
export function licenceOfCard(text: string): string {
  const head = headOf(text);
  const field = (name: string) =>
    new RegExp(`^${name}:[ \\t]*(?:"([^"\\n]*)"|'([^'\\n]*)'|([^#\\n]*))`, 'm')
      .exec(head)
      ?.slice(1)
      .find((value) => value !== undefined)
      ?.trim();
  // Data sets may list theirs.
  const listed = /^license:[ \t]*\r?\n((?:[ \t]*-[ \t]+.*\r?\n?)+)/m.exec(`${head}\n`)?.[1];
  const all = listed
    ?.split('\n')
    .map((line) => line.replace(/^\s*-\s+/, '').trim())
    .filter(Boolean);
  const licence = all ? all.join(', ') : (field('license') ?? '');
  return (licence === 'other' ? field('license_name') || licence : licence).slice(0, 100);
}
