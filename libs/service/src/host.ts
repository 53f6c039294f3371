/**
 * Runs service modules in one process on one gRPC port. Embedded mode hosts all services; a deployment one each.
 */
import 'reflect-metadata';
import { createServer } from 'node:net';
import type { Clock } from '@emotune/base';
import type { Database } from '@emotune/database';
import { type Bus, Outbox } from '@emotune/events';
import type { ObjectStore } from '@emotune/objects';
import { type DynamicModule, type INestMicroservice, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Channel } from './channel.js';
import type { Log } from './log.js';
import { EmotuneServer, StatusFilter } from './server.js';

/** What every service is given. */
export interface ServiceContext {
  /** Its own schema, migrated. */
  readonly database: Database;
  readonly objects: ObjectStore;
  readonly bus: Bus;
  readonly outbox: Outbox;
  readonly clock: Clock;
  /** To its peers. */
  readonly channel: Channel;
  readonly log: Log;
}

export interface HostOptions {
  /** Connects to a schema. */
  readonly database: (schema: string) => Promise<Database>;
  readonly objects: ObjectStore;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  /** On 127.0.0.1; 0 takes a free one. */
  readonly port: number;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

@Module({})
class HostModule {}

export class Host {
  private readonly contexts: ServiceContext[] = [];
  private app: INestMicroservice | undefined;

  private constructor(
    private readonly options: HostOptions,
    /** host:port */
    readonly address: string,
    readonly channel: Channel,
  ) {}

  static async create(options: HostOptions): Promise<Host> {
    const address = `127.0.0.1:${options.port === 0 ? await freePort() : options.port}`;
    return new Host(options, address, Channel.connect(address));
  }

  /** Connects a service to its schema and brings the schema up to date. */
  async context(schema: string, migrations: readonly string[]): Promise<ServiceContext> {
    const { objects, bus, clock, log } = this.options;
    const database = await this.options.database(schema);
    await database.migrate(migrations);
    const outbox = new Outbox(database, bus, clock);
    const context = { database, objects, bus, outbox, clock, channel: this.channel, log };
    this.contexts.push(context);
    return context;
  }

  /** Serves the modules. @throws Unavailable when the port is taken. */
  async start(modules: readonly DynamicModule[]): Promise<void> {
    const { log } = this.options;
    this.app = await NestFactory.createMicroservice(
      { module: HostModule, imports: [...modules] },
      { strategy: new EmotuneServer(this.address), logger: false, abortOnError: false },
    );
    this.app.useGlobalFilters(new StatusFilter(log));
    await this.app.listen();
    // Consumers have subscribed while the application came up, so nothing that is relayed is missed.
    for (const { outbox } of this.contexts) outbox.start();
  }

  /** Stops serving, lets workers and handlers end, then leaves the database. */
  async close(): Promise<void> {
    for (const { outbox } of this.contexts) await outbox.close();
    this.channel.close();
    await this.app?.close();
    await this.options.bus.close();
    for (const { database } of this.contexts) await database.close();
  }
}
