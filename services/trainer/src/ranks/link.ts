/**
 * The ring's messages over gRPC: one stream of bytes from each rank to the next, opened by who sends. Whoever does not bear the run's
 * token is refused.
 */
import { timingSafeEqual } from 'node:crypto';
import { type Link, LostRank } from '@emotune/training';
import {
  Client,
  type ClientWritableStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';

const bytes = (buffer: Buffer) => buffer;
const pass = {
  path: '/emotune.training.v1.RankService/Pass',
  requestStream: true,
  responseStream: false,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
} as const;

/** Messages that were heard and not yet asked for; the sender waits with more. */
const mostHeard = 64;
/** How long the next rank may take to be there, ms. */
const patience = 60_000;

type Stream = ServerReadableStream<Buffer, Buffer>;

function same(token: string, given: unknown): boolean {
  const [a, b] = [Buffer.from(token), Buffer.from(String(given))];
  return a.length === b.length && timingSafeEqual(a, b);
}

export class RankLink implements Link {
  private readonly heard: Buffer[] = [];
  private waiting: { resolve(message: Buffer): void; reject(error: Error): void } | undefined;
  private before: Stream | undefined;
  private next: { client: Client; stream: ClientWritableStream<Buffer> } | undefined;
  private ended: LostRank | undefined;

  private constructor(
    private readonly server: Server,
    private readonly token: string,
    private readonly rank: number,
  ) {}

  /** Listens on a free port of the loopback. */
  static async listen(token: string, rank: number): Promise<{ link: RankLink; address: string }> {
    const server = new Server();
    const link = new RankLink(server, token, rank);
    server.addService(
      { Pass: pass },
      {
        Pass: (call: Stream, answer: sendUnaryData<Buffer>) => link.hear(call, answer),
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    return { link, address: `127.0.0.1:${port}` };
  }

  private hear(call: Stream, answer: sendUnaryData<Buffer>): void {
    const refused = !same(this.token, call.metadata.get('authorization')[0]);
    if (refused || this.before) {
      answer({
        code: refused ? status.UNAUTHENTICATED : status.ALREADY_EXISTS,
        details: refused ? 'expected the token of the run' : 'expected one rank before this one',
      });
      return;
    }
    this.before = call;
    call.on('data', (message: Buffer) => {
      const { waiting } = this;
      this.waiting = undefined;
      if (waiting) {
        waiting.resolve(message);
        return;
      }
      this.heard.push(message);
      if (this.heard.length >= mostHeard) call.pause();
    });
    call.on('end', () => {
      answer(null, Buffer.alloc(0));
      this.end('the rank before it has ended');
    });
    call.on('cancelled', () => this.end('the rank before it is gone'));
    call.on('error', ({ message }) => this.end(`the rank before it is gone (${message})`));
  }

  /** Opens the stream to the next rank. @throws LostRank where it does not answer in time. */
  async connect(address: string): Promise<void> {
    const client = new Client(address, credentials.createInsecure());
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Date.now() + patience, (error) =>
        error
          ? reject(new LostRank(`rank ${this.rank}: nobody answers at ${address} after ${patience / 1000} s`))
          : resolve(),
      ),
    );
    const metadata = new Metadata();
    metadata.set('authorization', this.token);
    const stream = client.makeClientStreamRequest(
      pass.path,
      pass.requestSerialize,
      pass.responseDeserialize,
      metadata,
      (error) => error && this.end(`the rank after it is gone (${error.details})`),
    );
    // Told by the callback.
    stream.on('error', () => {});
    this.next = { client, stream };
  }

  private end(why: string): void {
    this.ended ??= new LostRank(`rank ${this.rank}: ${why}; run it again to go on from the last checkpoint`);
    this.waiting?.reject(this.ended);
    this.waiting = undefined;
    this.next?.stream.emit('drain');
  }

  async send(message: Uint8Array): Promise<void> {
    const { next } = this;
    if (this.ended) throw this.ended;
    if (!next) throw new LostRank(`rank ${this.rank} has no next one`);
    // gRPC copies it into a frame, but maybe not before it returns.
    if (next.stream.write(Buffer.from(message))) return;
    await new Promise((resolve) => next.stream.once('drain', resolve));
    if (this.ended) throw this.ended;
  }

  async receive(): Promise<Uint8Array> {
    const message = this.heard.shift();
    if (message !== undefined) {
      if (this.heard.length < mostHeard / 2) this.before?.resume();
      return message;
    }
    if (this.ended) throw this.ended;
    return new Promise<Buffer>((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }

  /** Says that it is done, and hears nobody any more. */
  close(): void {
    this.next?.stream.end();
    this.end('it has ended');
    this.next?.client.close();
    this.server.forceShutdown();
  }
}
