/** The whole gRPC contract, loaded once for servers and clients, in the shapes that the generated types describe. */
import { Internal } from '@emotune/base';
import { protoRoot, serviceFiles } from '@emotune/proto';
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export const packageDefinition = loadSync([...serviceFiles], {
  includeDirs: [protoRoot],
  keepCase: false,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: false,
});

/** Each is one service process in a deployment; its gRPC services make one package. */
const areas = ['data', 'featurization', 'tuning', 'evaluation', 'inference'] as const;

export type Area = (typeof areas)[number];

const packageOf = (area: Area) => `emotune.${area}.v1`;

export const packages: readonly string[] = areas.map(packageOf);

const loaded = loadPackageDefinition(packageDefinition);

/** What a package declares, by name: emotune.data.v1. */
export function declarations(name: string): GrpcObject {
  return name.split('.').reduce((at, part) => at[part] as GrpcObject, loaded);
}

/** The area that a service belongs to, by the service's short name: DatasetService. */
export function areaOf(service: string): Area {
  const found = areas.find((area) => declarations(packageOf(area))[service]);
  if (!found) throw new Internal(`no service is called ${service}`);
  return found;
}

/** The client class of a service by its short name. */
export function clientClass(service: string): ServiceClientConstructor {
  return declarations(packageOf(areaOf(service)))[service] as ServiceClientConstructor;
}
