/** YAML files that people write. */
import { open } from 'node:fs/promises';
import { InvalidArgument } from '@emotune/base';
import { parseDocument } from 'yaml';

/** A spec of 10,000 parameters has about 1 MB. */
const mostMebibytes = 4;
const mostAliases = 100;

/** @param origin names the text in violations @throws InvalidArgument */
export function parseYaml(text: string, origin: string): unknown {
  try {
    const document = parseDocument(text, { prettyErrors: true });
    if (document.errors.length === 0) return document.toJS({ maxAliasCount: mostAliases });
    throw new InvalidArgument(
      document.errors.map((error) => ({ field: origin, description: error.message.split('\n')[0] })),
    );
  } catch (cause) {
    if (cause instanceof InvalidArgument) throw cause;
    // Nested so deep that the stack is exhausted, or aliases of aliases.
    throw InvalidArgument.at(origin, `expected plain YAML, got ${(cause as Error).message}`, { cause });
  }
}

/** @param origin how the user called the file @throws InvalidArgument when it cannot be read as YAML. */
export async function readYamlFile(path: string, origin: string): Promise<unknown> {
  const refuse = (expected: string, got: string, cause?: unknown): never => {
    throw InvalidArgument.at(origin, `expected ${expected}, got ${got}`, { cause });
  };
  const file = await open(path).catch((error) =>
    refuse('a file that can be read', error.code === 'ENOENT' ? 'none' : error.code, error),
  );
  let bytes: Buffer;
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return refuse('a file', 'a folder or device');
    if (stat.size > mostMebibytes * 1024 ** 2)
      return refuse(`at most ${mostMebibytes} MiB of YAML`, `${stat.size} bytes`);
    bytes = await file.readFile();
  } finally {
    await file.close();
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    return refuse('UTF-8 text', 'other bytes', cause);
  }
  return parseYaml(text, origin);
}
