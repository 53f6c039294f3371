/** An OpenID Connect issuer on this machine, for tests: real keys, published as issuers publish theirs. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

export interface TokenOptions {
  /** From now; default 600. */
  readonly seconds?: number;
  readonly issuer?: string;
  readonly audience?: string;
}

export class TestIssuer {
  private current = '';
  private readonly keys = new Map<string, Keys>();
  /** How often its keys were asked for. */
  keyRequests = 0;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<TestIssuer> {
    const server = createServer();
    const issuer = new TestIssuer(server);
    await issuer.rotate();
    server.on('request', async ({ url }, response) => {
      const documents: Record<string, () => object | Promise<object>> = {
        '/.well-known/openid-configuration': () => ({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }),
        '/keys': async () => {
          issuer.keyRequests++;
          return { keys: await issuer.published() };
        },
      };
      const document = await documents[url ?? '']?.();
      response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify(document));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  private published(): Promise<object[]> {
    return Promise.all(
      [...this.keys].map(async ([kid, { publicKey }]) => ({
        ...(await exportJWK(publicKey)),
        kid,
        alg: 'ES256',
      })),
    );
  }

  /** From now on it signs with another key, and publishes that one alone. */
  async rotate(): Promise<void> {
    this.keys.clear();
    this.current = `key-${Date.now()}-${Math.random()}`;
    this.keys.set(this.current, await generateKeyPair('ES256', { extractable: true }));
  }

  token(claims: JWTPayload, { seconds = 600, issuer = this.url, audience = 'emotune' }: TokenOptions = {}) {
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: this.current })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(now - 3600)
      .setExpirationTime(now + seconds)
      .sign(this.keys.get(this.current)!.privateKey);
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
