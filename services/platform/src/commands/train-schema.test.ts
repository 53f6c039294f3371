import { settingsJsonSchema } from '@emotune/training';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { trainFields } from './train.js';

const schema = settingsJsonSchema(trainFields);
const accepts = (file: object) => z.fromJSONSchema(schema as never).safeParse(file).success;
const file = { model: 'm', features: 'f', out: 'o' };

describe('the JSON schema of train.yaml', () => {
  it('tells valid files from others', () => {
    for (const more of [
      {},
      { method: 'lora', loraRank: 4, lora: { targets: ['q_proj'], baseCompute: 'int8' } },
      { loss: { numberTokens: {} }, regularisation: { perturbation: { name: 'r3f', noise: 'normal' } } },
    ])
      expect(accepts({ ...file, ...more }), JSON.stringify(more)).toBe(true);
    for (const more of [
      { learningRat: 1 },
      { learningRate: 0 },
      { lora: { baseCompute: 'int7' } },
      { loss: { labelSmoothing: 1 } },
      { out: 1 },
    ])
      expect(accepts({ ...file, ...more }), JSON.stringify(more)).toBe(false);
    expect(accepts({ model: 'm' })).toBe(false);
  });
});
