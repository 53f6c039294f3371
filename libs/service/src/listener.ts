/**
 * The port of a gRPC server: how many may connect to it, how long one may be connected without saying anything, and by TLS who
 * it says it is. A caller whose certificate is not accepted is told why, in words, and reaches nothing.
 */
import { once } from 'node:events';
import { createServer as createHttp2Server, constants as http2 } from 'node:http2';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Unavailable } from '@emotune/base';
import { type Server as GrpcServer, ServerCredentials, status } from '@grpc/grpc-js';
import type { Log } from './log.js';
import type { Tls, TlsMaterial } from './tls.js';

/** The opening of HTTP/2 and the head of the frame after it. */
const greetingBytes = 24 + 9;

/** Who has not said so much after this time is no client. */
const greetingMs = 10_000;

function expectGreeting(socket: Socket): void {
  const timer = setTimeout(() => {
    if (socket.bytesRead < greetingBytes) socket.destroy();
  }, greetingMs);
  socket.once('close', () => clearTimeout(timer));
}

/** Who listens on every address of the machine is reached on its own. */
function localAddress(host: string, port: number): string {
  const local = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  return local.includes(':') ? `[${local}]:${port}` : `${local}:${port}`;
}

/** Answers every call on a connection with why it is not accepted: a broken connection would not tell. */
function refuseOn(socket: TLSSocket, why: string): void {
  const server = createHttp2Server();
  socket.setTimeout(greetingMs, () => socket.destroy());
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond(
      {
        [http2.HTTP2_HEADER_STATUS]: 200,
        [http2.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        'grpc-status': String(status.UNAUTHENTICATED),
        'grpc-message': encodeURI(why),
      },
      { endStream: true },
    );
  });
  server.on('sessionError', () => socket.destroy());
  server.emit('connection', socket);
}

/** What OpenSSL says of bytes that begin no handshake. */
const noTls = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
]);

/** Callers that do not accept a certificate tell nobody: Node.js only closes the connection. */
const left = 'it left at the handshake: it may not trust the certificate';

/** The same reason is told once in this time: whoever can connect could fill the log. */
const tellEveryMs = 60_000;

/** Hands connections to `accept` once they are encrypted and their certificate, where they show one, is accepted. */
function secured(tls: Tls, log: Log, accept: (socket: Socket) => void): (socket: Socket) => void {
  const told = new Map<string, number>();
  const refused = (reason: string, socket: Socket) => {
    const now = performance.now();
    if (now - (told.get(reason) ?? Number.NEGATIVE_INFINITY) < tellEveryMs) return;
    if (told.size > 100) told.clear();
    told.set(reason, now);
    log.warn('a connection was refused', { reason, from: socket.remoteAddress });
  };
  const unusable = (reason: string) =>
    log.error('the renewed certificate cannot be used: the one before stays', { reason });
  const { ca } = tls.current().material;
  const server = createTlsServer({
    ...(ca === undefined ? {} : { requestCert: true, rejectUnauthorized: false }),
    ALPNProtocols: ['h2'],
    handshakeTimeout: greetingMs,
    minVersion: 'TLSv1.2',
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      if (socket.bytesRead === 0) refused(left, socket);
    });
    const shown = ca !== undefined && Object.keys(socket.getPeerCertificate()).length > 0;
    if (!shown || socket.authorized) return accept(socket);
    const reason = `its certificate is not accepted (${socket.authorizationError})`;
    refused(reason, socket);
    refuseOn(
      socket,
      `expected a certificate of the services' CA that is valid now, got one that is not: ${socket.authorizationError}; renew it, or see what EMOTUNE_TLS_CERT_FILE and EMOTUNE_TLS_CA_FILE name`,
    );
  });
  server.on('tlsClientError', ({ message, code }: NodeJS.ErrnoException, socket) => {
    const reason = noTls.has(code ?? '') ? 'expected TLS, got a call without it' : message.trim();
    refused(code === 'ECONNRESET' ? left : reason, socket);
  });
  let used: TlsMaterial | undefined;
  return (socket) => {
    const { material } = tls.current(unusable);
    if (material !== used) server.setSecureContext({ ...material, minVersion: 'TLSv1.2' });
    used = material;
    server.emit('connection', socket);
  };
}

export class Listener {
  private constructor(
    /** host:port at which this machine reaches it. */
    readonly address: string,
    private readonly server: NetServer,
  ) {}

  /**
   * @param listen host:port; port 0 takes a free one
   * @param most connections
   * @param security without it nothing is encrypted
   * @throws Unavailable when it cannot be listened on
   */
  static async open(
    listen: string,
    grpc: GrpcServer,
    most: number,
    security?: { readonly tls: Tls; readonly log: Log },
  ): Promise<Listener> {
    const colon = listen.lastIndexOf(':');
    const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    const greeted = (socket: Socket) => {
      expectGreeting(socket);
      injector.injectConnection(socket);
    };
    const accept = security ? secured(security.tls, security.log, greeted) : greeted;
    const server = createServer(accept);
    server.maxConnections = most;
    server.listen({ host, port: Number(listen.slice(colon + 1)) });
    await once(server, 'listening').catch((cause) => {
      throw new Unavailable(
        `${listen} cannot be listened on (${cause.message}): another program has the port; end it or choose another`,
        { cause },
      );
    });
    return new Listener(localAddress(host, (server.address() as { port: number }).port), server);
  }

  /** Takes no further connections. */
  close(): void {
    this.server.close();
  }
}
