import { protoRoot, serviceFiles } from '@emotune/proto';
import protobuf from 'protobufjs';
import { expect, it } from 'vitest';

const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith('google/') ? target : `${protoRoot}${target}`);
root.loadSync([...serviceFiles]).resolveAll();

function servicesIn(namespace: protobuf.Namespace): protobuf.Service[] {
  return namespace.nestedArray.flatMap((each) => {
    if (each instanceof protobuf.Service) return [each];
    return each instanceof protobuf.Namespace ? servicesIn(each) : [];
  });
}

/** Full names of the texts that a message may hold, at any depth. */
function textsOf(type: protobuf.Type, seen = new Set<protobuf.Type>()): string[] {
  if (seen.has(type)) return [];
  seen.add(type);
  return type.fieldsArray.flatMap((field) => {
    if (field.resolvedType instanceof protobuf.Type) return textsOf(field.resolvedType, seen);
    return field.type === 'string' ? [field.fullName.slice(1)] : [];
  });
}

it('no request names a place on a machine: a file travels by its content, and by its name in its own folder', () => {
  const methods = servicesIn(root).flatMap((service) => service.methodsArray);
  expect(methods.length).toBeGreaterThan(30);
  const texts = methods.flatMap(({ resolvedRequestType }) => textsOf(resolvedRequestType!));
  const places = texts.filter((name) => /path|director|folder|url/i.test(name.split('.').at(-1)!));
  expect([...new Set(places)]).toEqual(['emotune.tuning.v1.CheckpointFile.path']);
});
