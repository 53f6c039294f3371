/** YAML files that people write. */
import { EmotuneError, InvalidArgument, readRegularFile, show, Violations } from '@emotune/base';
import { CST, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, type YAMLMap } from 'yaml';

const mostMebibytes = 4;
const mostAliases = 100;
/** A request holds 20,000 fields, of which each has a name and a value. */
const mostWords = 40_000;
const words = new Set<string | null>(['scalar', 'single-quoted-scalar', 'double-quoted-scalar', 'alias']);

/** Whether no request can hold it. What is found wrong in it takes longer to find than anybody waits for. */
function isTooMuch(text: string): boolean {
  // Each is a character and what ends it at least.
  if (text.length < 2 * mostWords) return false;
  let found = 0;
  for (const lexeme of new Lexer().lex(text))
    if (words.has(CST.tokenType(lexeme)) && ++found > mostWords) return true;
  return false;
}

/** What a document holds as plain values, where each stands for itself. */
class PlainValues {
  /** Keys that a mapping has twice, by where the second stands. The library looks at all others for each. */
  readonly twice: { readonly key: string; readonly at: number }[] = [];
  /** Whether there is an alias, or a key that is no scalar: then the library's own values count. */
  others = false;

  of(node: unknown): unknown {
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item) => this.of(item));
    if (isMap(node)) return Object.fromEntries(this.entries(node));
    this.others ||= node !== null;
    return null;
  }

  private entries({ items }: YAMLMap): [string, unknown][] {
    const seen = new Set<unknown>();
    return items.map(({ key, value }) => {
      const scalar = isScalar(key) ? key : undefined;
      if (!scalar) this.others = true;
      else if (seen.has(scalar.value))
        this.twice.push({ key: String(scalar.value), at: scalar.range?.[0] ?? 0 });
      else seen.add(scalar.value);
      return [String(scalar?.value ?? ''), this.of(value)];
    });
  }
}

/** @param origin names the text in violations @throws InvalidArgument */
export function parseYaml(text: string, origin: string): unknown {
  if (isTooMuch(text))
    throw InvalidArgument.at(
      origin,
      `expected at most ${mostWords.toLocaleString('en')} keys and values, which is what a request holds, got more`,
    );
  const lines = new LineCounter();
  const violations = new Violations();
  const wrong = (position: number, what: () => string) =>
    violations.add(origin, () => {
      const { line, col } = lines.linePos(position);
      return `${what()} at line ${line}, column ${col}`;
    });
  let value: unknown;
  try {
    const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, lineCounter: lines });
    for (const { message, pos } of document.errors) wrong(pos[0], () => message);
    if (document.errors.length === 0) {
      const plain = new PlainValues();
      value = plain.of(document.contents);
      for (const { key, at } of plain.twice) wrong(at, () => `expected a key once, got ${show(key)} again`);
      if (plain.others) value = document.toJS({ maxAliasCount: mostAliases });
    }
  } catch (cause) {
    // Nested so deep that the stack is exhausted, or aliases of aliases.
    throw InvalidArgument.at(origin, `expected plain YAML, got ${(cause as Error).message}`, { cause });
  }
  violations.throwIfAny();
  return value;
}

/** @param origin how the user called the file @throws InvalidArgument when it cannot be read as YAML. */
export async function readYamlFile(path: string, origin: string): Promise<unknown> {
  const refuse = (expected: string, got: string, cause?: unknown): never => {
    throw InvalidArgument.at(origin, `expected ${expected}, got ${got}`, { cause });
  };
  const bytes = await readRegularFile(path, { mostBytes: mostMebibytes * 1024 ** 2 }).catch((error) => {
    if (error instanceof InvalidArgument)
      throw InvalidArgument.at(origin, error.violations[0].description, { cause: error });
    if (error instanceof EmotuneError) throw error;
    return refuse('a file that can be read', error.code === 'ENOENT' ? 'none' : error.code, error);
  });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    return refuse('UTF-8 text', 'other bytes', cause);
  }
  return parseYaml(text, origin);
}
