/** Text from data as a terminal may see it: what would steer it, or turn letters round, is shown as its code instead. */

/**
 * Controls of C0 but line feed and tab, DEL, C1; what sets the direction of writing; what separates lines and paragraphs;
 * annotations and tags, which nobody sees.
 */
const steering =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

function codesOf(character: string): string {
  return Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('');
}

/** For people: ESC → \u001b. Lines stay lines. */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(steering, codesOf);
}

/** Of JSON text: the same document, in which strings hold such characters as escapes only. */
export function printableJson(json: string): string {
  return json.replace(steering, codesOf);
}
