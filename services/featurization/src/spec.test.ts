import { scalesBut } from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';
import type { featurization } from '@emotune/proto';
import { describe, expect, it } from 'vitest';
import { planOf } from './spec.js';

const spec: featurization.FeatureSetSpec = {
  name: 'set',
  dataset: 'demo',
  baseModels: ['opt'],
  withoutCues: false,
  inducedLexicon: false,
  lexicons: [],
  varyScales: false,
  untaughtScales: [],
  maxTokens: 0,
  seed: 0,
  limitTrain: 0,
  limitValidation: 0,
  limitTest: 0,
  augmentations: [],
};

describe('planOf', () => {
  it('fills in what is usual', () => {
    expect(planOf(spec)).toEqual({
      name: 'set',
      dataset: 'demo',
      baseModels: ['opt'],
      cues: true,
      cueDropout: 0.3,
      lexicons: [],
      induced: false,
      varyScales: false,
      untaughtScales: [],
      labelBalance: 0,
      augmentations: [],
      maxTokens: 160,
      seed: 0,
      limits: { train: 0, validation: 0, test: 0 },
    });
  });

  it('fills in what augmentations leave out', () => {
    const given = (method: string, more = {}) => ({ method, share: 0, strength: 0, language: '', ...more });
    const plan = planOf({
      ...spec,
      augmentations: [
        given('aeda'),
        given('back-translation'),
        given('keyboard', { share: 0.2, strength: 0.3 }),
      ],
    });
    expect(plan.augmentations).toEqual([
      { method: 'aeda', share: 0.5, strength: 0.3, language: '' },
      { method: 'back-translation', share: 0.5, strength: 1, language: 'de' },
      { method: 'keyboard', share: 0.2, strength: 0.3, language: '' },
    ]);
    const bad = [
      given('adea'),
      given('aeda', { share: 2, language: 'de' }),
      given('spelling'),
      given('spelling'),
    ];
    expect(() => planOf({ ...spec, augmentations: bad })).toThrow(
      /augmentations\[0\]\.method: .*did you mean "aeda"\?.*augmentations\[1\]\.share.*augmentations\[1\]\.language.*augmentations\[3\]\.method/s,
    );
  });

  it('names every violation at once', () => {
    const bad = {
      ...spec,
      name: 'Bad name',
      dataset: '',
      baseModels: ['opt', '', 'opt'],
      maxTokens: 3,
      limitTest: -1,
      lexicons: ['emotag', 'vader', 'emotag'],
      cueDropout: 1.5,
      labelBalance: 1.5,
      seed: 2 ** 60,
    };
    let violations: InvalidArgument['violations'] = [];
    try {
      planOf(bad);
    } catch (error) {
      violations = (error as InvalidArgument).violations;
    }
    expect(violations.map(({ field }) => field)).toEqual([
      'spec.name',
      'spec.dataset',
      'spec.baseModels[1]',
      'spec.baseModels[2]',
      'spec.lexicons[1]',
      'spec.lexicons[2]',
      'spec.maxTokens',
      'spec.cueDropout',
      'spec.seed',
      'spec.limitTest',
      'spec.labelBalance',
    ]);
    expect(planOf({ ...spec, inducedLexicon: true }).induced).toBe(true);
    expect(planOf({ ...spec, inducedLexicon: true, withoutCues: true })).toMatchObject({
      cues: false,
      induced: false,
    });
    expect(planOf({ ...spec, cueDropout: 0 }).cueDropout).toBe(0);
    expect(() => planOf({ ...spec, cueDropout: Number.NaN })).toThrow('spec.cueDropout: expected a share');
    const scales = [
      { low: -4, high: 4 },
      { low: 2, high: 2 },
    ];
    expect(planOf({ ...spec, untaughtScales: scales.slice(0, 1) }).untaughtScales).toEqual([scales[0]]);
    expect(() => planOf({ ...spec, untaughtScales: scales })).toThrow(
      /spec\.untaughtScales\[1\]: expected low/,
    );
    expect(() => planOf({ ...spec, untaughtScales: [...scalesBut([])] })).toThrow(
      'spec.untaughtScales: expected some of the scales',
    );
    expect(() => planOf({ ...spec, baseModels: [] })).toThrow(InvalidArgument);
    expect(() => planOf(undefined)).toThrow('spec: expected a feature set spec, got nothing');
  });
});
