/** How what is recorded lies in the columns of a table. */

/** One part of what is recorded. */
export interface Column<T> {
  readonly name: string;
  /** Of PostgreSQL. */
  readonly type: string;
  /** Two values that are the same object are not compared any further. */
  readonly of: (recorded: T) => unknown;
  readonly stored: (value: never) => unknown;
}

export function column<T, V>(
  name: string,
  type: string,
  of: (recorded: T) => V,
  stored: (value: V) => unknown = (value) => value,
): Column<T> {
  return { name, type, of, stored };
}
