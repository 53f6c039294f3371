/**
 * Our named errors as gRPC statuses, and back, so that a caller catches the class that the server threw. Violations, and when
 * to ask again, travel as google.rpc.BadRequest and RetryInfo in the trailer `grpc-status-details-bin` (google.rpc.Status), as
 * other servers send them.
 */
import {
  beginningOf,
  errorClasses,
  Internal,
  InvalidArgument,
  policyOf,
  ResourceExhausted,
  Unavailable,
  type Violation,
} from '@emotune/base';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const detailsKey = 'grpc-status-details-bin';
const badRequestUrl = 'type.googleapis.com/google.rpc.BadRequest';
const retryInfoUrl = 'type.googleapis.com/google.rpc.RetryInfo';

const classes = new Map(errorClasses.map((type) => [status[type.policy.status], type]));

const { nested } = protobuf.Root.fromJSON({
  nested: {
    Violation: {
      fields: { field: { type: 'string', id: 1 }, description: { type: 'string', id: 2 } },
    },
    BadRequest: { fields: { fieldViolations: { rule: 'repeated', type: 'Violation', id: 1 } } },
    Duration: { fields: { seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } } },
    RetryInfo: { fields: { retryDelay: { type: 'Duration', id: 1 } } },
    Any: { fields: { typeUrl: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
    Status: {
      fields: {
        code: { type: 'int32', id: 1 },
        message: { type: 'string', id: 2 },
        details: { rule: 'repeated', type: 'Any', id: 3 },
      },
    },
  },
});
const { BadRequest, RetryInfo, Status } = nested as Record<
  'BadRequest' | 'RetryInfo' | 'Status',
  protobuf.Type
>;

/** Violations sent at most, and characters of all of them: the trailer must fit into HTTP/2 headers. */
const sentViolations = 20;
const sentCharacters = 6000;

/** A detail of a status, of any type. */
interface Detail {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

function badRequest({ violations }: InvalidArgument): Detail {
  const sent = violations.slice(0, sentViolations);
  const each = Math.floor(sentCharacters / sent.length);
  const fieldViolations = sent.map(({ field, description }) => ({
    field,
    description: beginningOf(description, each),
  }));
  return {
    typeUrl: badRequestUrl,
    value: BadRequest.encode(BadRequest.fromObject({ fieldViolations })).finish(),
  };
}

function retryInfo(retryAfterMs: number): Detail {
  const seconds = Math.floor(retryAfterMs / 1000);
  const nanos = Math.round(1e6 * (retryAfterMs - 1000 * seconds));
  return {
    typeUrl: retryInfoUrl,
    value: RetryInfo.encode(RetryInfo.fromObject({ retryDelay: { seconds, nanos } })).finish(),
  };
}

function detailsOf(error: unknown): Detail[] {
  if (error instanceof InvalidArgument) return [badRequest(error)];
  if (error instanceof ResourceExhausted && error.retryAfterMs !== undefined)
    return [retryInfo(error.retryAfterMs)];
  return [];
}

function trailer(code: status, error: Error, sent: readonly Detail[]): Metadata {
  const metadata = new Metadata();
  const message = { code, message: beginningOf(error.message, 1000), details: sent };
  metadata.set(detailsKey, Buffer.from(Status.encode(Status.fromObject(message)).finish()));
  return metadata;
}

export interface GrpcError {
  readonly code: status;
  readonly details: string;
  readonly metadata?: Metadata;
}

/** What leaves the server. Errors without a name of ours leave as INTERNAL, without their text. */
export function statusOf(error: unknown): GrpcError {
  const code = status[policyOf(error).status];
  if (code === status.INTERNAL) return { code, details: 'internal error; the service log says more' };
  const details = beginningOf((error as Error).message, 4000);
  const sent = detailsOf(error);
  // What this server lacks must not be taken for its absence: a trailer tells that it has answered.
  const tells = sent.length > 0 || code === status.UNAVAILABLE;
  return tells ? { code, details, metadata: trailer(code, error as Error, sent) } : { code, details };
}

/** The values of the details of one type. */
function detailsIn(metadata: Metadata | undefined, typeUrl: string): Uint8Array[] {
  const [bytes] = metadata?.get(detailsKey) ?? [];
  if (!(bytes instanceof Uint8Array)) return [];
  const { details } = Status.toObject(Status.decode(bytes)) as { details?: Detail[] };
  return (details ?? []).filter((detail) => detail.typeUrl === typeUrl).map(({ value }) => value);
}

function violationsIn(metadata: Metadata | undefined): Violation[] {
  return detailsIn(metadata, badRequestUrl).flatMap(
    (value) =>
      BadRequest.toObject(BadRequest.decode(value), { defaults: true })['fieldViolations'] as Violation[],
  );
}

function retryAfterMsIn(metadata: Metadata | undefined): number | undefined {
  const [value] = detailsIn(metadata, retryInfoUrl);
  if (value === undefined) return undefined;
  const { retryDelay } = RetryInfo.toObject(RetryInfo.decode(value), { longs: Number, defaults: true }) as {
    retryDelay: { seconds: number; nanos: number } | null;
  };
  return retryDelay ? 1000 * retryDelay.seconds + retryDelay.nanos / 1e6 : undefined;
}

const tlsAdvice =
  'EMOTUNE_TLS_CA_FILE has to name the CA of its certificate, and its address a name that the certificate bears';

/** What the gRPC library says of the last connection that failed. */
function lastErrorIn(details: string): string {
  return /Last error: (?:Error: )?(.+?)\.?(?: Resolution note:.*)?$/s.exec(details)?.[1] ?? details;
}

/** What a caller catches. `address` tells which server could not be reached. */
export function errorOf(cause: ServiceError, address: string): Error {
  const { code, details, metadata } = cause;
  const answered = (metadata?.get(detailsKey).length ?? 0) > 0;
  switch (code) {
    case status.INVALID_ARGUMENT: {
      const violations = violationsIn(metadata);
      return new InvalidArgument(violations.length > 0 ? violations : [{ field: '', description: details }], {
        cause,
      });
    }
    case status.RESOURCE_EXHAUSTED:
      return new ResourceExhausted(details, { cause, retryAfterMs: retryAfterMsIn(metadata) });
    case status.DEADLINE_EXCEEDED:
      return new Unavailable(`${address} did not answer in time`, { cause });
    case status.UNAVAILABLE:
      // A server of ours says in its own words what is unavailable; grpc-js speaks of connections.
      if (!answered && /certificate|\bSSL|\bTLS|altnames|EMOTUNE_TLS/i.test(details))
        return new Unavailable(
          `${address} is not trusted, or does not speak TLS (${lastErrorIn(details)}): ${tlsAdvice}`,
          {
            cause,
          },
        );
      return new Unavailable(
        !answered && /connection|address|ECONN|resolution/i.test(details)
          ? `${address} cannot be reached: is the platform running there?`
          : details,
        { cause },
      );
    default: {
      const type = classes.get(code) ?? Internal;
      return new type(details, { cause });
    }
  }
}
