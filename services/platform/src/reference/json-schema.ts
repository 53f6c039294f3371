/** JSON schemas of the files that people write, for editors and checkers. */
import { parseYaml, type SpecField, type SpecMessage, type SpecType, specMessages } from '@emotune/cli/spec';

type Schema = Record<string, unknown>;

const draft = 'https://json-schema.org/draft/2020-12/schema';

const plain: Readonly<Record<string, Schema>> = {
  text: { type: 'string' },
  path: { type: 'string', minLength: 1 },
  integer: { type: 'integer' },
  number: { type: 'number' },
  flag: { type: 'boolean' },
  any: { type: ['number', 'string', 'boolean', 'array', 'object'] },
};

const scale: Schema = {
  anyOf: [
    { type: 'string', pattern: '^\\s*-?\\d+(\\.\\d+)?\\s*\\.\\.\\s*-?\\d+(\\.\\d+)?\\s*$' },
    {
      type: 'object',
      properties: { low: { type: 'number' }, high: { type: 'number' } },
      required: ['low', 'high'],
      additionalProperties: false,
    },
  ],
};

const shortName = (message: string) => message.split('.').at(-1)!;

function typeSchema(type: SpecType): Schema {
  if (type.kind === 'mapping') return { $ref: `#/$defs/${shortName(type.message)}` };
  if (type.kind === 'words') return { enum: type.words };
  return type.kind === 'scale' ? scale : plain[type.kind];
}

function fieldSchema({ type, many, range, usual, example, description }: SpecField): Schema {
  const one = {
    ...typeSchema(type),
    ...(range?.low === undefined ? {} : { minimum: range.low }),
    ...(range?.high === undefined ? {} : { maximum: range.high }),
  };
  const list = { type: 'array', items: one };
  const whole =
    many === 'list'
      ? // One path is written as it is.
        type.kind === 'path'
        ? { anyOf: [one, list] }
        : list
      : many === 'by name'
        ? { type: 'object', additionalProperties: one }
        : one;
  return {
    ...whole,
    ...(description === '' ? {} : { description }),
    ...(usual === undefined ? {} : { default: parseYaml(usual, 'default') }),
    ...(example === undefined ? {} : { examples: [parseYaml(example, 'example')] }),
  };
}

function messageSchema(message: SpecMessage, settings: Schema | undefined): Schema {
  const { fields, choices, description } = message;
  const required = fields.filter((field) => field.required).map(({ name }) => name);
  const [choice] = choices;
  return {
    type: 'object',
    ...(description === '' ? {} : { description }),
    properties: {
      ...(message.settings ? settings : {}),
      ...Object.fromEntries(fields.map((field) => [field.name, fieldSchema(field)])),
    },
    ...(required.length > 0 ? { required } : {}),
    ...(choice === undefined ? {} : { oneOf: choice.map((name) => ({ required: [name] })) }),
    additionalProperties: false,
  };
}

/**
 * The schema of a file that becomes a message of type `typeName`.
 * @param settings the properties of what may stand beside the fields of a message that holds settings
 */
export function jsonSchemaOf(typeName: string, settings?: Schema): Schema {
  const [root, ...others] = specMessages(typeName);
  return {
    $schema: draft,
    ...messageSchema(root, settings),
    ...(others.length > 0
      ? {
          $defs: Object.fromEntries(
            others.map((message) => [shortName(message.name), messageSchema(message, settings)]),
          ),
        }
      : {}),
  };
}
