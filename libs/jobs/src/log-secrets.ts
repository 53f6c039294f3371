/** Takes secrets out of what a job writes, line by line. */

const secretName = /token|secret|password|credential|api_?key|access_?key/i;
/** Shorter values would be found in words that are none. */
const leastLength = 6;
const mark = '[secret]';
/** A line that is longer comes in parts. */
const longestLine = 64 * 1024;

/** The token, and the values of variables whose name says that they are secret. */
export function secretsOf(
  environment: Readonly<Record<string, string | undefined>>,
  token?: string,
): readonly string[] {
  const named = Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && secretName.test(name) ? [value] : [],
  );
  return [...(token === undefined ? [] : [token]), ...named].filter(({ length }) => length >= leastLength);
}

/** Bytes in, whole lines without the secrets out. What it does not know as a secret but a URL shows as a password is one too. */
export class SafeLines {
  private rest = '';
  private readonly secrets: readonly string[];
  /** Of the longest secret, without its last byte. */
  private readonly held: number;

  constructor(
    secrets: readonly string[],
    private readonly write: (lines: Buffer) => void,
  ) {
    // Bytes as characters: what is no UTF-8 stays as it is. The longest first, since one may hold another.
    this.secrets = secrets
      .map((secret) => Buffer.from(secret).toString('latin1'))
      .sort((a, b) => b.length - a.length);
    this.held = Math.max(1, this.secrets[0]?.length ?? 1) - 1;
  }

  take(chunk: Uint8Array): void {
    const text = this.safe(this.rest + Buffer.from(chunk).toString('latin1'));
    const end = text.lastIndexOf('\n') + 1;
    // A secret may have begun at the end of a line that is cut.
    const cut = text.length - end > longestLine ? text.length - this.held : end;
    this.rest = text.slice(cut);
    this.put(text.slice(0, cut));
  }

  /** Nothing comes any more. */
  end(): void {
    this.put(this.safe(this.rest));
    this.rest = '';
  }

  private put(text: string): void {
    for (let at = 0; at < text.length; ) {
      const limit = at + longestLine;
      // As many whole lines as a part holds.
      const line = text.length <= limit ? text.length : text.lastIndexOf('\n', limit - 1) + 1;
      const end = line > at ? line : limit;
      this.write(Buffer.from(text.slice(at, end), 'latin1'));
      at = end;
    }
  }

  private safe(text: string): string {
    let found = text;
    for (const secret of this.secrets) found = found.replaceAll(secret, mark);
    return found.includes('://') ? found.replace(/(:\/\/[^\s:/@]*:)[^\s/@]+@/g, `$1${mark}@`) : found;
  }
}
