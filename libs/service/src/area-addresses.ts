/** The addresses of areas that have one each, as people write them: `area=ADDRESS,area=ADDRESS`. */
import { show } from '@emotune/base';
import { type Area, areas } from './contract.js';

/** What stands for each area. */
export type ByArea<T> = Readonly<Partial<Record<Area, T>>>;

/** host:port, with an IPv6 host in brackets. */
export function isAddress(text: string): boolean {
  const port = /^(?:\[[\da-f:]+\]|[^\s:/[\]]+):(\d{1,5})$/i.exec(text)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

/**
 * @param read what an address stands for; undefined: it is none
 * @param expected what an address looks like, as messages tell it
 * @returns what was understood and, each as "expected …", what was not
 */
export function byAreaOf<T>(
  text: string,
  read: (address: string) => T | undefined,
  expected: string,
): { readonly found: ByArea<T>; readonly faults: readonly string[] } {
  const found: Partial<Record<Area, T>> = {};
  const faults: string[] = [];
  const named = new Set<Area>();
  for (const entry of text.split(',').flatMap((part) => part.trim() || [])) {
    const [name, address = ''] = entry.split('=');
    const area = areas.find((known) => known === name);
    const value = read(address);
    if (!area) faults.push(`expected ${areas.join(', ')} before "=" in ${show(entry)}`);
    else if (named.has(area)) faults.push(`expected ${area} once`);
    else if (value === undefined) faults.push(`expected ${area}=${expected}`);
    else found[area] = value;
    if (area) named.add(area);
  }
  return { found, faults };
}
