/** The small text files that lie beside a model's weights. */
import { readFile } from 'node:fs/promises';
import { InvalidArgument, show } from '@emotune/base';

/** The text of a file; undefined where there is none. */
export async function textAt(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
}

/** What a file's text holds. @throws InvalidArgument naming the file when it is not an object in JSON. */
export function objectIn(name: string, text: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw InvalidArgument.at(name, 'expected JSON', { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw InvalidArgument.at(name, `expected an object, got ${show(json)}`);
  return json as Record<string, unknown>;
}
