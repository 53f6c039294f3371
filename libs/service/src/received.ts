/** Requests as they come: decoded and checked one after another, so that many do not hold up what else is asked, and refused by name. */
import { isUtf8 } from 'node:buffer';
import { InvalidArgument, Turns } from '@emotune/base';
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
import { checkRequest, otherBytes } from './request-check.js';
import { statusOf } from './status.js';

/** Fields of a message with all that stands in it: to read and check so many holds other calls up for some 15 ms. */
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
    checkRequest(type, message);
    return message;
  };
}

/** A request that is read when it is its turn. */
export class Unread {
  /** Once it has been read. */
  message: unknown;

  constructor(
    private readonly bytes: Buffer,
    private readonly method: MethodDefinition<unknown, unknown>,
  ) {}

  /** @throws InvalidArgument, where grpc-js would say INTERNAL. */
  read(): unknown {
    const { path, requestDeserialize } = this.method;
    try {
      this.message = requestDeserialize(this.bytes);
      return this.message;
    } catch (cause) {
      if (cause instanceof InvalidArgument) throw cause;
      throw InvalidArgument.at('', `expected a message of ${path}, got other bytes`, { cause });
    }
  }
}

/** A server that answers INVALID_ARGUMENT where a request cannot be read. Needs `refusing` among its interceptors. */
export class RefusingServer extends Server {
  override addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    const methods = Object.entries(service).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer) => new Unread(bytes, method);
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

const reading = new Turns();

/** Reads requests in turn, and answers those that are refused in the place of their service. */
export const refusing: ServerInterceptor = (method, call) => {
  let over = false;
  const take = (unread: Unread, next: (message: unknown) => void) => {
    // Its caller has left while it waited.
    if (over) return;
    let message: unknown;
    try {
      message = unread.read();
    } catch (error) {
      over = true;
      call.sendStatus(statusOf(error));
      return;
    }
    next(message);
  };
  const listener = new ServerListenerBuilder()
    .withOnReceiveMessage((unread: Unread, next) => {
      void reading.take().then(() => take(unread, next));
    })
    // Who reads a stream learns that no more comes; who was never asked learns nothing.
    .withOnReceiveHalfClose((next) => {
      if (!over || method.requestStream) next();
    })
    .withOnCancel(() => {
      over = true;
    })
    .build();
  const responder = new ResponderBuilder()
    .withStart((next) => next(listener))
    .withSendMessage((message, next) => {
      if (!over) next(message);
    })
    .withSendStatus((sent, next) => {
      if (!over) next(sent);
    })
    .build();
  return new ServerInterceptingCall(call, responder);
};
