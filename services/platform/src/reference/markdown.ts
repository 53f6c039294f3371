/** The reference of the files that people write, as Markdown. */
import { type SpecField, type SpecMessage, type SpecType, specMessages } from '@emotune/cli/spec';

const heads = ['field', 'type', 'default', 'range', 'example', 'what it is'];

const code = (text: string) => `\`${text}\``;
const cell = (text: string) => text.replaceAll('|', '\\|');

/** `emotune.data.v1.SourceSpec` as its heading, of which Markdown makes the link. */
const heading = (message: string) => message.split('.').at(-1)!;

function typeText(type: SpecType): string {
  if (type.kind === 'mapping') return `[${heading(type.message)}](#${heading(type.message).toLowerCase()})`;
  if (type.kind === 'words') return type.words.map(code).join(', ');
  return { flag: 'true or false', any: 'a value', scale: 'LO..HI' }[type.kind as string] ?? type.kind;
}

const manyText = { one: '', list: 'list of ', 'by name': 'by name: ' };

function rangeText({ range }: SpecField): string {
  if (range === undefined) return '';
  const { low, high } = range;
  return high === undefined ? `from ${low}` : `${low} … ${high}`;
}

function rowOf(field: SpecField, { choices }: SpecMessage): string[] {
  const others = choices.find((names) => names.includes(field.name))?.filter((name) => name !== field.name);
  const usual = field.required
    ? 'required'
    : others
      ? `this or ${others.map(code).join(', ')}`
      : field.usual === undefined
        ? ''
        : code(field.usual);
  return [
    code(field.name),
    manyText[field.many] + typeText(field.type),
    usual,
    rangeText(field),
    field.example === undefined ? '' : code(field.example),
    field.description,
  ].map(cell);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = heads.map((_, i) => Math.max(...[heads, ...rows].map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, i) => text.padEnd(widths[i])).join(' | ')} |`;
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

function section(message: SpecMessage): string {
  const more = message.settings
    ? 'Beside these stand the settings of training, nested or with dots, as [training.md](training.md) has them.'
    : '';
  return [
    `### ${heading(message.name)}`,
    message.description,
    table(message.fields.map((field) => rowOf(field, message))),
    more,
  ]
    .filter(Boolean)
    .join('\n\n');
}

/** What is written in a file such as `dataset.yaml`, with a whole example of it. */
export function referenceOf(file: string, typeName: string, example: string): string {
  return [
    `## ${file}`,
    `\`\`\`yaml\n${example.trimEnd()}\n\`\`\``,
    ...specMessages(typeName).map(section),
  ].join('\n\n');
}
