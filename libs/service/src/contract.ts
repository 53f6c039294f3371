/** The whole gRPC contract, loaded once for servers and clients, in the shapes that the generated types describe. */
import { Internal } from '@emotune/base';
import { codecOf, contract } from '@emotune/proto';
import {
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { receivedAs } from './received.js';
import { mostBytes } from './request-bytes.js';

/** Each area is one service process in a deployment; these are the packages of its gRPC services. */
const packagesOf = {
  data: ['emotune.data.v1', 'emotune.files.v1', 'emotune.events.v1'],
  featurization: ['emotune.featurization.v1'],
  tuning: ['emotune.tuning.v1'],
  evaluation: ['emotune.evaluation.v1'],
  inference: ['emotune.inference.v1'],
} as const;

export type Area = keyof typeof packagesOf;

export const areas = Object.keys(packagesOf) as readonly Area[];

export const packages: readonly string[] = Object.values(packagesOf).flat();

function servicesIn(namespace: protobuf.NamespaceBase): protobuf.Service[] {
  return namespace.nestedArray.flatMap((each) => {
    if (each instanceof protobuf.Service) return [each];
    return each instanceof protobuf.Namespace ? servicesIn(each) : [];
  });
}

function definitionOf(service: protobuf.Service): ServiceDefinition {
  return Object.fromEntries(
    service.methodsArray.map((method) => {
      const request = codecOf(method.resolvedRequestType!);
      const response = codecOf(method.resolvedResponseType!);
      return [
        method.name,
        {
          path: `/${service.fullName.slice(1)}/${method.name}`,
          originalName: protobuf.util.camelCase(method.name).replace(/^./, (first) => first.toLowerCase()),
          requestStream: method.requestStream === true,
          responseStream: method.responseStream === true,
          requestSerialize: request.encode,
          requestDeserialize: receivedAs(method.resolvedRequestType!, mostBytes(service.name, method.name)),
          responseSerialize: response.encode,
          responseDeserialize: response.decode,
        },
      ];
    }),
  );
}

/** Services by their full names. */
export const packageDefinition = Object.fromEntries(
  servicesIn(contract()).map((service) => [service.fullName.slice(1), definitionOf(service)]),
);

const loaded = loadPackageDefinition(packageDefinition);

/** What a package declares, by name: emotune.data.v1. */
export function declarations(name: string): GrpcObject {
  return name.split('.').reduce((at, part) => at[part] as GrpcObject, loaded);
}

/** Where a service is declared, by its short name: DatasetService. */
function placeOf(service: string): { readonly area: Area; readonly declared: ServiceClientConstructor } {
  for (const [area, names] of Object.entries(packagesOf) as [Area, readonly string[]][])
    for (const name of names) {
      const declared = declarations(name)[service];
      if (declared) return { area, declared: declared as ServiceClientConstructor };
    }
  throw new Internal(`no service is called ${service}`);
}

/** The area that a service belongs to, by the service's short name. */
export function areaOf(service: string): Area {
  return placeOf(service).area;
}

/** The client class of a service by its short name. */
export function clientClass(service: string): ServiceClientConstructor {
  return placeOf(service).declared;
}
