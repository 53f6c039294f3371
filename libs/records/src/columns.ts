/** How the fields of a row lie in the columns of a file: a table for each kind of row, whatever the format of the file. */

/** Lists, of texts or numbers, are joined by "|"; counts are one JSON object, empty where there are none. */
export type ColumnKind = 'string' | 'list' | 'numbers' | 'counts' | 'number' | 'integer' | 'flag';

export interface Column {
  readonly kind: ColumnKind;
  /** Where the value is in a row: a field, or a field of an object in it. */
  readonly path: readonly [string] | readonly [object: string, field: string];
  readonly nullable: boolean;
}

/** By the column's name, in the order of the file. */
export type Columns = Readonly<Record<string, Column>>;

export function column(kind: ColumnKind, path: Column['path'], { nullable = false } = {}): Column {
  return { kind, path, nullable };
}

/** A number that may be absent. */
export function number(...path: Column['path']): Column {
  return column('number', path, { nullable: true });
}

/** Columns of fields that have their names. */
export function fields(kind: ColumnKind, ...names: readonly string[]): Columns {
  return Object.fromEntries(names.map((name) => [name, column(kind, [name])]));
}

export const emotionColumn: Columns = { emotion: column('string', ['emotion'], { nullable: true }) };

/** The people behind a gold. Files of before have none of these columns. */
export const raterColumns: Columns = {
  raters: number('gold', 'raters'),
  ratings: column('numbers', ['gold', 'ratings']),
  votes: column('counts', ['gold', 'votes']),
};

export const scaleColumns: Columns = {
  scaleLow: number('scale', 'low'),
  scaleHigh: number('scale', 'high'),
};

/** The values of one column, as a file holds them. */
export function valuesOf(rows: readonly object[], { kind, path }: Column): unknown[] {
  const [first, field] = path;
  return rows.map((row) => {
    const at = (row as Record<string, unknown>)[first];
    const value = field === undefined ? at : (at as Record<string, unknown> | null)?.[field];
    if (kind === 'list' || kind === 'numbers') return (value as readonly unknown[]).join('|');
    if (kind === 'counts') return Object.keys(value as object).length === 0 ? '' : JSON.stringify(value);
    return value ?? null;
  });
}

/** The row of which `read` gives the values by column. An object whose fields are all absent is null. */
export function rowFrom<Row>(columns: Columns, read: (name: string) => unknown): Row {
  const row: Record<string, unknown> = {};
  for (const [name, { kind, path }] of Object.entries(columns)) {
    const stored = read(name) ?? null;
    const value = restored(kind, stored);
    const [first, field] = path;
    if (field === undefined) row[first] = value;
    else row[first] = { ...(row[first] as object | undefined), [field]: value };
  }
  for (const [name, value] of Object.entries(row)) if (isAbsent(value)) row[name] = null;
  return row as Row;
}

function restored(kind: ColumnKind, stored: unknown): unknown {
  const written = (stored ?? '') as string;
  if (kind === 'list') return listOf(written);
  if (kind === 'numbers') return listOf(written).map(Number);
  if (kind === 'counts') return written === '' ? {} : JSON.parse(written);
  return stored;
}

function listOf(joined: string): string[] {
  return joined === '' ? [] : joined.split('|');
}

function isAbsent(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((field) => field === null);
}
