/**
 * Who may call a server. The platform's services and whoever keeps it show its token, and a certificate where services have
 * some; guests show a token of their own, a trainer for `TrialService` alone and a rater of a study for `RaterService` alone: the
 * secret of the attempt or of the link and, after a dot, the server's signature, so that a stranger's call costs no look into the
 * database. Users show tokens of their issuer, and do what their role allows. Who changed what stands in the log.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { type Clock, PermissionDenied, sha256, systemClock, Unauthenticated } from '@emotune/base';
import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from '@grpc/grpc-js';
import type { Log } from './log.js';
import type { Unread } from './received.js';
import { changes, type Guest, guests, neededFor, type Role, suffices } from './roles.js';
import { statusOf } from './status.js';
import type { Users } from './users.js';

/** What each guest was given its token with. */
const given = {
  trainer: 'the token that a trainer was started with',
  rater: "the token of a rater's link",
} as const satisfies Record<Guest, string>;

function isGuest(needed: string): needed is Guest {
  return Object.hasOwn(guests, needed);
}

/** Of a method that guests call, which ones do. @param path /package.Service/Method */
export function guestFor(path: string): Guest | undefined {
  const needed = neededFor(path);
  return isGuest(needed) ? needed : undefined;
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

/** The part of a guest's token that is of its attempt or link. */
export function secretOfGuest(token: string): string {
  return token.split('.', 1)[0];
}

export interface AccessOptions {
  /** Without one, all that can reach the server may call it. */
  readonly token?: string | undefined;
  /** Whether who shows the token must show a certificate, too. */
  readonly certificates?: boolean;
  readonly users?: Users | undefined;
  /** Hears of each call that changes something, and once a minute of one that a user lacks the role for. */
  readonly log?: Log;
  readonly clock?: Clock;
}

/** What a caller shows. */
interface Shown {
  readonly token: string | undefined;
  /** The name in a certificate that was accepted. */
  readonly certificate?: string | undefined;
}

/** What names the resource in requests that change something. */
const naming = ['name', 'id', 'model', 'experiment', 'evaluation', 'study', 'sha256'] as const;

/** The resource that a request is about; '' where it names none. */
export function resourceOf(request: unknown): string {
  const fields = (value: unknown): Readonly<Record<string, unknown>> => Object(value);
  const { spec, header } = fields(request);
  for (const part of [fields(request), fields(spec), fields(header)])
    for (const name of naming) if (typeof part[name] === 'string' && part[name] !== '') return part[name];
  return '';
}

/** A user whose role is not enough. */
class TooLittle extends PermissionDenied {
  constructor(
    readonly subject: string,
    path: string,
    needed: Role,
    role: Role | undefined,
  ) {
    const has = role === undefined ? 'no role here' : `the role ${role}`;
    super(
      `${path.slice(1)} needs the role ${needed}, and ${subject} has ${has}: ask whoever keeps this platform (EMOTUNE_ROLES_FILE)`,
    );
  }
}

/** Of each user and method so seldom, however often it is tried. */
const refusalsMs = 60_000;
const mostRefusals = 1000;

/** What stands in the log of refusals: who tries without end fills no disk. */
class Refusals {
  private since = Number.NEGATIVE_INFINITY;
  private readonly told = new Set<string>();

  constructor(private readonly clock: Clock) {}

  isNew(subject: string, path: string): boolean {
    const now = this.clock.now();
    if (Math.abs(now - this.since) >= refusalsMs) {
      this.told.clear();
      this.since = now;
    }
    const key = JSON.stringify([subject, path]);
    if (this.told.has(key) || this.told.size >= mostRefusals) return false;
    this.told.add(key);
    return true;
  }
}

export class Access {
  private readonly refusals: Refusals;

  constructor(private readonly options: AccessOptions) {
    this.refusals = new Refusals(options.clock ?? systemClock);
  }

  /** What a guest shows. @param secret of the attempt or link, without a dot */
  guestToken(guest: Guest, secret: string): string {
    const { token } = this.options;
    if (token === undefined) return secret;
    return `${secret}.${createHmac('sha256', token).update(`${guest} ${secret}`).digest('base64url')}`;
  }

  /** Whether a guest shows what it was given. */
  isGuestToken(guest: Guest, shown: string): boolean {
    return same(shown, this.guestToken(guest, secretOfGuest(shown)));
  }

  /**
   * Who calls, by name.
   * @param path /package.Service/Method
   * @throws Unauthenticated, PermissionDenied; Unavailable when nobody can tell now
   */
  async admit(path: string, { token: shown, certificate }: Shown): Promise<string> {
    const { token, certificates, users } = this.options;
    if (token === undefined || path.startsWith(health)) return 'anybody';
    const needed = neededFor(path);
    const expected = users ? 'a token of the platform or of a user' : 'the token of the platform';
    if (shown === undefined)
      throw new Unauthenticated(`expected ${expected} (authorization: Bearer …), got none`);
    const guest = (Object.keys(guests) as Guest[]).find((one) => this.isGuestToken(one, shown));
    if (guest !== undefined) {
      if (needed === guest) return guest;
      throw new PermissionDenied(`expected ${expected}; that of a ${guest} is for ${guests[guest]} alone`);
    }
    if (isGuest(needed)) throw new Unauthenticated(`expected ${given[needed]}, got another`);
    if (same(shown, token)) {
      if (certificates && certificate === undefined)
        throw new Unauthenticated(
          "expected a certificate of the services' CA beside the token of the platform (EMOTUNE_TLS_CERT_FILE, EMOTUNE_TLS_KEY_FILE), got none",
        );
      return certificate === undefined ? 'platform' : `platform (${certificate})`;
    }
    if (!users) throw new Unauthenticated(`expected ${expected}, got another`);
    const { name, role } = await users.find(shown);
    if (role === undefined || !suffices(role, needed)) throw new TooLittle(name, path, needed, role);
    return name;
  }

  /** Refuses calls before anything of them is read. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const { path } = method;
    const audited = this.options.log !== undefined && changes(path);
    let subject: string | undefined;
    let first: Unread | undefined;
    const audit = (code: status) => {
      if (!audited || subject === undefined) return;
      this.options.log?.info('a call that changes something', {
        ...{ subject, method: path.slice(1), resource: resourceOf(first?.message), code: status[code] },
      });
      subject = undefined;
    };
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const { sslPeerCertificate: certificate } = call.getAuthContext();
        const shown = {
          token: bearerIn(metadata),
          ...(certificate
            ? { certificate: String(certificate.subject.CN ?? certificate.subjectaltname) }
            : {}),
        };
        this.admit(path, shown).then(
          (found) => {
            subject = found;
            // What serves the call needs it no more, but a guest's says which attempt or link it is of.
            if (guestFor(path) === undefined) metadata.remove('authorization');
            next(metadata);
          },
          (refused) => {
            if (audited && refused instanceof TooLittle && this.refusals.isNew(refused.subject, path)) {
              subject = refused.subject;
              audit(status.PERMISSION_DENIED);
            }
            call.sendStatus(statusOf(refused));
          },
        );
      })
      .withOnReceiveMessage((unread: Unread, next) => {
        // A stream says first what it is about.
        if (audited) first ??= unread;
        next(unread);
      })
      .withOnCancel(() => audit(status.CANCELLED))
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendStatus((sent, next) => {
        audit(sent.code);
        next(sent);
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}
