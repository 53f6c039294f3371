/**
 * Who may call a server: whoever shows its token, and a trainer, by a token of its own, `TrialService` alone. That token is the
 * secret of its attempt and, after a dot, the server's signature, so that a stranger's call costs no look into the database.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { type EmotuneError, PermissionDenied, sha256, Unauthenticated } from '@emotune/base';
import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { statusOf } from './status.js';

/** Whether a method is one of those that trainers call. @param path /package.Service/Method */
export function isForTrainers(path: string): boolean {
  return path.startsWith('/emotune.tuning.v1.TrialService/');
}

/** Answers anybody: those who watch over processes have no secrets, and it tells no more than whether one serves. */
const health = '/grpc.health.v1.Health/';

function same(a: string, b: string): boolean {
  // Hashes, so that lengths tell nothing either.
  return timingSafeEqual(Buffer.from(sha256(a), 'hex'), Buffer.from(sha256(b), 'hex'));
}

/** The token of "authorization: Bearer …". */
export function bearerIn(metadata: Pick<Metadata, 'get'> | undefined): string | undefined {
  const [header] = metadata?.get('authorization') ?? [];
  return /^Bearer (.+)$/i.exec(String(header ?? ''))?.[1];
}

/** The part of a trainer's token that is its attempt's own. */
export function secretOfAttempt(token: string): string {
  return token.split('.', 1)[0];
}

export class Access {
  /** @param token without one, all that can reach the server may call it. */
  constructor(private readonly token: string | undefined) {}

  /** What a trainer shows. @param secret of its attempt, without a dot */
  trainerToken(secret: string): string {
    return this.token === undefined ? secret : `${secret}.${this.signature(this.token, secret)}`;
  }

  private signature(token: string, secret: string): string {
    return createHmac('sha256', token).update(`trainer ${secret}`).digest('base64url');
  }

  /** Why a call is refused. @param path /package.Service/Method */
  refusal(path: string, shown: string | undefined): EmotuneError | undefined {
    if (this.token === undefined || path.startsWith(health)) return undefined;
    if (shown === undefined)
      return new Unauthenticated('expected the token of the platform (authorization: Bearer …), got none');
    const forTrainers = isForTrainers(path);
    if (same(shown, this.trainerToken(secretOfAttempt(shown))))
      return forTrainers
        ? undefined
        : new PermissionDenied(
            'expected the token of the platform; that of a trainer is for TrialService alone',
          );
    if (!forTrainers && same(shown, this.token)) return undefined;
    return new Unauthenticated(
      forTrainers
        ? 'expected the token that a trainer was started with, got another'
        : 'expected the token of the platform, got another',
    );
  }

  /** Refuses calls before anything of them is read. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const refused = this.refusal(method.path, bearerIn(metadata));
        if (refused) return call.sendStatus(statusOf(refused));
        // What serves the call needs it no more, but a trainer's says which attempt it is.
        if (!isForTrainers(method.path)) metadata.remove('authorization');
        next(metadata);
      })
      .build();
    return new ServerInterceptingCall(
      call,
      new ResponderBuilder().withStart((next) => next(listener)).build(),
    );
  };
}
