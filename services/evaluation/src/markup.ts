/** HTML and SVG as strings in which nothing that is put in can become a tag. */

/** Text that is markup already. */
export class Markup {
  constructor(readonly text: string) {}
}

export type Content = string | number | Markup | undefined | readonly Content[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function markupOf(content: Content): string {
  if (content === undefined) return '';
  if (content instanceof Markup) return content.text;
  if (typeof content === 'object') return content.map(markupOf).join('');
  return String(content).replace(/[&<>"']/g, (character) => entities[character]);
}

/** A template whose values are escaped, unless they are markup. Attribute values must stand in double quotes. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(strings.map((text, i) => text + markupOf(values[i])).join(''));
}
