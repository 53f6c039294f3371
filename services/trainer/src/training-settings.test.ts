import { InvalidArgument, parse } from '@emotune/base';
import { tuning } from '@emotune/proto';
import type { Row } from '@emotune/training';
import { describe, expect, it } from 'vitest';
import { settingsOf } from './assignment.js';
import { trainingSettings, trainSpecOf } from './training-settings.js';

function rows(task: string, count: number, length = 10): Row[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `${task}-${i}`,
    task,
    tokens: new Int32Array(length),
    answerStart: 8,
  }));
}
const settings = (more: object = {}) => parse(trainingSettings, { tokens: 10_000, ...more });

describe('trainSpecOf', () => {
  it('makes a stage of each subtask that is there, in the order of the curriculum, the last one long', () => {
    const train = [...rows('emotion-regression', 400), ...rows('sentiment-classification', 100)];
    const { stages, schedule, optimizer } = trainSpecOf(settings({ replay: 0.2, warmupRatio: 0.1 }), {
      train,
      validation: [],
    });
    expect(stages).toMatchObject([
      { tasks: ['sentiment-classification'], tokens: 1000, replay: 0.2 },
      { tasks: ['emotion-regression'], tokens: 9000, replay: 0.2 },
    ]);
    expect(schedule.warmupRatio).toBe(0.1);
    expect(optimizer).toMatchObject({ learningRate: 0.001, weightDecay: 0.01 });
    expect(() => trainSpecOf(settings(), { train: [], validation: [] })).toThrow(InvalidArgument);
  });

  it('knows the usual rate of each method', () => {
    const train = rows('sentiment-regression', 4);
    const lora = trainSpecOf(settings({ method: 'lora', loraRank: 4 }), { train, validation: [] });
    expect(lora.method).toMatchObject({ name: 'lora', rank: 4, alpha: 16 });
    expect(lora.optimizer.learningRate).toBe(0.003);
  });

  it('takes each optimizer with its own settings, and none of another', () => {
    const rows4 = { train: rows('sentiment-regression', 4), validation: [] };
    const of = (more: object) => trainSpecOf(settings(more), rows4);
    expect(of({ optimizer: 'lion', beta2: 0.98 }).optimizer).toEqual({
      ...{ name: 'lion', beta1: 0.9, beta2: 0.98, learningRate: 2e-4, weightDecay: 0.01, clipNorm: 1 },
    });
    expect(of({ optimizer: 'adafactor', scaleParameter: true }).optimizer).toMatchObject({
      ...{ name: 'adafactor', scaleParameter: true, decayRate: -0.8, learningRate: 1e-3 },
    });
    expect(of({ gradientAccumulation: 4, ema: 0.99, packing: false })).toMatchObject({
      ...{ gradientAccumulation: 4, ema: 0.99, packing: false },
    });
  });

  it('mixes the subtasks in one stage, easy rows first', () => {
    const train = [...rows('emotion-regression', 40), ...rows('sentiment-classification', 10)];
    const mixed = { curriculum: 'mixed', mixingTemperature: 3, competence: 'spread', competenceStart: 0.1 };
    expect(trainSpecOf(settings(mixed), { train, validation: [] }).stages).toEqual([
      {
        ...{ tasks: ['sentiment-classification', 'emotion-regression'], tokens: 10_000, replay: 0 },
        ...{ mixingTemperature: 3, competence: { difficulty: 'spread', start: 0.1 } },
      },
    ]);
  });

  it.each([
    [
      { beta1: 0.8, optimizer: 'adafactor' },
      'beta1: expected none with optimizer: adafactor; it is of adamw and lion',
    ],
    [{ epsilon: 1e-6, optimizer: 'lion' }, 'epsilon: expected none with optimizer: lion; it is of adamw'],
    [{ lora: {} }, 'lora: expected none with method: full'],
    [{ curriculum: 'mixed', replay: 0.1 }, 'replay: expected 0 with curriculum: mixed'],
    [{ mixingTemperature: 2 }, 'mixingTemperature: expected curriculum: mixed beside it'],
    [{ curriculum: 'mixed', mixingTemperature: 2 }, 'mixingTemperature: expected 1 in a stage of one task'],
    [{ competenceStart: 0.1 }, 'competenceStart: expected competence: length or spread beside it'],
    [{ schedule: 'constant', finalRatio: 0.5 }, 'finalRatio: expected none with constant'],
    [{ schedule: 'inverse_sqrt', warmupRatio: 0 }, 'warmupRatio: expected more than 0 with inverse_sqrt'],
    [{ regularisation: { dropout: { lora: 0.1 } } }, 'regularisation.dropout.lora: expected 0 with full'],
  ])('%j is refused in the words in which it was told', (more, message) => {
    const refused = () =>
      trainSpecOf(settings(more), { train: rows('sentiment-regression', 4), validation: [] });
    expect(refused).toThrow(InvalidArgument);
    expect(refused).toThrow(message);
  });

  it('validates eight times, or less often where validation would take long', () => {
    const train = rows('sentiment-regression', 4);
    const every = (count: number) =>
      trainSpecOf(settings(), { train, validation: rows('sentiment-regression', count) }).validation
        .everyTokens;
    expect(every(10)).toBe(1250);
    expect(every(100)).toBe(3000);
  });
});

describe('settingsOf', () => {
  const assignment = (
    parameters: Record<string, tuning.ParameterValue>,
    training: Partial<tuning.TrainingSpec> = {},
  ): tuning.Assignment => ({
    trial: undefined,
    kind: tuning.TrialKind.TRIAL_KIND_SEARCH,
    architecture: 'opt',
    baseModelPrefix: '',
    featuresPrefix: '',
    trainSplits: ['train'],
    validationSplit: 'validation',
    parameters,
    training: {
      ...{ method: '', trialTokens: 0, finalScale: 0, batchTokens: 0, validationExamples: 0, replay: 0 },
      ...{ threads: 0, checkpointSeconds: 0, patience: 0 },
      ...training,
    },
    seed: 5,
    totalTokens: 20_000,
    outputPrefix: '',
    leaseSeconds: 10,
  });

  it('takes a tuned parameter, then a fixed setting, then the default', () => {
    const parameters = {
      learningRate: { number: 0.01 },
      method: { text: 'lora' },
      replay: { number: 0 },
      architecture: { text: 'opt' },
    };
    expect(settingsOf(assignment(parameters, { batchTokens: 512, replay: 0.5, method: 'full' }), 3)).toEqual({
      ...parse(trainingSettings, {}),
      ...{ learningRate: 0.01, method: 'lora', replay: 0, batchTokens: 512 },
      ...{ seed: 5, tokens: 20_000, threads: 3 },
    });
    // The process was given its threads: those of the spec are a search trial's.
    expect(
      settingsOf(assignment({}, { replay: 0.5, threads: 1, validationExamples: 9, patience: 2 }), 3),
    ).toMatchObject({
      ...{ method: 'full', replay: 0.5, threads: 3, validationExamples: 9, batchTokens: 2048, patience: 2 },
    });
  });

  it('reaches settings within settings by a dot, and leaves out a method that is none', () => {
    const parameters = {
      'loss.labelSmoothing': { number: 0.1 },
      'regularisation.mixout.rate': { number: 0.3 },
      'regularisation.perturbation.name': { text: 'none' },
    };
    const { loss, regularisation } = settingsOf(assignment(parameters), 1);
    expect(loss.labelSmoothing).toBe(0.1);
    expect(regularisation).toMatchObject({ mixout: { rate: 0.3 } });
    expect(regularisation.perturbation).toBeUndefined();
    const name = { 'regularisation.perturbation.name': { text: 'neftune' } };
    expect(settingsOf(assignment(name), 1).regularisation.perturbation).toEqual({
      name: 'neftune',
      alpha: 5,
    });
  });

  it('names every parameter that it does not accept', () => {
    const refused = (() => {
      try {
        return settingsOf(assignment({ learningrate: { number: 1 }, loraRank: { number: 2.5 } }), 1);
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toBeInstanceOf(InvalidArgument);
    expect((refused as Error).message).toContain('parameters.loraRank: expected int, got 2.5');
    expect((refused as Error).message).toContain(
      'parameters.learningrate: unknown field, did you mean "learningRate"?',
    );
  });
});
