/** A connection of its own: for what belongs to one session and ends with it, as locks and notifications do. */
import { every, systemClock, Unavailable } from '@emotune/base';
import type pg from 'pg';
import type { Sql } from './database.js';

/** It asks this often whether the server is there, and takes it for lost after as long without an answer. */
const askMs = 2_000;
const silentMs = 10_000;

export class Session implements Sql {
  private readonly losing = new AbortController();
  private readonly stopAsking: () => Promise<void>;

  /** @param client Connected. */
  constructor(
    private readonly client: pg.Client,
    private readonly named: (error: Error) => Error,
  ) {
    client.on('error', (cause) => this.lose(cause));
    client.on('end', () => this.lose());
    this.stopAsking = every(askMs, systemClock, () => this.ask());
  }

  /** Aborts with Unavailable when the connection is lost or closed. The server may notice a loss later. */
  get lost(): AbortSignal {
    return this.losing.signal;
  }

  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    this.lost.throwIfAborted();
    try {
      return (await this.client.query(text, [...values])).rows;
    } catch (error) {
      throw this.named(error as Error);
    }
  }

  /** Calls `heard` for every notification on the channel from now on. @throws Unavailable */
  async listen(channel: string, heard: () => void): Promise<void> {
    this.client.on('notification', (message) => {
      if (message.channel === channel) heard();
    });
    await this.query(`listen ${this.client.escapeIdentifier(channel)}`);
  }

  async close(): Promise<void> {
    if (!this.lost.aborted) await this.client.end().catch(() => {});
    this.lose();
    await this.stopAsking();
  }

  private lose(cause?: Error): void {
    if (this.lost.aborted) return;
    this.losing.abort(new Unavailable('The connection to PostgreSQL is lost', { cause }));
    // Not waited for: a server that does not answer would not let go.
    void this.client.end().catch(() => {});
  }

  private async ask(): Promise<void> {
    const answered = new AbortController();
    const silence = systemClock.sleep(silentMs, AbortSignal.any([answered.signal, this.lost])).then(
      () => this.lose(),
      () => {},
    );
    const answer = this.client.query('select 1').then(
      () => {},
      (error) => this.lose(error),
    );
    await Promise.race([answer, silence]);
    answered.abort();
  }
}
