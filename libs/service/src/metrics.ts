/** What Prometheus is told: of calls, events, the process, and whatever a service adds. Names begin with emotune_. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { systemClock, Unavailable } from '@emotune/base';
import type { Database } from '@emotune/database';
import type { Bus } from '@emotune/events';
import { type ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import { Counter, collectDefaultMetrics, Gauge, Histogram, type Metric, Registry } from 'prom-client';

/** Seconds. */
const callBuckets = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600];

/** Prometheus gives up on an answer after ten seconds, and with one value on all. */
const patienceMs = 3000;

type Labels = { readonly [label: string]: string | number };

/** How many values there are between two of the buckets' bounds, and their sum. */
interface BucketRow {
  /** How many bounds are at most as large: 0 for those below the first. */
  readonly bucket: number;
  readonly count: number;
  readonly sum: number;
}

/** What a histogram tells by which bounds: how many values are no larger. */
export function cumulative(
  name: string,
  bounds: readonly number[],
  rows: readonly BucketRow[],
): { readonly metricName: string; readonly labels: Labels; readonly value: number }[] {
  const upTo = (last: number) =>
    rows.filter(({ bucket }) => bucket <= last).reduce((all, { count }) => all + count, 0);
  const labels = {};
  return [
    ...bounds.map((le, i) => ({ metricName: `${name}_bucket`, labels: { le }, value: upTo(i) })),
    { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: upTo(bounds.length) },
    { metricName: `${name}_sum`, labels, value: rows.reduce((all, { sum }) => all + sum, 0) },
    { metricName: `${name}_count`, labels, value: upTo(bounds.length) },
  ];
}

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
    help: 'Values that could not be read from the database or the bus when they were asked for.',
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
    const found = () => this.found(read);
    new Gauge({
      ...{ name, help, labelNames: [...labels], registers: [this.registry] },
      async collect() {
        const rows = await found();
        this.reset();
        // A reset leaves nought where there are no labels.
        if (labels.length === 0) this.remove();
        for (const { value, ...of } of rows ?? []) this.set(of, Number(value));
      },
    });
  }

  /** A histogram whose values the database holds, by buckets with these bounds. */
  histogram(
    {
      name,
      help,
      bounds,
    }: { readonly name: string; readonly help: string; readonly bounds: readonly number[] },
    read: () => Promise<readonly BucketRow[]>,
  ): void {
    const get = async () => {
      const rows = await this.found(read);
      const values = rows ? cumulative(name, bounds, rows) : [];
      return { name, help, type: 'histogram' as const, aggregator: 'max' as const, values };
    };
    // The library's own are told value by value.
    this.registry.registerMetric({ name, get } as unknown as Metric);
  }

  /** Undefined when it could not be read in time. */
  private async found<T>(read: () => Promise<readonly T[]>): Promise<readonly T[] | undefined> {
    const waited = new AbortController();
    const late = systemClock.sleep(patienceMs, waited.signal).then(() => {
      throw new Unavailable('it took too long');
    });
    try {
      return await Promise.race([read(), late]);
    } catch {
      this.failures.inc();
      return undefined;
    } finally {
      late.catch(() => {});
      waited.abort();
    }
  }

  /** Events that the groups of this process have not taken yet. */
  lag(bus: Pick<Bus, 'lag'>): void {
    this.rows(
      {
        name: 'emotune_consumer_lag_events',
        help: 'Events that a group has not taken yet.',
        labels: ['group', 'topic'],
      },
      async () => (await bus.lag()).map(({ events, ...of }) => ({ ...of, value: events })),
    );
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

  /** Tells of each call that is answered, or given up by who called. A server's first interceptor but one: what refuses calls answers on the library's own call. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const observe = this.calls.startTimer({ method: method.path.slice(1) });
    let isOver = false;
    const end = (code: status) => {
      if (!isOver) observe({ code: status[code] });
      isOver = true;
    };
    const send = call.sendStatus.bind(call);
    call.sendStatus = (sent) => {
      end(sent.code);
      send(sent);
    };
    const start = call.start.bind(call);
    call.start = (listener) =>
      start({
        onReceiveMetadata: (metadata) => listener.onReceiveMetadata(metadata),
        onReceiveMessage: (message) => listener.onReceiveMessage(message),
        onReceiveHalfClose: () => listener.onReceiveHalfClose(),
        // Also after an answer.
        onCancel: () => {
          end(status.CANCELLED);
          listener.onCancel();
        },
      });
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
