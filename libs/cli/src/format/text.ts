/** Numbers and tables for people. */
import { charactersOf, printable } from '@emotune/base';

/** What stands where there is nothing to say. */
export const nothing = '–';

/** 12345.6 → 12,346 */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Four significant digits, without trailing zeros: 0.0012346 → 0.001235. */
export function figure(value: number | undefined | null): string {
  return value === undefined || value === null || !Number.isFinite(value)
    ? nothing
    : String(Number(value.toPrecision(4)));
}

/** A share in percent. */
export function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}

/** For people: 0.4 s → 1 s, 95 s → 2 min, 5,400 s → 1.5 h. */
export function durationText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 90 * 60 ? `${Math.round(seconds / 60)} min` : `${Number((seconds / 3600).toFixed(1))} h`;
}

/** On one line, at most `length` characters. */
export function clip(text: string, length: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  let [seen, room] = [0, 0];
  for (const { index } of charactersOf(line)) {
    if (seen === length - 1) room = index;
    if (seen++ === length) return `${line.slice(0, room)}…`;
  }
  return line;
}

/** East Asian and emoji characters take two columns, marks that join them none. */
function width(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{Mark}|\u200d|\ufe0f/u.test(character)) continue;
    columns +=
      /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return columns;
}

/** What a table shows of a value: no more than its own line. */
function cellOf(value: string): string {
  return printable(value).replaceAll('\n', '\\n');
}

/** Columns two blanks apart. A column is aligned right when every entry but the heading is a number or nothing. */
export function table(head: readonly string[], given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(cellOf));
  const all = [head, ...rows];
  const widths = head.map((_, c) => Math.max(...all.map((row) => width(row[c]))));
  const numeric = head.map(
    (_, c) =>
      rows.some((row) => row[c] !== nothing && row[c] !== '') &&
      rows.every((row) => /^(-?[\d.,]+(e[+-]?\d+)?( %)?|–|)$/.test(row[c])),
  );
  return all
    .map((row) =>
      row
        .map((cell, c) => {
          const blanks = ' '.repeat(widths[c] - width(cell));
          return numeric[c] ? blanks + cell : cell + blanks;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `label: value` lines with the values one below the other; lines without a value are left out. */
export function facts(lines: readonly (readonly [string, string | undefined])[]): string {
  const shown = lines.filter((line): line is readonly [string, string] => !!line[1]);
  const longest = Math.max(...shown.map(([label]) => label.length));
  return shown.map(([label, value]) => `${`${label}:`.padEnd(longest + 1)} ${value}`).join('\n');
}
