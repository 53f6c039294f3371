/**
 * Values whose kind is the sender's to choose, such as those of parameters and settings: in the contract a
 * `google.protobuf.Value`, in a program and in what it stores the value itself.
 */
import protobuf from 'protobufjs';

export type PlainValue =
  | null
  | number
  | string
  | boolean
  | readonly PlainValue[]
  | { readonly [name: string]: PlainValue };

/** A `google.protobuf.Value`, as protobuf.js has it. */
type Message = Readonly<Record<string, unknown>>;

function messageOf(value: PlainValue): Message {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(messageOf) } };
  return { structValue: { fields: mapped(value as Record<string, PlainValue>, messageOf) } };
}

function plainOf(message: Message): PlainValue {
  const value = message[message['kind'] as string];
  switch (message['kind']) {
    case 'listValue':
      return (value as { values: Message[] }).values.map(plainOf);
    case 'structValue':
      return mapped((value as { fields: Record<string, Message> }).fields, plainOf);
    case 'numberValue':
    case 'stringValue':
    case 'boolValue':
      return value as PlainValue;
    default:
      return null;
  }
}

function mapped<A, B>(values: Readonly<Record<string, A>>, of: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of(value)]));
}

/** A field of values, as the message has it; what is absent stays so. */
function fieldOf(field: protobuf.Field, given: unknown): unknown {
  if (given === undefined || (given === null && !field.repeated)) return undefined;
  if (field instanceof protobuf.MapField) return mapped(given as Record<string, PlainValue>, messageOf);
  return field.repeated ? (given as PlainValue[]).map(messageOf) : messageOf(given as PlainValue);
}

/** Lets every message of the contract hold values in place of `google.protobuf.Value`. */
export function withPlainValues(root: protobuf.Root): protobuf.Root {
  const value = root.lookupType('google.protobuf.Value').setup();
  const visit = (namespace: protobuf.NamespaceBase): void => {
    for (const type of namespace.nestedArray) {
      if (type instanceof protobuf.Namespace) visit(type);
      if (!(type instanceof protobuf.Type)) continue;
      const fields = type.fieldsArray.filter((field) => field.resolvedType === value);
      if (fields.length === 0) continue;
      const { fromObject } = type.setup();
      // protobuf.js takes no scalar for a message.
      type.fromObject = (given, ...depth: []) =>
        fromObject.call(
          type,
          {
            ...given,
            ...Object.fromEntries(fields.map((field) => [field.name, fieldOf(field, given[field.name])])),
          },
          ...depth,
        );
    }
  };
  visit(root.lookup('emotune') as protobuf.Namespace);
  value.toObject = (message) => plainOf(message as unknown as Message) as never;
  return root;
}
