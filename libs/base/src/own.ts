/**
 * What a record has under a name that somebody else has chosen: undefined where it has none, also for names that every object
 * answers to, such as "constructor" and "__proto__".
 */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
