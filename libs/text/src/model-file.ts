/** The small text files that lie beside a model's weights. */
import { dirname } from 'node:path';
import { InvalidArgument, readRegularFile, show } from '@emotune/base';

/** A tokenizer of 250,000 tokens takes 20 MB. */
const mostBytes = 2 ** 28;

/** The text of a file in a model's folder; undefined where there is none. @throws InvalidArgument when it is no regular file there. */
export async function textAt(path: string): Promise<string | undefined> {
  try {
    return (await readRegularFile(path, { within: dirname(path), mostBytes })).toString('utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
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
