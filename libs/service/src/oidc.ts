/** Users of an OpenID Connect issuer, by its signed tokens (JWT); its keys are fetched as it publishes them. */
import { Unauthenticated, Unavailable } from '@emotune/base';
import { createRemoteJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Issuer, User } from './users.js';

export interface OidcOptions {
  /** As tokens have it in `iss`. */
  readonly issuer: string;
  /** That tokens are for. */
  readonly audience: string;
  /** The claims with the user's name, and with the groups. */
  readonly userClaim: string;
  readonly groupsClaim: string;
  /** Keys are not asked for again within this time, whatever unknown key a token names; default 30,000. */
  readonly cooldownMs?: number;
}

const asymmetric = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

const discovered = z.object({ issuer: z.string(), jwks_uri: z.url() });

const fetchMs = 5000;
/** Of clocks. */
const toleranceSeconds = 5;
/** Where the keys are may change. */
const discoverEveryMs = 3_600_000;

function claims(token: string): JWTPayload | undefined {
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}

export class Oidc implements Issuer {
  private keys: Promise<ReturnType<typeof createRemoteJWKSet>> | undefined;
  private discoveredAt = 0;

  constructor(private readonly options: OidcOptions) {}

  knows(token: string): boolean {
    return claims(token)?.iss === this.options.issuer;
  }

  private async discover(): Promise<ReturnType<typeof createRemoteJWKSet>> {
    const { issuer, cooldownMs = 30_000 } = this.options;
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const away = (why: string, cause?: unknown) =>
      new Unavailable(`the issuer of tokens ${issuer} cannot be asked now (${why}); ask again`, { cause });
    const response = await fetch(url, { signal: AbortSignal.timeout(fetchMs) }).catch((cause) => {
      throw away(cause.cause?.code ?? cause.name, cause);
    });
    if (!response.ok) throw away(`HTTP ${response.status}`);
    const found = discovered.safeParse(await response.json().catch(() => undefined));
    if (!found.success) throw away('its openid-configuration is none');
    if (found.data.issuer !== issuer) throw away(`it says that it is ${found.data.issuer}`);
    return createRemoteJWKSet(new URL(found.data.jwks_uri), {
      cooldownDuration: cooldownMs,
      timeoutDuration: fetchMs,
    });
  }

  private keySet(): Promise<ReturnType<typeof createRemoteJWKSet>> {
    const now = performance.now();
    if (this.keys === undefined || now - this.discoveredAt > discoverEveryMs) {
      this.discoveredAt = now;
      const keys = this.discover();
      this.keys = keys;
      // Whoever comes next asks again.
      keys.catch(() => {
        if (this.keys === keys) this.keys = undefined;
      });
    }
    return this.keys;
  }

  async user(token: string): Promise<User> {
    const { issuer, audience, userClaim, groupsClaim } = this.options;
    const keys = await this.keySet();
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, keys, {
        ...{ issuer, audience, algorithms: asymmetric, clockTolerance: toleranceSeconds },
        requiredClaims: ['exp', userClaim],
      }));
    } catch (cause) {
      throw refusal(cause, issuer, audience);
    }
    const name = payload[userClaim];
    const groups = payload[groupsClaim] ?? [];
    if (typeof name !== 'string' || name === '')
      throw new Unauthenticated(
        `expected a token with the user's name as its claim ${userClaim}, got another`,
      );
    if (userClaim === 'email' && payload['email_verified'] === false)
      throw new Unauthenticated(`expected a verified email, got one that ${issuer} has not verified`);
    return { name, groups: [groups].flat().filter((group) => typeof group === 'string') };
  }
}

/** What a token is refused with, or why it cannot be checked. */
function refusal(cause: unknown, issuer: string, audience: string): Error {
  const { JWTExpired, JWTClaimValidationFailed, JWKSTimeout, JWKSInvalid, JWKSNoMatchingKey, JOSEError } =
    errors;
  if (cause instanceof JWTExpired) {
    const { exp = 0 } = cause.payload;
    return new Unauthenticated(
      `the token has expired at ${new Date(1000 * exp).toISOString()}: get a new one from ${issuer}`,
      { cause },
    );
  }
  if (cause instanceof JWTClaimValidationFailed && cause.claim === 'aud')
    return new Unauthenticated(`expected a token for the audience ${audience}, got one for another`, {
      cause,
    });
  if (cause instanceof JWTClaimValidationFailed)
    return new Unauthenticated(`expected a token whose claim ${cause.claim} holds, got one whose does not`, {
      cause,
    });
  if (cause instanceof JWKSNoMatchingKey)
    return new Unauthenticated(
      `expected a token that ${issuer} has signed, got one by a key it does not have`,
      {
        cause,
      },
    );
  // Its keys could not be fetched: no word about the token.
  const fetching = cause instanceof JWKSTimeout || cause instanceof JWKSInvalid;
  if (!(cause instanceof JOSEError) || fetching || cause.code === JOSEError.code)
    return new Unavailable(`the keys of ${issuer} cannot be fetched now; ask again`, { cause });
  return new Unauthenticated(`expected a token that ${issuer} has signed, got one that it has not`, {
    cause,
  });
}
