/** A service as a process of its own: its environment, its start in whatever order the others start, its end in order. */
import { once } from 'node:events';
import { closeToOthers, endWithin, InvalidArgument, policyOf, show, systemClock } from '@emotune/base';
import { Database, type DatabaseSettings } from '@emotune/database';
import { type KafkaSettings, openBus } from '@emotune/events';
import { openObjectStore } from '@emotune/objects';
import type { DynamicModule } from '@nestjs/common';
import type { z } from 'zod';
import { Access } from './access.js';
import { buildLimits } from './build-limits.js';
import type { Area } from './contract.js';
import { readEnvironment, type ServiceEnvironment, type Variables } from './environment.js';
import { Host, type ServiceContext } from './host.js';
import { kafkaSettingsOf } from './kafka-settings.js';
import { limitsOf } from './limits.js';
import { type Fields, jsonLog, type Log } from './log.js';
import { isLoopback } from './loopback.js';
import { Metrics } from './metrics.js';
import { runMigrations } from './migrate.js';
import { Oidc } from './oidc.js';
import { patiently } from './patiently.js';
import { EmotuneServer } from './server.js';
import { Tls } from './tls.js';
import { tokenOf } from './token.js';
import { TokenReviews } from './token-review.js';
import { startTracing } from './tracing.js';
import { type Issuer, RolesFile, Users } from './users.js';

export interface Program<S extends ServiceEnvironment> {
  readonly area: Area;
  readonly environment: S;
  readonly migrations: readonly string[];
  /** @param address host:port at which this machine reaches the service */
  open(context: ServiceContext, environment: z.output<S>, address: string): Opened | Promise<Opened>;
}

interface Opened {
  readonly module: DynamicModule;
  /** Ends what was opened beside the module, after it. */
  close?(): Promise<void>;
}

/** What a process has: as `process`. */
export interface Surroundings {
  readonly env: Variables;
  stdout(text: string): void;
  stderr(text: string): void;
  /** Aborts when the process is to end. */
  readonly signal: AbortSignal;
}

/** How long a call waits for an object store that is away. */
const storePatienceMs = 20_000;
function needsToken(why: string): InvalidArgument {
  return InvalidArgument.at(
    'EMOTUNE_TOKEN',
    `expected a token, since ${why}, got nothing; give all services one, such as \`openssl rand -hex 32\` prints`,
  );
}

/** @throws InvalidArgument */
function serverTls(environment: z.output<ServiceEnvironment>): Tls | undefined {
  const tls = Tls.of(environment);
  if (tls && tls.current().material.cert === undefined)
    throw InvalidArgument.at(
      'EMOTUNE_TLS_CERT_FILE',
      'expected a certificate beside EMOTUNE_TLS_CA_FILE, got nothing',
    );
  return tls;
}

function tellExpiry(metrics: Metrics, tls: Tls): void {
  metrics.rows(
    { name: 'emotune_tls_certificate_expiry_timestamp_seconds', help: 'When the certificate ends.' },
    async () => [{ value: (tls.expires?.getTime() ?? 0) / 1000 }],
  );
}

/** Undefined where nobody but the platform itself calls. @throws InvalidArgument */
async function usersOf(environment: z.output<ServiceEnvironment>, log: Log): Promise<Users | undefined> {
  const {
    EMOTUNE_OIDC_ISSUER: issuer,
    EMOTUNE_OIDC_AUDIENCE: audience,
    EMOTUNE_OIDC_USER_CLAIM: userClaim,
    EMOTUNE_OIDC_GROUPS_CLAIM: groupsClaim,
    EMOTUNE_TOKEN_REVIEW: review,
    EMOTUNE_ROLES_FILE: file,
  } = environment;
  const issuers: Issuer[] = [];
  if (issuer !== undefined) issuers.push(new Oidc({ issuer, audience, userClaim, groupsClaim }));
  // Knows any token, so it comes last.
  if (review) issuers.push(await TokenReviews.open(audience));
  if (issuers.length === 0) return undefined;
  if (file === undefined)
    throw InvalidArgument.at('EMOTUNE_ROLES_FILE', 'expected a file, since users show tokens, got nothing');
  return new Users(issuers, new RolesFile(file, log));
}

/**
 * Serves until the signal; then it is not healthy any more, open calls end, and so does what works in the background.
 * @returns The exit code: 0 after an end in order, 2 for a wrong environment, which stderr tells of.
 */
export async function runService<S extends ServiceEnvironment>(
  program: Program<S>,
  { env, stdout, stderr, signal }: Surroundings,
): Promise<number> {
  const { area, migrations } = program;
  let environment: z.output<S>;
  const log = jsonLog(stdout, { service: area });
  let token: string | undefined;
  let kafka: KafkaSettings;
  let tls: Tls | undefined;
  let users: Users | undefined;
  try {
    environment = readEnvironment(program.environment, env);
    kafka = await kafkaSettingsOf(environment);
    token = await tokenOf(environment);
    tls = serverTls(environment);
    users = await usersOf(environment, log);
    if (token === undefined && !isLoopback(environment.EMOTUNE_LISTEN))
      throw needsToken(`others than this machine reach ${environment.EMOTUNE_LISTEN}`);
    if (token === undefined && users) throw needsToken('its users show theirs');
  } catch (error) {
    if (!(error instanceof InvalidArgument)) throw error;
    for (const { field, description } of error.violations) stderr(`${field}: ${description}\n`);
    return error.policy.exitCode;
  }
  const { EMOTUNE_DATABASE_URL: databaseUrl, EMOTUNE_BUS_URL: busUrl } = environment;
  let exitCode = 0;
  // In the order in which they end.
  let ends: (() => Promise<void>)[] = [];
  const endTracing = await startTracing(area, env);
  try {
    if (token === undefined)
      log.warn('no EMOTUNE_TOKEN is set: every user of this machine may call this service');
    const { EMOTUNE_METRICS_LISTEN: metricsListen } = environment;
    const metrics = metricsListen === undefined ? undefined : new Metrics();
    const expires = tls?.expires;
    if (expires && expires.getTime() < systemClock.now())
      log.error('the certificate has expired: callers refuse it until it is renewed', { expires });
    const server = await EmotuneServer.listen({
      listen: environment.EMOTUNE_LISTEN,
      access: new Access({
        ...{ token, users, log },
        certificates: tls?.current().material.ca !== undefined,
      }),
      limits: limitsOf(environment),
      security: tls && { tls, log },
      probes: environment.EMOTUNE_HEALTH_LISTEN,
      metrics,
    });
    ends = [() => server.close()];
    const objects = await patiently(
      'the object store',
      () => openObjectStore(environment.EMOTUNE_OBJECTS_URL, env, storePatienceMs),
      { log, signal },
    );
    const tell = (message: string, fields: Fields) => log.warn(message, fields);
    const database: DatabaseSettings = {
      pool: environment.EMOTUNE_DATABASE_POOL,
      statementSeconds: environment.EMOTUNE_DATABASE_STATEMENT_SECONDS,
      passwordFile: environment.EMOTUNE_DATABASE_PASSWORD_FILE,
      migratedByOthers: environment.EMOTUNE_MIGRATIONS === 'await',
    };
    const bus = await patiently('the event bus', () => openBus(busUrl, { settings: kafka, tell, database }), {
      log,
      signal,
    });
    metrics?.lag(bus);
    const host = new Host(server, {
      database: (schema) => Database.connect(databaseUrl, schema, database),
      ...{ objects, bus, clock: systemClock, log, peers: environment.EMOTUNE_PEERS, token, tls, metrics },
      builds: buildLimits(env),
    });
    ends = [() => host.close(1000 * environment.EMOTUNE_DRAIN_SECONDS)];
    const context = await patiently('the database', () => host.context(area, migrations), { log, signal });
    const opened = await program.open(context, environment, host.address);
    ends.push(async () => opened.close?.());
    await host.start([opened.module]);
    if (metrics) {
      if (tls) tellExpiry(metrics, tls);
      const told = await metrics.serve(metricsListen!);
      ends.push(async () => told.close());
    }
    log.info('serving', { address: host.address });
    if (!signal.aborted) await once(signal, 'abort');
  } catch (error) {
    if (!signal.aborted) {
      exitCode = policyOf(error).exitCode;
      log.error('the service failed', { error });
    }
  }
  log.info('stopping');
  for (const end of ends) {
    try {
      await end();
    } catch (error) {
      exitCode ||= 1;
      log.error('the service did not end in order', { error });
    }
  }
  await endTracing?.();
  log.info('stopped', { exitCode });
  return exitCode;
}

/** After open calls have had their time, the rest has this. */
const afterDrainSeconds = 2;

/** How long an end may take: ten seconds, where nobody says otherwise. */
function endSecondsOf({ environment }: Program<ServiceEnvironment>, env: Variables): number {
  const drain = environment.shape.EMOTUNE_DRAIN_SECONDS.safeParse(env['EMOTUNE_DRAIN_SECONDS']);
  return (drain.data ?? 0) + afterDrainSeconds;
}

/** The commands of a service's program, by its first argument. */
const commands = { serve: runService, migrate: runMigrations };

/** The whole of a `process.ts`: serves, or does what its argument says. Another signal while it ends kills the process at once. */
export async function serve<S extends ServiceEnvironment>(program: Program<S>): Promise<never> {
  closeToOthers();
  const [command = 'serve'] = process.argv.slice(2);
  if (!Object.hasOwn(commands, command)) {
    process.stderr.write(`expected ${Object.keys(commands).join(' or ')}, got ${show(command)}\n`);
    process.exit(2);
  }
  const stop = new AbortController();
  const signals = ['SIGTERM', 'SIGINT'] as const;
  const onSignal = () => {
    for (const name of signals) process.off(name, onSignal);
    stop.abort();
    endWithin(endSecondsOf(program, process.env));
  };
  for (const name of signals) process.on(name, onSignal);
  // A log that nobody reads any more ends nothing.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const exitCode = await commands[command as keyof typeof commands](program, {
    env: process.env,
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    signal: stop.signal,
  });
  // Connections of callers would keep the process.
  process.exit(exitCode);
}
