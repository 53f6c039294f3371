/** The rows of a file of the user's own, whatever its format: one way to name where a row is, what it holds and why it cannot be read. */
import { InvalidArgument, nearest, show } from '@emotune/base';

/** Bytes that can be read again and again, from anywhere. */
export interface FileContent {
  readonly bytes: number;
  /** Piece by piece, without the first `from`. */
  read(from?: number): AsyncIterable<Uint8Array>;
}

export type Row = {
  /** Where it begins: "line 12", or "row 12" where there are no lines; from 1. */
  readonly at: string;
} & (
  | { readonly values: Readonly<Record<string, unknown>>; readonly fault?: undefined }
  | { readonly fault: string }
);

/** The columns that are asked for; those that must be there. */
export interface Wanted {
  readonly columns: readonly string[];
  readonly required: readonly string[];
}

/** @throws InvalidArgument naming a required column that a file has not. */
export function expectColumns(names: readonly string[], { required }: Wanted, field: string): void {
  const missing = required.find((name) => !names.includes(name));
  if (missing === undefined) return;
  const near = nearest(missing, names);
  throw InvalidArgument.at(
    field,
    `expected a column "${missing}", got ${names.join(', ')}${near === undefined ? '' : ` (did you mean "${near}"?)`}`,
  );
}

/** @throws InvalidArgument naming each column that is there twice: nobody can tell which one is meant. */
export function expectDistinct(names: readonly string[], field: string): void {
  const placesOf = new Map<string, number[]>();
  for (const [i, name] of names.entries()) placesOf.set(name, [...(placesOf.get(name) ?? []), i + 1]);
  const twice = [...placesOf].filter(([name, places]) => name !== '' && places.length > 1);
  if (twice.length > 0)
    throw new InvalidArgument(
      twice.map(([name, places]) => ({
        field,
        description: `expected each column once, got ${show(name)} as columns ${places.join(' and ')}: rename or remove one`,
      })),
    );
}
