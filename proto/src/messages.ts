/** The contract's messages by their descriptors: on the wire, and as the generated types describe them. */
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { withPlainValues } from './values.js';

/** The folder that imports in .proto files are relative to. */
export const protoRoot = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '.' : '../../src/', import.meta.url),
);

/** Every file that declares a service or an event, relative to `protoRoot`. */
export const protoFiles: readonly string[] = [
  'emotune/files/v1/files.proto',
  'emotune/events/v1/events.proto',
  'emotune/data/v1/data.proto',
  'emotune/data/v1/events.proto',
  'emotune/featurization/v1/featurization.proto',
  'emotune/featurization/v1/events.proto',
  'emotune/tuning/v1/experiment.proto',
  'emotune/tuning/v1/insight.proto',
  'emotune/tuning/v1/trial.proto',
  'emotune/tuning/v1/model.proto',
  'emotune/tuning/v1/events.proto',
  'emotune/evaluation/v1/evaluation.proto',
  'emotune/evaluation/v1/study.proto',
  'emotune/evaluation/v1/events.proto',
  'emotune/inference/v1/inference.proto',
];

let loaded: protobuf.Root | undefined;

/** Every message and service, with what their comments say. */
export function contract(): protobuf.Root {
  if (loaded) return loaded;
  const root = new protobuf.Root();
  root.resolvePath = (_, target) =>
    target.startsWith('google/protobuf/') ? target : `${protoRoot.replace(/\/$/, '')}/${target}`;
  root.loadSync([...protoFiles], { alternateCommentMode: true }).resolveAll();
  loaded = withPlainValues(root);
  return loaded;
}

/** @param name such as `emotune.data.v1.DatasetSpec` */
export function messageType(name: string): protobuf.Type {
  return contract().lookupType(name);
}

/** A message between its generated type and its bytes. Fields that are left out have their defaults when it is read. */
export interface Codec<T> {
  encode(message: T | Encoded): Buffer;
  decode(bytes: Uint8Array): T;
}

/** Stands for a message whose bytes are there already. */
export class Encoded {
  private constructor(readonly bytes: Buffer) {}

  /** A message with one field, repeated, of these messages: encoded one by one, many hold nothing up. */
  static list(field: number, messages: readonly Uint8Array[]): Encoded {
    const bytesOfField = 2;
    const parts = messages.flatMap((message) => [
      protobuf.Writer.create()
        .uint32(8 * field + bytesOfField)
        .uint32(message.length)
        .finish(),
      message,
    ]);
    return new Encoded(Buffer.concat(parts));
  }
}

export function codecOf<T = unknown>(type: protobuf.Type): Codec<T> {
  return {
    encode: (message) =>
      message instanceof Encoded
        ? message.bytes
        : Buffer.from(type.encode(type.fromObject(message as object)).finish()),
    decode: (bytes) =>
      type.toObject(type.decode(bytes), { longs: Number, enums: String, defaults: true }) as T,
  };
}
