import { InvalidArgument } from '@emotune/base';
import { type PlainValue, tuning } from '@emotune/proto';
import { parseSettings, trainSpecOf } from '@emotune/training';
import { describe, expect, it } from 'vitest';
import { inWordsOfSpec, settingsOf } from './assignment.js';

describe('settingsOf', () => {
  const assignment = (
    parameters: Record<string, PlainValue>,
    { memoryLimitMib = 0, threads = 0, ...settings }: Record<string, string | number> = {},
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
      trialTokens: 0,
      finalScale: 0,
      threads: Number(threads),
      folds: 0,
      memoryLimitMib: Number(memoryLimitMib),
      settings,
    },
    seed: 5,
    totalTokens: 20_000,
    outputPrefix: '',
    finishedFolds: [],
    leaseSeconds: 10,
    originPrefix: '',
    originTokens: 0,
    lineageTokens: 0,
  });

  it('takes a tuned parameter, then a fixed setting, then the default', () => {
    const parameters = {
      learningRate: 0.01,
      method: 'lora',
      replay: 0,
      architecture: 'opt',
    };
    expect(
      settingsOf(assignment(parameters, { batchTokens: 512, replay: 0.5, method: 'full' }), { threads: 3 }),
    ).toEqual(
      parseSettings({
        learningRate: 0.01,
        method: 'lora',
        replay: 0,
        batchTokens: 512,
        seed: 5,
        tokens: 20_000,
        threads: 3,
      }),
    );
    // The process was given its threads: those of the spec are a search trial's.
    expect(
      settingsOf(
        assignment({}, { replay: 0.5, threads: 1, validationExamples: 9, patience: 2, memoryLimitMib: 700 }),
        { threads: 3 },
      ),
    ).toMatchObject({
      method: { name: 'full' },
      replay: 0.5,
      threads: 3,
      validationExamples: 9,
      batchTokens: 2048,
      patience: 2,
      memoryLimitMiB: 700,
    });
  });

  it('computes where its machine says, unless the experiment says', () => {
    const onGpu = { threads: 1, device: 'cuda' };
    expect(settingsOf(assignment({}), { threads: 1 }).device).toBe('auto');
    expect(settingsOf(assignment({}), onGpu).device).toBe('cuda');
    expect(settingsOf(assignment({}, { device: 'cpu' }), onGpu).device).toBe('cpu');
    expect(() => settingsOf(assignment({}), { threads: 1, device: 'gpu' })).toThrow(
      /^training\.device: Invalid option: expected one of/,
    );
  });

  it('lays schedule and stages out over a whole lineage, and ends with its own part of it', () => {
    const third = { ...assignment({}), originPrefix: 'a', originTokens: 40_000, lineageTokens: 100_000 };
    expect(settingsOf(third, { threads: 1 })).toMatchObject({ tokens: 100_000, until: 60_000 });
    expect(settingsOf(assignment({}), { threads: 1 }).until).toBeUndefined();
  });

  it('reaches settings within settings by a dot, and leaves out a method that is none', () => {
    const parameters = {
      'loss.labelSmoothing': 0.1,
      'regularisation.mixout.rate': 0.3,
      'regularisation.perturbation.name': 'none',
    };
    const { loss, regularisation } = settingsOf(assignment(parameters), { threads: 1 });
    expect(loss.labelSmoothing).toBe(0.1);
    expect(regularisation).toMatchObject({ mixout: { rate: 0.3 } });
    expect(regularisation.perturbation).toBeUndefined();
    const name = { 'regularisation.perturbation.name': 'neftune' };
    expect(settingsOf(assignment(name), { threads: 1 }).regularisation.perturbation).toEqual({
      name: 'neftune',
      alpha: 5,
    });
  });

  it('names every parameter that it does not accept', () => {
    const refused = (() => {
      try {
        return settingsOf(assignment({ learningrate: 1, loraRank: 2.5 }), { threads: 1 });
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

it('a budget that holds no row is told by the name that the experiment has for it', () => {
  const settings = parseSettings({ tokens: 40 });
  const refused = () => {
    try {
      trainSpecOf(settings, { tasks: ['a'], validationTokens: 0, longest: 57 });
    } catch (error) {
      throw inWordsOfSpec(error);
    }
  };
  expect(refused).toThrow('training.trialTokens: expected at least 57, which the longest row has, got 40');
});
