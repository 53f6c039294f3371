import { parse } from '@emotune/base';
import { parseConfig } from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { trainSpec } from '../spec.js';
import { checkMethods } from './settings.js';

const lora = { name: 'lora', rank: 2, alpha: 4 };
const spec = (more: object) =>
  parse(trainSpec, {
    method: { name: 'full' },
    optimizer: { learningRate: 0.01 },
    stages: [{ tasks: ['a'], tokens: 1 }],
    seed: 1,
    ...more,
  });
const perturbation = (settings: object, more: object = {}) => ({
  regularisation: { perturbation: settings, ...more },
});

describe('methods', () => {
  it('have the settings of their authors', () => {
    const of = (name: string) =>
      spec(perturbation({ name }, name === 'rdrop' ? { dropout: { hidden: 0.1 } } : {})).regularisation
        .perturbation;
    expect(of('neftune')).toEqual({ name: 'neftune', alpha: 5 });
    expect(of('pgd')).toEqual({ name: 'pgd', epsilon: 1, stepSize: 0.3, steps: 3 });
    expect(of('smart')).toEqual({
      name: 'smart',
      weight: 1,
      steps: 1,
      stepSize: 1e-3,
      noise: 1e-5,
      maxNorm: 1e-5,
      proximal: 0,
    });
    expect(of('r3f')).toEqual({ name: 'r3f', weight: 1, noise: 'uniform', epsilon: 1e-5 });
    expect(spec({}).loss).toEqual({ labelSmoothing: 0, regression: { name: 'answer' } });
  });

  it.each([
    [perturbation({ name: 'rdrop' }), 'regularisation.perturbation: expected dropout or mixout with rdrop'],
    [
      perturbation({ name: 'mixup' }, {}),
      'regularisation.perturbation: expected no mixup with losses of numbers',
      { loss: { regression: { name: 'raft' } } },
    ],
    [
      perturbation({ name: 'smart', proximal: 1 }),
      'regularisation.perturbation.proximal: expected 0, or `ema`',
    ],
    [{ regularisation: { dropout: { lora: 0.1 } } }, 'dropout.lora: expected 0 with full fine-tuning'],
    [
      { method: lora, regularisation: { dropout: { lora: 0.1 }, mixout: { rate: 0.5 } } },
      'dropout.lora: expected 0 with mixout',
    ],
    [
      { method: { ...lora, dora: true }, regularisation: { mixout: { rate: 0.5 } } },
      'regularisation.mixout: expected none with DoRA',
    ],
    [
      { loss: { regression: { name: 'raft' }, numberTokens: {} } },
      'loss.numberTokens: expected none with the regression loss raft',
    ],
    [{ loss: { labelSmoothing: 1 } }, 'loss.labelSmoothing'],
    [{ regularisation: { mixout: { rate: 1 } } }, 'regularisation.mixout.rate'],
    [perturbation({ name: 'fgn' }), 'regularisation.perturbation'],
  ])('%j is refused by name', (settings: object, message: string, more: object = {}) => {
    expect(() => spec({ ...settings, ...more })).toThrow(message);
  });

  it('are refused where the model or the rows have nothing for them', () => {
    const config = parseConfig({
      model_type: 'llama',
      vocab_size: 24,
      hidden_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 32,
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: 0,
    });
    const rows = [{ id: 'r', task: 'a', tokens: new Int32Array(4), answerStart: 2 }];
    const check = (more: object) => () => checkMethods(spec(more), config, rows);
    expect(check({})).not.toThrow();
    expect(check({ loss: { regression: { name: 'raft' } } })).toThrow(
      'loss.regression: expected rows whose answers are numbers, got none',
    );
    expect(check({ loss: { numberTokens: {} } })).toThrow('loss.numberTokens: expected rows');
    expect(
      check({
        method: { name: 'full', trainableLayers: 0, extraModules: ['norm'] },
        regularisation: { mixout: { rate: 0.5 } },
      }),
    ).toThrow('regularisation.mixout: expected a trained linear layer in the blocks to mix, got none');
  });
});
