/**
 * What can be written in a YAML file, by the message that it becomes: names as people write them, and what the comments of
 * the contract say of each. The last line of a comment may have marks: `@required`, `@default 12`, `@range 0..100` (an end may
 * be open) and `@example …`, as YAML.
 */
import { messageType } from '@emotune/proto';
import { isValue, settingsField, shortEnumName, wordOf } from '@emotune/service/spec';
import protobuf from 'protobufjs';

/** What stands in a field: a message by its full name, one of several words, or a plain value. */
export type SpecType =
  | { readonly kind: 'text' | 'path' | 'integer' | 'number' | 'flag' | 'scale' | 'any' }
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'mapping'; readonly message: string };

export interface SpecField {
  readonly name: string;
  readonly type: SpecType;
  readonly many: 'one' | 'list' | 'by name';
  readonly description: string;
  readonly required: boolean;
  /** As YAML. */
  readonly usual: string | undefined;
  readonly example: string | undefined;
  readonly range: { readonly low?: number; readonly high?: number } | undefined;
}

export interface SpecMessage {
  readonly name: string;
  readonly description: string;
  readonly fields: readonly SpecField[];
  /** Exactly one of each group is written. */
  readonly choices: readonly (readonly string[])[];
  /** Further names may stand in it. */
  readonly settings: boolean;
}

const integers = /^[su]?int(32|64)$/;

function typeOf(field: protobuf.Field): SpecType {
  const type = field.resolvedType;
  if (isValue(field)) return { kind: 'any' };
  if (type instanceof protobuf.Enum) {
    const names = Object.keys(type.values).filter((name) => type.values[name] !== 0);
    return { kind: 'words', words: names.map(shortEnumName) };
  }
  if (type instanceof protobuf.Type) {
    if (type.name === 'UploadedFile') return { kind: 'path' };
    if (type.name === 'Scale') return { kind: 'scale' };
    return { kind: 'mapping', message: type.fullName.slice(1) };
  }
  if (field.type === 'bool') return { kind: 'flag' };
  if (integers.test(field.type)) return { kind: 'integer' };
  return { kind: field.type === 'string' ? 'text' : 'number' };
}

function rangeOf(text: string | undefined): SpecField['range'] {
  if (text === undefined) return undefined;
  const [low, high] = text.split('..').map((end) => (end === '' ? undefined : Number(end)));
  return { ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) };
}

/** A comment's text, and its marks by name. */
function said(comment: string | null): { text: string; marks: ReadonlyMap<string, string> } {
  const lines = (comment ?? '').split('\n');
  const last = lines.at(-1)!.startsWith('@') ? lines.pop()! : '';
  const marks = last.split(/(?:^|\s)@(?=\w)/).slice(1);
  return {
    text: lines.join(' '),
    marks: new Map(
      marks.map((mark) => {
        const [name] = mark.split(' ');
        return [name, mark.slice(name.length).trim()];
      }),
    ),
  };
}

function fieldOf(field: protobuf.Field): SpecField {
  const { text, marks } = said(field.comment);
  return {
    name: wordOf(field),
    type: typeOf(field),
    many: field instanceof protobuf.MapField ? 'by name' : field.repeated ? 'list' : 'one',
    description: text,
    required: marks.has('required'),
    usual: marks.get('default'),
    example: marks.get('example'),
    range: rangeOf(marks.get('range')),
  };
}

function messageOf(type: protobuf.Type): SpecMessage {
  const settings = settingsField(type);
  return {
    name: type.fullName.slice(1),
    description: said(type.comment).text,
    fields: type.fieldsArray.filter((field) => field !== settings).map(fieldOf),
    choices: type.oneofsArray
      .filter(({ name }) => !name.startsWith('_'))
      .map(({ fieldsArray }) => fieldsArray.map(wordOf)),
    settings: settings !== undefined,
  };
}

/** The message of a file and all that stand in it, itself first, each once. */
export function specMessages(typeName: string): readonly SpecMessage[] {
  const found = new Map<string, SpecMessage>();
  const visit = (name: string) => {
    if (found.has(name)) return;
    const message = messageOf(messageType(name));
    found.set(name, message);
    for (const { type } of message.fields) if (type.kind === 'mapping') visit(type.message);
  };
  visit(typeName);
  return [...found.values()];
}
