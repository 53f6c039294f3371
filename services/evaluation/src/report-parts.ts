/** What every section of the report is made of: numbers, parameters and tables as text and markup. */
import type { PlainValue } from '@emotune/proto';
import { type Content, html, type Markup } from './markup.js';

export function number(value: number | undefined, digits = 3): string {
  // A small negative number must not be shown as −0.
  return value === undefined ? '–' : value.toFixed(digits).replace(/^-(0\.?0*)$/, '$1');
}

export function pValue(p: number | undefined): string {
  if (p === undefined) return '–';
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}

export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

export function table(head: readonly Content[], rows: readonly (readonly Content[])[], kind = ''): Markup {
  return html`<div class="wide"><table class="${kind}"><thead><tr>${head.map((cell) => html`<th>${cell}</th>`)}</tr></thead><tbody>${rows.map(
    (row) =>
      html`<tr>${row.map((cell, i) => (i === 0 ? html`<th>${cell}</th>` : html`<td>${cell}</td>`))}</tr>`,
  )}</tbody></table></div>`;
}

export function parameterText(value: PlainValue): string {
  return String(typeof value === 'number' ? Number(value.toPrecision(4)) : (value ?? ''));
}

export function parametersText(parameters: Readonly<Record<string, PlainValue>>): string {
  return Object.entries(parameters)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} ${parameterText(value)}`)
    .join(', ');
}
