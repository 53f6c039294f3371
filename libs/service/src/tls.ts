/**
 * TLS of services and their callers: certificates and keys in PEM, out of files that others renew (a secret, cert-manager).
 * They are read again for each connection, so that a renewed one needs no restart; what cannot be used leaves the one before.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import nodeTls, { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { InvalidArgument } from '@emotune/base';
import { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import { z } from 'zod';

/** Rows of the environment of every process that listens or calls. */
export const tlsVariables = {
  EMOTUNE_TLS_CERT_FILE: z.string().optional().meta({
    description:
      'Its certificate with those between it and the CA, PEM: it listens with TLS, calls its peers by TLS and shows it to them.',
  }),
  EMOTUNE_TLS_KEY_FILE: z.string().optional().meta({
    description: "The certificate's key, PEM, which only the service can read.",
  }),
  EMOTUNE_TLS_CA_FILE: z.string().optional().meta({
    description:
      'The CA of all services, PEM: peers are held to it, and who shows the token shows a certificate of it, too; without, the CAs of the system.',
  }),
};

type TlsVariables = { readonly [name in keyof typeof tlsVariables]?: string | undefined };

/** PEM. Without `ca` the CAs of the system. */
export interface TlsMaterial {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

const parts = {
  ca: 'EMOTUNE_TLS_CA_FILE',
  cert: 'EMOTUNE_TLS_CERT_FILE',
  key: 'EMOTUNE_TLS_KEY_FILE',
} as const;

function pem(variable: string, file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw InvalidArgument.at(variable, `expected a file that can be read, got ${code}`, { cause });
  }
  if (!text.includes('-----BEGIN '))
    throw InvalidArgument.at(variable, 'expected PEM, got a file of another kind');
  return text;
}

/** Those that Node.js brings and those of the machine. */
function systemCas(): string[] {
  // Older ones than Node.js 22.15 know their own alone.
  if (typeof nodeTls.getCACertificates !== 'function') return [...nodeTls.rootCertificates];
  return [...new Set([...nodeTls.getCACertificates('default'), ...nodeTls.getCACertificates('system')])];
}

function contextOf({ ca, cert, key }: TlsMaterial): SecureContext {
  try {
    return createSecureContext({ ca: ca ?? systemCas(), cert, key, minVersion: 'TLSv1.2' });
  } catch (cause) {
    const { message } = cause as Error;
    throw InvalidArgument.at(
      cert === undefined ? parts.ca : parts.cert,
      `expected certificates in PEM${cert === undefined ? '' : ` and the key to them in ${parts.key}`}, got what cannot be used: ${message}`,
      { cause },
    );
  }
}

interface UsedTls {
  readonly material: TlsMaterial;
  readonly context: SecureContext;
}

export class Tls {
  private used: UsedTls;
  /** Why what lies there now is not used; '' where it is. */
  private fault = '';

  /**
   * @param read what there is now
   * @throws InvalidArgument
   */
  constructor(
    private readonly read: () => TlsMaterial,
    private readonly serverName?: string | undefined,
  ) {
    const material = read();
    this.used = { material, context: contextOf(material) };
  }

  /** Undefined where none is named. @throws InvalidArgument naming the variable */
  static of(variables: TlsVariables): Tls | undefined {
    return Object.values(parts).some((name) => variables[name]) ? Tls.files(variables) : undefined;
  }

  /**
   * @param serverName that servers' certificates bear, where it is another than the host that is called
   * @throws InvalidArgument naming the variable
   */
  static files(variables: TlsVariables, serverName?: string): Tls {
    const { EMOTUNE_TLS_CERT_FILE: cert, EMOTUNE_TLS_KEY_FILE: key, EMOTUNE_TLS_CA_FILE: ca } = variables;
    if (!cert !== !key)
      throw InvalidArgument.at(
        cert ? parts.key : parts.cert,
        `expected a file beside ${cert ? parts.cert : parts.key}, got nothing`,
      );
    const given = Object.entries({ ca, cert, key }) as [keyof typeof parts, string | undefined][];
    return new Tls(
      () =>
        Object.fromEntries(given.flatMap(([part, file]) => (file ? [[part, pem(parts[part], file)]] : []))),
      serverName,
    );
  }

  /** What is there now, else what was there before. @param tell why what lies there now cannot be used, once */
  current(tell: (reason: string) => void = () => {}): UsedTls {
    try {
      const material = this.read();
      const { ca, cert, key } = this.used.material;
      if (material.ca !== ca || material.cert !== cert || material.key !== key)
        this.used = { material, context: contextOf(material) };
      this.fault = '';
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.fault) tell(message);
      this.fault = message;
    }
    return this.used;
  }

  /** When its own certificate ends. */
  get expires(): Date | undefined {
    const { cert } = this.current().material;
    return cert === undefined ? undefined : new Date(new X509Certificate(cert).validTo);
  }

  /** For channels to a host: each of their connections has what is there when it is made. */
  credentials(host: string): ChannelCredentials {
    return new RenewedCredentials(this, this.serverName ?? host);
  }
}

type Connecting = ChannelCredentials['_createSecureConnector'];

/** The library's own credentials hold what they were made with for as long as a channel lives. */
class RenewedCredentials extends ChannelCredentials {
  constructor(
    private readonly tls: Tls,
    /** That the server's certificate bears. */
    private readonly name: string,
  ) {
    super();
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other instanceof RenewedCredentials && other.tls === this.tls && other.name === this.name;
  }

  override _createSecureConnector(...[, , calls]: Parameters<Connecting>): ReturnType<Connecting> {
    return {
      connect: async (socket) => ({ socket: await this.encrypted(socket), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => calls ?? CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }

  private encrypted(socket: Socket): Promise<TLSSocket> {
    const { tls, name: host } = this;
    return new Promise((resolve, reject) => {
      const encrypted = connect(
        { socket, host, secureContext: tls.current().context, ALPNProtocols: ['h2'] },
        () => resolve(encrypted),
      );
      encrypted.on('error', reject);
    });
  }
}
