/** Requests to S3: each small enough to be sent again, for as long as the server may be away. */
import { S3Client, type ServiceInputTypes, type ServiceOutputTypes } from '@aws-sdk/client-s3';
import { type Clock, systemClock } from '@emotune/base';
import { passes, s3Error } from './s3-errors.js';
import type { S3Place } from './s3-place.js';

const connectMs = 5_000;
/** Without a byte. */
const silentMs = 30_000;
/** One request, of at most one part, with its answer. */
const requestMs = 180_000;
const connections = 32;
const [firstPauseMs, longestPauseMs] = [100, 5_000];

type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = Parameters<
  typeof S3Client.prototype.send<Input, Output>
>[0];

export interface RequestOptions {
  /** How long a server may be away. */
  readonly patienceMs: number;
  readonly clock?: Clock;
}

export class S3Requests {
  private readonly client: S3Client;
  private readonly clock: Clock;

  constructor(
    readonly place: S3Place,
    private readonly options: RequestOptions,
  ) {
    const { endpoint, region } = place;
    const agent = { keepAlive: true, maxSockets: connections };
    this.clock = options.clock ?? systemClock;
    this.client = new S3Client({
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
      ...(region === undefined ? {} : { region }),
      // It is tried again here, with the reading of its answer.
      maxAttempts: 1,
      // What is put and read is checked by its SHA-256.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: connectMs,
        requestTimeout: requestMs,
        throwOnRequestTimeout: true,
        socketTimeout: silentMs,
        httpAgent: agent,
        httpsAgent: agent,
      },
    });
  }

  /**
   * Asks, and asks again with growing pauses of random length while the server is away or asks for that.
   * @param doing what errors call it: "put a/b"
   * @throws what `s3Error` makes of what S3 says; what `expected` names, as S3 says it.
   */
  async ask<T>(
    doing: string,
    request: (client: S3Client, signal: AbortSignal) => Promise<T>,
    expected: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    const until = this.clock.now() + this.options.patienceMs;
    for (let longestMs = firstPauseMs; ; longestMs = Math.min(2 * longestMs, longestPauseMs)) {
      try {
        return await request(this.client, AbortSignal.timeout(requestMs));
      } catch (error) {
        if (expected(error)) throw error;
        if (!passes(error) || this.clock.now() >= until) throw s3Error(error, this.place, doing);
      }
      await this.clock.sleep(longestMs * (0.5 + Math.random() / 2));
    }
  }

  /** As `ask`, for an answer without a body that is read. */
  send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    doing: string,
    command: Command<Input, Output>,
    expected?: (error: unknown) => boolean,
  ): Promise<Output> {
    return this.ask(doing, (client, abortSignal) => client.send(command, { abortSignal }), expected);
  }
}
