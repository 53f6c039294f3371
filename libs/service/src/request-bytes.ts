/** How large a request may be, by what its method needs. Whatever is larger travels in pieces: streams and uploads. */

/** Asked by names and numbers alone. */
const plain =
  /^(?:Get|List|Watch|Read|Preview|Delete|Pause|Resume|Cancel|Promote|Export|Compare|Download|Collect)/;
const plainBytes = 64 * 2 ** 10;

/** A spec, or a text. */
const usualBytes = 2 ** 20;

const others: Readonly<Record<string, number>> = {
  // Its answer holds the texts, too, and some 9 KB of each: all of it stays below what a client takes.
  'AnalysisService/AnalyzeBatch': 4 * 2 ** 20,
  // A piece of a file, and what stands around it.
  'FileService/Upload': 2 ** 20 + 2 ** 10,
};

/** Of one message, unpacked. */
export function mostBytes(service: string, method: string): number {
  return others[`${service}/${method}`] ?? (plain.test(method) ? plainBytes : usualBytes);
}
