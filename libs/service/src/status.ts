/**
 * Our named errors as gRPC statuses, and back, so that a caller catches the class that the server threw. Violations
 * travel as google.rpc.BadRequest in the trailer `grpc-status-details-bin` (google.rpc.Status), as other servers send them.
 */
import {
  beginningOf,
  errorClasses,
  Internal,
  InvalidArgument,
  policyOf,
  Unavailable,
  type Violation,
} from '@emotune/base';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const detailsKey = 'grpc-status-details-bin';
const badRequestUrl = 'type.googleapis.com/google.rpc.BadRequest';

const classes = new Map(errorClasses.map((type) => [status[type.policy.status], type]));

const { nested } = protobuf.Root.fromJSON({
  nested: {
    Violation: {
      fields: { field: { type: 'string', id: 1 }, description: { type: 'string', id: 2 } },
    },
    BadRequest: { fields: { fieldViolations: { rule: 'repeated', type: 'Violation', id: 1 } } },
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
const { BadRequest, Status } = nested as Record<'BadRequest' | 'Status', protobuf.Type>;

/** Violations sent at most, and characters of all of them: the trailer must fit into HTTP/2 headers. */
const sentViolations = 20;
const sentCharacters = 6000;

function trailer(error: InvalidArgument): Metadata {
  const sent = error.violations.slice(0, sentViolations);
  const each = Math.floor(sentCharacters / sent.length);
  const fieldViolations = sent.map(({ field, description }) => ({
    field,
    description: beginningOf(description, each),
  }));
  const value = BadRequest.encode(BadRequest.fromObject({ fieldViolations })).finish();
  const metadata = new Metadata();
  metadata.set(
    detailsKey,
    Buffer.from(
      Status.encode(
        Status.fromObject({
          code: status.INVALID_ARGUMENT,
          message: beginningOf(error.message, 1000),
          details: [{ typeUrl: badRequestUrl, value }],
        }),
      ).finish(),
    ),
  );
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
  return error instanceof InvalidArgument ? { code, details, metadata: trailer(error) } : { code, details };
}

function violationsIn(metadata: Metadata | undefined): Violation[] {
  const [bytes] = metadata?.get(detailsKey) ?? [];
  if (!(bytes instanceof Uint8Array)) return [];
  const { details } = Status.toObject(Status.decode(bytes)) as {
    details?: { typeUrl: string; value: Uint8Array }[];
  };
  return (details ?? [])
    .filter(({ typeUrl }) => typeUrl === badRequestUrl)
    .flatMap(
      ({ value }) =>
        BadRequest.toObject(BadRequest.decode(value), { defaults: true })['fieldViolations'] as Violation[],
    );
}

/** What a caller catches. `address` tells which server could not be reached. */
export function errorOf(cause: ServiceError, address: string): Error {
  const { code, details, metadata } = cause;
  switch (code) {
    case status.INVALID_ARGUMENT: {
      const violations = violationsIn(metadata);
      return new InvalidArgument(violations.length > 0 ? violations : [{ field: '', description: details }], {
        cause,
      });
    }
    case status.DEADLINE_EXCEEDED:
      return new Unavailable(`${address} did not answer in time`, { cause });
    case status.UNAVAILABLE:
      // A server of ours says in its own words what is unavailable; grpc-js speaks of connections.
      return new Unavailable(
        /connection|address|ECONN|resolution/i.test(details)
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
