/** Asks servers how they are, as probes do. */
import { credentials, Client as GrpcClient, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { service as definition } from 'grpc-health-check';

export { type Issued, TestCa } from './test-certificates.js';
export { TestCollector, type ToldSpan } from './test-collector.js';
export { TestIssuer } from './test-issuer.js';

type Reply = { readonly status: string };
type HealthClient = GrpcClient & {
  check(request: { service: string }, done: (error: ServiceError | null, reply: Reply) => void): void;
  watch(request: { service: string }): AsyncIterable<Reply> & { cancel(): void };
};

const { grpc } = loadPackageDefinition({ 'grpc.health.v1.Health': definition }) as never as {
  grpc: {
    health: { v1: { Health: new (...args: ConstructorParameters<typeof GrpcClient>) => HealthClient } };
  };
};

/** The health of the server at an address; `service` is a full name, '' is the server as a whole. */
export class Health {
  private readonly client: HealthClient;

  /** @param address host:port */
  constructor(address: string) {
    this.client = new grpc.health.v1.Health(address, credentials.createInsecure());
  }

  /** @throws ServiceError, NOT_FOUND for a service that is not served. */
  check(service = ''): Promise<string> {
    return new Promise((resolve, reject) =>
      this.client.check({ service }, (error, reply) => (error ? reject(error) : resolve(reply.status))),
    );
  }

  /** Its health now and at each change. @throws ServiceError when the server ends the watch. */
  async *watch(service = ''): AsyncGenerator<string> {
    for await (const { status } of this.client.watch({ service })) yield status;
  }

  close(): void {
    this.client.close();
  }
}
