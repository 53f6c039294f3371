import { InvalidArgument } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { parseSettings } from './settings-input.js';
import { trainSpecOf } from './spec.js';

const rows = (...tasks: string[]) => ({ tasks, validationTokens: 0 });
const settings = (more: object = {}) => parseSettings({ tokens: 10_000, ...more });

describe('trainSpecOf', () => {
  it('makes a stage of each subtask that is there, in the order of the curriculum, the last one long', () => {
    const { stages, schedule, optimizer } = trainSpecOf(
      settings({ replay: 0.2, warmupRatio: 0.1 }),
      rows('sentiment-classification', 'emotion-regression'),
    );
    expect(stages).toMatchObject([
      { tasks: ['sentiment-classification'], tokens: 1000, replay: 0.2 },
      { tasks: ['emotion-regression'], tokens: 9000, replay: 0.2 },
    ]);
    expect(schedule.warmupRatio).toBe(0.1);
    expect(optimizer).toMatchObject({ learningRate: 0.001, weightDecay: 0.01 });
    expect(() => trainSpecOf(settings(), rows())).toThrow(InvalidArgument);
  });

  it('knows the usual rate of each method', () => {
    const lora = trainSpecOf(settings({ method: 'lora', loraRank: 4 }), rows('sentiment-regression'));
    expect(lora.method).toMatchObject({ name: 'lora', rank: 4, alpha: 16 });
    expect(lora.optimizer.learningRate).toBe(0.003);
  });

  it('takes each optimizer with its own settings, and none of another', () => {
    const of = (more: object) => trainSpecOf(settings(more), rows('sentiment-regression'));
    expect(of({ optimizer: 'lion', beta2: 0.98 }).optimizer).toEqual({
      name: 'lion',
      beta1: 0.9,
      beta2: 0.98,
      learningRate: 2e-4,
      weightDecay: 0.01,
      clipNorm: 1,
    });
    expect(of({ optimizer: 'adafactor', scaleParameter: true }).optimizer).toMatchObject({
      name: 'adafactor',
      scaleParameter: true,
      decayRate: -0.8,
      learningRate: 1e-3,
    });
    expect(of({ gradientAccumulation: 4, ema: 0.99, packing: false })).toMatchObject({
      gradientAccumulation: 4,
      ema: 0.99,
      packing: false,
    });
  });

  it('mixes the subtasks in one stage, easy rows first', () => {
    const both = rows('sentiment-classification', 'emotion-regression');
    const mixed = { curriculum: 'mixed', mixingTemperature: 3, competence: 'spread', competenceStart: 0.1 };
    expect(trainSpecOf(settings(mixed), both).stages).toEqual([
      {
        tasks: ['sentiment-classification', 'emotion-regression'],
        tokens: 10_000,
        replay: 0,
        mixingTemperature: 3,
        competence: { difficulty: 'spread', start: 0.1 },
      },
    ]);
  });

  it.each([
    [
      { beta1: 0.8, optimizer: 'adafactor' },
      'beta1: expected none with optimizer: adafactor; it is of adamw and lion',
    ],
    [{ epsilon: 1e-6, optimizer: 'lion' }, 'epsilon: expected none with optimizer: lion; it is of adamw'],
    [{ lora: {} }, 'lora: expected none with method: full; it is of lora, and method is not given'],
    [{ curriculum: 'mixed', replay: 0.1 }, 'replay: expected 0 with curriculum: mixed'],
    [{ mixingTemperature: 2 }, 'mixingTemperature: expected curriculum: mixed beside it'],
    [{ curriculum: 'mixed', mixingTemperature: 2 }, 'mixingTemperature: expected 1 in a stage of one task'],
    [{ competenceStart: 0.1 }, 'competenceStart: expected competence: length or spread beside it'],
    [{ schedule: 'constant', finalRatio: 0.5 }, 'finalRatio: expected none with constant'],
    [{ schedule: 'inverse_sqrt', warmupRatio: 0 }, 'warmupRatio: expected more than 0 with inverse_sqrt'],
    [{ regularisation: { dropout: { lora: 0.1 } } }, 'regularisation.dropout.lora: expected 0 with full'],
  ])('%j is refused in the words in which it was told', (more, message) => {
    const refused = () => trainSpecOf(settings(more), rows('sentiment-regression'));
    expect(refused).toThrow(InvalidArgument);
    expect(refused).toThrow(message);
  });

  it('validates eight times, or less often where validation would take long', () => {
    const every = (validationTokens: number) =>
      trainSpecOf(settings(), { tasks: ['sentiment-regression'], validationTokens }).validation.everyTokens;
    expect(every(100)).toBe(1250);
    expect(every(1000)).toBe(3000);
  });
});
