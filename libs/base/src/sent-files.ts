/** What both ends of a file's way to a server keep to. */
import { InvalidArgument } from './errors.js';

/** Sent at once, either way. */
export const chunkBytes = 2 ** 20;

/** A file whose rows are read may be this large: they are read twice, at some ten MiB a second at worst. */
export const largestRowFileBytes = 64 * 2 ** 30;

export function tooLarge(field: string, name: string, bytes: number): InvalidArgument {
  const gibibytes = (n: number, digits: number) => (n / 2 ** 30).toFixed(digits);
  return InvalidArgument.at(
    field,
    `expected at most ${gibibytes(largestRowFileBytes, 0)} GiB, got ${gibibytes(bytes, 1)} GiB: split ${name} into several files`,
  );
}
