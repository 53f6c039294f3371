/** Nest's gRPC server with health, reflection and only the services that have a controller. */
import { Unavailable } from '@emotune/base';
import { Server as GrpcServer, logVerbosity, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { type ArgumentsHost, Catch, type RpcExceptionFilter } from '@nestjs/common';
import { ServerGrpc } from '@nestjs/microservices';
import { HealthImplementation } from 'grpc-health-check';
import { type Observable, throwError } from 'rxjs';
import { declarations, packageDefinition, packages } from './contract.js';
import type { Log } from './log.js';
import { statusOf } from './status.js';

// Errors reach whoever called; grpc-js would also write them to stderr.
setLogVerbosity(logVerbosity.NONE);

const maxMessageBytes = 16 * 1024 * 1024;

/** Gives every error that leaves a controller its status; logs those that are bugs. */
@Catch()
export class StatusFilter implements RpcExceptionFilter {
  constructor(private readonly log: Log) {}

  catch(error: unknown, _host: ArgumentsHost): Observable<never> {
    const status = statusOf(error);
    if (status.metadata === undefined && status.details.startsWith('internal error'))
      this.log.error('a call failed', { error });
    return throwError(() => status);
  }
}

export class EmotuneServer extends ServerGrpc {
  private readonly health = new HealthImplementation();

  /** @param address host:port */
  constructor(address: string) {
    super({ url: address, package: [...packages], packageDefinition });
  }

  override async createClient(): Promise<GrpcServer> {
    const server = new GrpcServer({ 'grpc.max_receive_message_length': maxMessageBytes });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(this.url, ServerCredentials.createInsecure(), (cause) => {
        if (cause) {
          reject(
            new Unavailable(
              `${this.url} cannot be listened on (${cause.message}): another program has the port; end it or choose another`,
              { cause },
            ),
          );
        } else resolve();
      });
    });
    this.health.addToServer(server);
    new ReflectionService(packageDefinition).addToServer(server);
    return server;
  }

  override async bindEvents(): Promise<void> {
    for (const name of packages) {
      for (const { name: service, service: definition } of this.getServiceNames(declarations(name))) {
        const methods = await this.createService(definition, service);
        if (Object.keys(methods).length === 0) continue;
        this.grpcClient.addService(definition.service, methods);
        this.health.setStatus(`${name}.${service}`, 'SERVING');
      }
    }
    this.health.setStatus('', 'SERVING');
  }
}
