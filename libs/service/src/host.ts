/**
 * Runs service modules in one process on one gRPC port. Embedded mode hosts all services; a deployment one each.
 */
import 'reflect-metadata';
import type { Clock } from '@emotune/base';
import type { Database } from '@emotune/database';
import { type Bus, Outbox, standardRetry } from '@emotune/events';
import type { ObjectStore } from '@emotune/objects';
import { type DynamicModule, type INestMicroservice, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Access } from './access.js';
import { type BuildLimits, buildLimits } from './build-limits.js';
import { BuildProcesses } from './build-process.js';
import { Channel, type Peers } from './channel.js';
import { collectAtRest } from './idle-heap.js';
import type { Limits } from './limits.js';
import type { Fields, Log } from './log.js';
import type { Metrics } from './metrics.js';
import { EmotuneServer, StatusFilter } from './server.js';
import type { Tls } from './tls.js';
import type { Work } from './work.js';

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
  /** Makes what the trainer of an attempt shows to this server out of the attempt's secret. */
  readonly trainerToken: (secret: string) => string;
  /** Makes what a rater shows to this server out of the ticket of a link. */
  readonly raterToken: (ticket: string) => string;
  /** Whether it is what a rater was given. */
  readonly isRaterToken: (token: string) => boolean;
  /** The CA of this server's certificate, PEM, where trainers need it; empty: that of the system. Undefined without TLS. */
  readonly trainerCa: () => string | undefined;
  readonly log: Log;
  /** Where Prometheus may ask. */
  readonly metrics: Metrics | undefined;
  readonly work: Work;
  /** In which it builds. */
  readonly builds: BuildProcesses;
}

export interface HostOptions {
  /** Connects to a schema. */
  readonly database: (schema: string) => Promise<Database>;
  readonly objects: ObjectStore;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  /** Default: all of it. */
  readonly work?: Work;
  /** Where the services are that this host does not serve; without, it serves all of them. */
  readonly peers?: Peers;
  /** What callers show, this host to its peers too; without, all that can reach the port may call. */
  readonly token?: string | undefined;
  /** By which it calls its peers; without, nothing is encrypted. */
  readonly tls?: Tls | undefined;
  readonly metrics?: Metrics | undefined;
  /** Default: as without variables. */
  readonly builds?: BuildLimits;
}

interface ListenOptions {
  /** host:port; port 0 takes a free one. */
  readonly listen: string;
  /** Default: the usual ones. */
  readonly limits?: Limits;
}

@Module({})
class HostModule {}

export class Host {
  private readonly contexts: ServiceContext[] = [];
  private app: INestMicroservice | undefined;
  private readonly builds: BuildProcesses;
  private readonly watched: Promise<void>[] = [];
  private readonly leaving = new AbortController();
  private readonly stopCollecting = collectAtRest();
  readonly channel: Channel;

  constructor(
    private readonly server: EmotuneServer,
    private readonly options: HostOptions,
  ) {
    const { peers, token, tls, builds = buildLimits({}) } = options;
    this.builds = new BuildProcesses(builds);
    this.channel = peers
      ? Channel.toPeers(peers, { token, tls })
      : Channel.connect(server.address, { token });
  }

  /** @throws Unavailable when it cannot be listened on. */
  static async create({ listen, limits, ...options }: HostOptions & ListenOptions): Promise<Host> {
    const { token, log } = options;
    const access = new Access({ token, log });
    return new Host(await EmotuneServer.listen({ listen, access, ...(limits ? { limits } : {}) }), options);
  }

  /** host:port at which this machine reaches it. */
  get address(): string {
    return this.server.address;
  }

  /** Connects a service to its schema and brings the schema up to date. */
  async context(schema: string, migrations: readonly string[]): Promise<ServiceContext> {
    const { objects, bus, clock, log, work = 'trials' } = this.options;
    const database = await this.options.database(schema);
    try {
      await database.migrate(migrations);
    } catch (error) {
      await database.close();
      throw error;
    }
    const tell = (message: string, fields: Fields) => log.error(message, { area: schema, ...fields });
    const outbox = new Outbox(database, bus, clock, standardRetry, tell);
    const { channel, builds } = this;
    const { access } = this.server;
    const trainerToken = (secret: string) => access.guestToken('trainer', secret);
    const raterToken = (ticket: string) => access.guestToken('rater', ticket);
    const isRaterToken = (token: string) => access.isGuestToken('rater', token);
    const { tls, metrics } = this.options;
    metrics?.outbox(schema, database);
    const trainerCa = () => tls && (tls.current().material.ca ?? '');
    const context = {
      ...{
        database,
        objects,
        bus,
        outbox,
        clock,
        channel,
        trainerToken,
        raterToken,
        isRaterToken,
        trainerCa,
        log,
        metrics,
        work,
        builds,
      },
    };
    this.contexts.push(context);
    this.watched.push(this.watch(schema, database));
    return context;
  }

  /** Says of the services of an area whether their database is there, to who asks for their health and once an outage to the log. */
  private watch(area: string, database: Database): Promise<void> {
    const { log } = this.options;
    let away = false;
    return database.watch((isThere, reason) => {
      this.server.health.needs(area, 'database', isThere);
      if (!isThere) log.error('the database is away: not serving until it is back', { area, reason });
      else if (away) log.info('the database is back: serving', { area });
      away = !isThere;
    }, this.leaving.signal);
  }

  /** Serves the modules. */
  async start(modules: readonly DynamicModule[]): Promise<void> {
    const { log, work } = this.options;
    this.app = await NestFactory.createMicroservice(
      { module: HostModule, imports: [...modules] },
      { strategy: this.server, logger: false, abortOnError: false },
    );
    this.app.useGlobalFilters(new StatusFilter(log));
    await this.app.listen();
    // Consumers have subscribed while the application came up, so nothing that is relayed is missed.
    if (work !== 'nothing') for (const { outbox } of this.contexts) outbox.start();
  }

  /**
   * Stops serving, lets workers and handlers end, then leaves the database.
   * @param drainMs how long calls that are open may take to end
   */
  async close(drainMs = 0): Promise<void> {
    if (drainMs > 0) await this.server.drain(drainMs);
    await this.server.close();
    await this.app?.close();
    await this.builds.close();
    for (const { outbox } of this.contexts) await outbox.close();
    this.channel.close();
    await this.options.bus.close();
    this.leaving.abort();
    this.stopCollecting();
    await Promise.all(this.watched);
    for (const { database } of this.contexts) await database.close();
  }
}
