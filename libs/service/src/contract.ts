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

const areas = ['data', 'featurization', 'tuning', 'evaluation', 'inference'] as const;

export const packages: readonly string[] = areas.map((area) => `emotune.${area}.v1`);

const loaded = loadPackageDefinition(packageDefinition);

/** What a package declares, by name: emotune.data.v1. */
export function declarations(name: string): GrpcObject {
  return name.split('.').reduce((at, part) => at[part] as GrpcObject, loaded);
}

/** The client class of a service by its short name: DatasetService. */
export function clientClass(service: string): ServiceClientConstructor {
  const found = packages.map((name) => declarations(name)[service]).find(Boolean);
  if (!found) throw new Internal(`no service is called ${service}`);
  return found as ServiceClientConstructor;
}
