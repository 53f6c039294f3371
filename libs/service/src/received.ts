/**
 * What no request may hold, whatever it asks for: found where it is decoded, by the descriptor of its message, before any
 * service sees it. Text is UTF-8 without U+0000, which PostgreSQL cannot keep; names of a map are no prototype; numbers are
 * finite and exact; words of an enum are known ones.
 */
import { isUtf8 } from 'node:buffer';
import { InvalidArgument, show, textFault, Violations } from '@emotune/base';
import {
  type MethodDefinition,
  ResponderBuilder,
  Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { statusOf } from './status.js';

/** Stands in a text for bytes that are no UTF-8: no bytes that are have it. */
const otherBytes = '\udc00';

/** Fields of a message with all that stands in it: to read and check so many holds other calls up for some 40 ms. */
const mostFields = 20_000;

/** A message that would hold other calls up. */
class TooMuch extends Error {}

/** Reads texts that are not UTF-8, too, so that their field can be named; and no more fields than a message may hold. */
class TextReader extends protobuf.BufferReader {
  private fields = 0;

  override tag(): number {
    if (++this.fields > mostFields)
      throw new TooMuch(`expected at most ${mostFields} fields in all, got more: send less at once`);
    return super.tag();
  }

  override stringVerify(): string {
    const bytes = this.bytes() as Buffer;
    return `${bytes.toString('utf8')}${isUtf8(bytes) ? '' : otherBytes}`;
  }
}

/** Messages that tell what was measured: a loss may have become infinite, or no number at all. */
const measuring: ReadonlySet<string> = new Set([
  '.emotune.tuning.v1.FinishTrialRequest',
  '.emotune.tuning.v1.FoldResult',
  '.emotune.tuning.v1.Measurement',
  '.emotune.tuning.v1.StudyMeasurement',
  '.emotune.tuning.v1.StudyObjective',
]);

const plainValue = '.google.protobuf.Value';
const long = /^(?:[su]?int|s?fixed)64$/;

type Path = readonly (string | number)[];

class Checker extends Violations {
  private text(value: string, path: Path): void {
    if (value.endsWith(otherBytes))
      this.add(path, `expected UTF-8, got other bytes in ${show(value.slice(0, -1))}: encode it`);
    else if (value.includes('\0')) this.add(path, textFault(value)!);
  }

  private number(value: number, path: Path): void {
    this.expect(Number.isFinite(value), path, `expected a finite number, got ${value}`);
  }

  /** What the names of a map stand for. */
  private entries(map: object, path: Path, check: (value: never, path: Path) => void): void {
    for (const [name, value] of Object.entries(map)) {
      // No name that anybody gives to anything; to assign it to an object changes the object.
      this.expect(name !== '__proto__', path, 'expected another name than "__proto__"');
      this.text(name, path);
      check(value as never, [...path, name]);
    }
  }

  private plain(value: unknown, path: Path): void {
    if (typeof value === 'number') this.number(value, path);
    else if (typeof value === 'string') this.text(value, path);
    else if (Array.isArray(value)) for (const [i, item] of value.entries()) this.plain(item, [...path, i]);
    else if (value !== null && typeof value === 'object')
      this.entries(value, path, (item, at) => this.plain(item, at));
  }

  private single(field: protobuf.Field, value: unknown, path: Path): void {
    const { resolvedType: type } = field;
    if (type instanceof protobuf.Enum)
      // Known ones have become their names.
      this.expect(
        typeof value === 'string',
        path,
        `expected one of ${Object.keys(type.values).join(', ')}, got ${value}`,
      );
    else if (type?.fullName === plainValue) this.plain(value, path);
    else if (type instanceof protobuf.Type) this.message(type, value as object, path);
    else if (typeof value === 'string') this.text(value, path);
    else if (long.test(field.type))
      this.expect(
        Number.isSafeInteger(value),
        path,
        `expected a whole number between -2^53 and 2^53, got ${value}`,
      );
    else if (typeof value === 'number' && !measuring.has(field.parent!.fullName)) this.number(value, path);
  }

  message(type: protobuf.Type, message: object, path: Path): void {
    for (const field of type.fieldsArray) {
      const value = (message as Record<string, unknown>)[field.name];
      if (value === undefined || value === null) continue;
      const at = [...path, field.name];
      if (field instanceof protobuf.MapField)
        this.entries(value as object, at, (item, place) => this.single(field, item, place));
      else if (Array.isArray(value))
        for (const [i, item] of value.entries()) this.single(field, item, [...at, i]);
      else this.single(field, value, at);
    }
  }
}

/**
 * The message that the bytes of a request are.
 * @param most bytes that are read at all
 * @throws InvalidArgument with every violation.
 */
export function receivedAs(type: protobuf.Type, most: number): (bytes: Buffer) => object {
  return (bytes) => {
    if (bytes.length > most)
      throw InvalidArgument.at('', `expected at most ${most} bytes, got ${bytes.length}: send less at once`);
    let message: object;
    try {
      message = type.toObject(type.decode(new TextReader(bytes)), {
        longs: Number,
        enums: String,
        defaults: true,
      });
    } catch (cause) {
      if (cause instanceof TooMuch) throw InvalidArgument.at('', cause.message);
      throw InvalidArgument.at(
        '',
        `expected the bytes of a ${type.name}, got others: ${(cause as Error).message}`,
        { cause },
      );
    }
    const checker = new Checker();
    checker.message(type, message, []);
    checker.throwIfAny();
    return message;
  };
}

/** Stands for a request that is not taken. */
class Refused {
  constructor(readonly error: InvalidArgument) {}
}

function refusal({ path }: MethodDefinition<unknown, unknown>, cause: unknown): Refused {
  if (cause instanceof InvalidArgument) return new Refused(cause);
  return new Refused(InvalidArgument.at('', `expected a message of ${path}, got other bytes`, { cause }));
}

/** A server that answers INVALID_ARGUMENT where a request cannot be read. Needs `refusing` among its interceptors. */
export class RefusingServer extends Server {
  override addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    const methods = Object.entries(service).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer) => {
        // grpc-js would say INTERNAL.
        try {
          return method.requestDeserialize(bytes);
        } catch (error) {
          return refusal(method, error);
        }
      };
      return [name, { ...method, requestDeserialize }];
    });
    super.addService(Object.fromEntries(methods), implementation);
  }
}

/** What the gRPC library says INTERNAL of, and who asked has done. */
const unreadable = /^(?:Failed to decompress message|Invalid grpc-timeout value)/;

/** Answers INVALID_ARGUMENT in the place of the gRPC library's INTERNAL. A server's first interceptor: it stands on the library's own call. */
export const blaming: ServerInterceptor = (_, call) => {
  const send = call.sendStatus.bind(call);
  call.sendStatus = (sent) => {
    const details = sent.details ?? '';
    send(
      unreadable.test(details)
        ? statusOf(
            InvalidArgument.at('', `expected headers and a body as gRPC has them, got others: ${details}`),
          )
        : sent,
    );
  };
  return call as ServerInterceptingCall;
};

/** Answers requests that are refused in the place of their service. */
export const refusing: ServerInterceptor = (method, call) => {
  let refused = false;
  const listener = new ServerListenerBuilder()
    .withOnReceiveMessage((message, next) => {
      if (refused) return;
      if (!(message instanceof Refused)) return next(message);
      refused = true;
      call.sendStatus(statusOf(message.error));
    })
    // Who reads a stream learns that no more comes; who was never asked learns nothing.
    .withOnReceiveHalfClose((next) => {
      if (!refused || method.requestStream) next();
    })
    .build();
  const responder = new ResponderBuilder()
    .withStart((next) => next(listener))
    .withSendMessage((message, next) => {
      if (!refused) next(message);
    })
    .withSendStatus((sent, next) => {
      if (!refused) next(sent);
    })
    .build();
  return new ServerInterceptingCall(call, responder);
};
