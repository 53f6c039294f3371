import { codecOf, contract, messageType, type tuning } from '@emotune/proto';
import protobuf from 'protobufjs';
import { expect, it } from 'vitest';

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
  const methods = servicesIn(contract()).flatMap((service) => service.methodsArray);
  expect(methods.length).toBeGreaterThan(30);
  const texts = methods.flatMap(({ resolvedRequestType }) => textsOf(resolvedRequestType!));
  const places = texts.filter((name) => /path|director|folder|url/i.test(name.split('.').at(-1)!));
  expect([...new Set(places)]).toEqual(['emotune.tuning.v1.CheckpointFile.path']);
});

it('values of parameters and settings travel as themselves, whatever their kind', () => {
  const codec = codecOf<tuning.ExperimentSpec>(messageType('emotune.tuning.v1.ExperimentSpec'));
  const settings = {
    learningRate: 1e-3,
    packing: false,
    method: 'lora',
    'lora.targets': ['q_proj', 'v_proj'],
    'loss.taskWeights': { 'emotion-regression': 2, none: null },
    'loss.numberTokens': {},
    broken: Number.NaN,
  };
  const categorical = { values: ['opt', 3, true] };
  const parameters = [
    { name: 'loraRank', integer: { min: 2, max: 8 }, default: 4 },
    { name: 'method', categorical, condition: { parameter: 'architecture', values: ['opt'] } },
  ];
  const sent = codec.encode({ training: { settings }, parameters } as unknown as tuning.ExperimentSpec);
  const heard = codec.decode(sent);
  expect(heard.training?.settings).toEqual(settings);
  expect(heard.parameters[0]).toMatchObject({ default: 4, condition: null });
  expect(heard.parameters[1]).toMatchObject({ ...parameters[1], default: null });
});
