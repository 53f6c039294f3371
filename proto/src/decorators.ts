/** Nest's decorators of methods that serve RPCs. Nest is loaded once a server's class is decorated: clients have no use for it. */
import { createRequire } from 'node:module';
import type * as Nest from '@nestjs/microservices';

const nest = (): typeof Nest => createRequire(import.meta.url)('@nestjs/microservices');

export const GrpcMethod = (service: string, method: string): MethodDecorator =>
  nest().GrpcMethod(service, method);

export const GrpcStreamMethod = (service: string, method: string): MethodDecorator =>
  nest().GrpcStreamMethod(service, method);
