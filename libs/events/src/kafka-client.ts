/** How brokers are reached, and what their refusals mean. */
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  type EmotuneError,
  errorClasses,
  FailedPrecondition,
  InvalidArgument,
  systemClock,
  Unavailable,
} from '@emotune/base';
import { type Admin, type ISocketFactory, Kafka, type KafkaConfig, logLevel } from 'kafkajs';

export interface KafkaSettings {
  /** TLS, with PEM texts: whom to trust (default: as Node does), and what the client shows of itself. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly sasl?: {
    readonly mechanism: SaslMechanism;
    readonly username: string;
    readonly password: string;
  };
  /** Copies of each partition of a topic that is created; default: as the brokers are set. */
  readonly replication?: number;
  /** Of a topic of facts that is created; default: as its row says. */
  readonly partitions?: number;
}

export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
type SaslMechanism = (typeof saslMechanisms)[number];

const hostAndPort = /^(?:\[[\da-f:]+\]|[^\s:/[\]@]+):\d{1,5}$/i;

/** host:port of each broker that `kafka://host:port[,host:port]` names; undefined when it is not such a URL. */
export function brokersOf(url: string): string[] | undefined {
  const brokers = /^kafka:\/\/([^/]+)\/?$/i.exec(url)?.[1].split(',');
  return brokers?.every((broker) => hostAndPort.test(broker)) ? brokers : undefined;
}

const pauses = { initialRetryTime: 100, maxRetryTime: 1000 };
/** Of what asks: a broker that is away for longer is Unavailable, and whoever asked tries again. */
const someTries = { ...pauses, retries: 5 };
/** Of a member: kafkajs that gave up would come back as another, and the group wait for the one that it was. */
export const everyTry = { ...pauses, retries: Number.MAX_SAFE_INTEGER };

const keepAliveMs = 60_000;

/**
 * As kafkajs connects by itself. While brokers are away it lets go of the same closed socket again and again, and each time Node.js
 * would wait for that to connect: what waits grows, and Node.js warns of it.
 */
export const socketTo: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const name = isIP(host) ? {} : { servername: host };
  const socket = ssl
    ? connectTls({ host, port, ...name, ...ssl }, onConnect)
    : connectTcp({ host, port }, onConnect);
  socket.setKeepAlive(true, keepAliveMs);
  socket.once('close', () => {
    socket.unref = () => socket;
  });
  return socket;
};

/** @throws InvalidArgument when the URL is none. */
export function kafkaAt(url: string, { tls, sasl }: KafkaSettings, retry = someTries): Kafka {
  const brokers = brokersOf(url);
  if (!brokers) throw InvalidArgument.at('', `expected kafka://host:port[,host:port], got ${url}`);
  const mechanism = sasl?.mechanism.toLowerCase();
  return new Kafka({
    clientId: 'emotune',
    brokers,
    ...(tls ? { ssl: tls } : {}),
    ...(sasl ? ({ sasl: { ...sasl, mechanism } } as Pick<KafkaConfig, 'sasl'>) : {}),
    retry,
    connectionTimeout: 1000,
    authenticationTimeout: 10_000,
    requestTimeout: 10_000,
    socketFactory: socketTo,
    // It tells of every attempt; the bus tells of outages.
    logLevel: logLevel.NOTHING,
  });
}

const soonTries = 60;
const soonMs = 200;

/**
 * Calls `work` with a connection of its own, since one that outlived a broker would have to be mended; again while brokers
 * have not heard yet of a topic or a group, or of who leads it.
 */
export async function withAdmin<T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    for (let tries = 1; ; tries++) {
      try {
        return await work(admin);
      } catch (error) {
        const isSoon = causesOf(error).some(
          ({ name, type, retriable }) =>
            (type !== undefined && retriable) || name === 'KafkaJSGroupCoordinatorNotFound',
        );
        if (!isSoon || tries === soonTries) throw error;
      }
      await systemClock.sleep(soonMs);
    }
  } catch (error) {
    throw kafkaError(error);
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

interface Cause {
  readonly name: string;
  readonly message: string;
  /** What a broker answered. */
  readonly type?: string;
  readonly retriable?: boolean;
}

/** The errors that led to it, it first. */
function causesOf(error: unknown): Cause[] {
  if (!(error instanceof Error)) return [];
  const nested = (error as { errors?: unknown[] }).errors ?? [];
  return [error as Cause, ...[error.cause, ...nested].flatMap(causesOf)];
}

/** Of an event that no broker will ever take. */
const eventsFault = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'CORRUPT_MESSAGE',
  'INVALID_TIMESTAMP',
]);
const tlsTrouble = /certificate|self.signed|wrong version number|EPROTO|alert|ssl|tls/i;

/**
 * What went wrong, as one of ours: FailedPrecondition when somebody must change the settings or the brokers, InvalidArgument
 * when the event can never be taken, Unavailable when it passes.
 */
export function kafkaError(error: unknown): EmotuneError {
  const causes = causesOf(error);
  const own = causes.find((cause) => errorClasses.some((known) => cause instanceof known));
  if (own) return own as unknown as EmotuneError;
  const options = { cause: error };
  const refused = causes.find(({ name }) => name === 'KafkaJSSASLAuthenticationError');
  if (refused)
    return new FailedPrecondition(
      `Kafka refuses the user: ${refused.message}; look at the SASL mechanism, user name and password`,
      options,
    );
  const unauthorised = causes.find(({ type }) => type?.endsWith('_AUTHORIZATION_FAILED'));
  if (unauthorised)
    return new FailedPrecondition(
      `Kafka allows the user too little: ${unauthorised.message}; topics and groups of EmoTune begin with "emotune."`,
      options,
    );
  const wrong = causes.find(({ type }) => type !== undefined && eventsFault.has(type));
  if (wrong) return InvalidArgument.at('', `expected an event that Kafka takes: ${wrong.message}`, options);
  const deepest = causes.at(-1)?.message ?? String(error);
  const connection = causes.find(({ name }) => name === 'KafkaJSConnectionError');
  if (connection && tlsTrouble.test(connection.message))
    return new FailedPrecondition(
      `Kafka cannot be reached by TLS as it is set: ${connection.message}; look at TLS, the CA and the certificate`,
      options,
    );
  return new Unavailable(`Kafka does not answer: ${deepest}`, options);
}
