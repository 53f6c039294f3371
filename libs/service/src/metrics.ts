/** What Prometheus is told: of calls, events, the process, and whatever a service adds. Names begin with emotune_. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Unavailable } from '@emotune/base';
import type { Database } from '@emotune/database';
import { type ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds. */
const callBuckets = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600];

export class Metrics {
  readonly registry = new Registry();
  private readonly calls = new Histogram({
    name: 'emotune_rpc_duration_seconds',
    help: 'How long calls took, by method and status.',
    labelNames: ['method', 'code'],
    buckets: callBuckets,
    registers: [this.registry],
  });
  private readonly failures = new Counter({
    name: 'emotune_metrics_unread_total',
    help: 'Values that could not be read from the database when they were asked for.',
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry, prefix: 'emotune_' });
  }

  /** A gauge whose rows are read from the database when they are asked for; while it is away there are none. */
  rows(
    gauge: { readonly name: string; readonly help: string; readonly labels?: readonly string[] },
    read: () => Promise<readonly { readonly value: number; readonly [label: string]: string | number }[]>,
  ): void {
    const { name, help, labels = [] } = gauge;
    const { failures } = this;
    new Gauge({
      ...{ name, help, labelNames: [...labels], registers: [this.registry] },
      async collect() {
        this.reset();
        try {
          for (const { value, ...of } of await read()) this.set(of, Number(value));
        } catch {
          failures.inc();
        }
      },
    });
  }

  /** Events of a service that wait to be published. */
  outbox(service: string, database: Database): void {
    const waiting = (what: string) => async () =>
      (
        await database.query<{ value: number }>(
          `select ${what}::float8 as value from outbox where failure is null`,
        )
      ).map(({ value }) => ({ service, value }));
    const labels = ['service'];
    this.rows(
      { name: 'emotune_outbox_events', help: 'Events that wait to be published.', labels },
      waiting('count(*)'),
    );
    this.rows(
      { name: 'emotune_outbox_oldest_seconds', help: 'How long the oldest of them has waited.', labels },
      waiting('coalesce(extract(epoch from now() - min(created_at)), 0)'),
    );
  }

  /** Tells of each call that is answered. A server's first interceptor but one: what refuses calls answers on the library's own call. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const ended = this.calls.startTimer({ method: method.path.slice(1) });
    const send = call.sendStatus.bind(call);
    call.sendStatus = (sent) => {
      ended({ code: status[sent.code] });
      send(sent);
    };
    return call as ServerInterceptingCall;
  };

  /** Serves /metrics. @param listen host:port @throws Unavailable when it cannot be listened on */
  async serve(listen: string): Promise<MetricsServer> {
    const colon = listen.lastIndexOf(':');
    const server = createServer(async ({ method, url }, response) => {
      if (method !== 'GET' || url?.split('?', 1)[0] !== '/metrics') return void response.writeHead(404).end();
      response.setHeader('content-type', this.registry.contentType);
      response.end(await this.registry.metrics());
    });
    server.listen({
      host: listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
      port: Number(listen.slice(colon + 1)),
    });
    await once(server, 'listening').catch((cause) => {
      throw new Unavailable(`EMOTUNE_METRICS_LISTEN: ${listen} cannot be listened on (${cause.message})`, {
        cause,
      });
    });
    return {
      port: (server.address() as { port: number }).port,
      close: () => {
        server.close();
        server.closeAllConnections();
      },
    };
  }
}

interface MetricsServer {
  readonly port: number;
  close(): void;
}
