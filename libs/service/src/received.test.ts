import { InvalidArgument } from '@emotune/base';
import { messageType } from '@emotune/proto';
import { describe, expect, it } from 'vitest';
import { receivedAs } from './received.js';

/** What is wrong with the bytes, or the message that they are. */
function received(name: string, bytes: Uint8Array): unknown {
  try {
    return receivedAs(messageType(name), 10_000_000)(Buffer.from(bytes));
  } catch (error) {
    if (error instanceof InvalidArgument) return error.violations;
    throw error;
  }
}

function sent(name: string, message: object): unknown {
  const type = messageType(name);
  return received(name, type.encode(type.fromObject(message)).finish());
}

const refusal = (field: string, description: RegExp) => [
  { field, description: expect.stringMatching(description) },
];

describe('a request is refused by its field', () => {
  const dataset = 'emotune.data.v1.CreateDatasetRequest';
  const source = (more: object) => ({ spec: { name: 'a', sources: [{ file: { name: 'b', ...more } }] } });
  const experiment = 'emotune.tuning.v1.CreateExperimentRequest';

  it.each<[what: string, name: string, message: object, field: string, description: RegExp]>([
    ['U+0000', dataset, source({ licence: 'a\0b' }), 'spec.sources[0].file.licence', /U\+0000/],
    [
      'U+0000 in a list',
      dataset,
      source({ labels: ['a', '\0'] }),
      'spec.sources[0].file.labels[1]',
      /U\+0000/,
    ],
    [
      'half a surrogate pair',
      dataset,
      { requestId: 'a\ud800b' },
      'requestId',
      /expected UTF-8, got other bytes/,
    ],
    [
      'an infinite number',
      dataset,
      source({ scale: { low: 0, high: Infinity } }),
      'spec.sources[0].file.scale.high',
      /finite number, got Infinity/,
    ],
    ['no number', dataset, { spec: { split: { test: Number.NaN } } }, 'spec.split.test', /got NaN/],
    [
      'an integer beyond 2^53',
      dataset,
      { spec: { split: { seed: 2 ** 63 } } },
      'spec.split.seed',
      /between -2\^53 and 2\^53/,
    ],
    [
      'an unknown word',
      dataset,
      { spec: { tasks: [1, 99] } },
      'spec.tasks[1]',
      /TASK_EMOTION_REGRESSION, got 99/,
    ],
    [
      '__proto__ as a name',
      experiment,
      { spec: { searchAlgorithm: { settings: JSON.parse('{"__proto__": 1}') } } },
      'spec.searchAlgorithm.settings',
      /__proto__/,
    ],
    [
      'U+0000 in a value',
      experiment,
      { spec: { training: { settings: { a: { b: ['\0'] } } } } },
      'spec.training.settings.a.b[0]',
      /U\+0000/,
    ],
    [
      'an infinite value',
      experiment,
      { spec: { parameters: [{ name: 'a', default: Infinity }] } },
      'spec.parameters[0].default',
      /finite/,
    ],
  ])('%s', (_, name, message, field, description) => {
    expect(sent(name, message)).toEqual(refusal(field, description));
  });

  it('bytes that are no text', () => {
    expect(received('emotune.data.v1.GetDatasetRequest', Uint8Array.of(10, 2, 97, 0xff))).toEqual(
      refusal('name', /expected UTF-8, got other bytes in "a/),
    );
  });

  it('all of it where it is no message', () => {
    expect(received('emotune.data.v1.GetDatasetRequest', Uint8Array.of(10, 200, 97))).toEqual(
      refusal('', /^expected the bytes of a GetDatasetRequest, got others/),
    );
  });

  it('all of it where it holds so much that to read it would hold up others', () => {
    const batch = (count: number) =>
      sent('emotune.inference.v1.AnalyzeBatchRequest', {
        requests: Array.from({ length: count }, () => ({})),
      });
    expect(batch(20_000)).toMatchObject({ requests: { length: 20_000 } });
    expect(batch(20_001)).toEqual(refusal('', /^expected at most 20000 fields in all, got more: send less/));
    const values = Array.from({ length: 20_000 }, () => 1);
    expect(sent('emotune.tuning.v1.EnqueueTrialRequest', { parameters: { a: values } })).toEqual(
      refusal('', /at most 20000 fields/),
    );
  });

  it('all of it where it has more bytes than its method needs', () => {
    const type = messageType('emotune.data.v1.GetDatasetRequest');
    const bytes = Buffer.from(type.encode(type.fromObject({ name: 'x'.repeat(100) })).finish());
    expect(() => receivedAs(type, 101)(bytes)).toThrow(
      'expected at most 101 bytes, got 102: send less at once',
    );
    expect(receivedAs(type, 102)(bytes)).toMatchObject({ name: 'x'.repeat(100) });
  });

  it('all of it where it is nested too deep', () => {
    const value = messageType('google.protobuf.Value');
    let bytes = value.encode({ numberValue: 1, kind: 'numberValue' } as never).finish();
    const around = (id: number) => {
      const length = bytes.length;
      const varint = length < 128 ? [length] : [(length & 127) | 128, length >> 7];
      bytes = Buffer.concat([Uint8Array.of(id * 8 + 2, ...varint), bytes]);
    };
    for (let i = 0; i < 200; i++) for (const id of [1, 6]) around(id);
    around(2);
    around(2);
    expect(received('emotune.tuning.v1.EnqueueTrialRequest', bytes)).toEqual(refusal('', /depth/));
  });
});

it('numbers that were measured may be none', () => {
  const measurements = [{ step: 1, trainLoss: Infinity, objective: Number.NaN, values: { joy: -Infinity } }];
  expect(sent('emotune.tuning.v1.HeartbeatRequest', { measurements })).toMatchObject({ measurements });
});

it('names that every object has are names like others', () => {
  const settings = { constructor: 1, toString: 'a', hasOwnProperty: [true] };
  const spec = { training: { settings } };
  expect(sent('emotune.tuning.v1.CreateExperimentRequest', { spec })).toMatchObject({ spec });
});
