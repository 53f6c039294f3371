/** What a key may be: a relative path that stays inside the store on every adapter. */
import { InvalidArgument, show } from '@emotune/base';

/** The key, or a prefix without its closing "/". @throws InvalidArgument */
export function checkedKey(key: string): string {
  const segments = key.split('/');
  const bad =
    // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL ends a path in every file system.
    /[\\\u0000]/.test(key) ||
    segments.some((segment) => segment === '' || segment === '.' || segment === '..');
  // A file system takes names of so many bytes.
  const long = Buffer.byteLength(key) > 1024 || segments.some((segment) => Buffer.byteLength(segment) > 255);
  if (bad || long)
    throw InvalidArgument.at(
      'key',
      `expected a relative path of at most 1024 bytes, 255 a part, without "..", "\\" and empty parts, got ${show(key)}`,
    );
  return key;
}

/** A prefix with or without its closing "/". @throws InvalidArgument */
export function checkedFolder(prefix: string): string {
  return checkedKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
}
