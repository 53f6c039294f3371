/** The port of a gRPC server: how many may connect to it, and how long one may be connected without saying anything. */
import { once } from 'node:events';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { Unavailable } from '@emotune/base';
import { type Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';

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

export class Listener {
  private constructor(
    /** host:port at which this machine reaches it. */
    readonly address: string,
    private readonly server: NetServer,
  ) {}

  /** @param listen host:port; port 0 takes a free one. @throws Unavailable when it cannot be listened on. */
  static async open(listen: string, grpc: GrpcServer, most: number): Promise<Listener> {
    const colon = listen.lastIndexOf(':');
    const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    const server = createServer((socket) => {
      expectGreeting(socket);
      injector.injectConnection(socket);
    });
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
