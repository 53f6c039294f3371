import { Rng } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrialCurve } from './pruners/curves.js';
import { hyperbandBracket, promoted } from './pruners/halving.js';
import { type EarlyStopping, judge, parseEarlyStopping } from './pruners.js';
import { signedRankP } from './signed-rank.js';

/** A curve measured every 100 examples. */
function curve(
  number: number,
  values: readonly (number | undefined)[],
  more: Partial<TrialCurve> = {},
): TrialCurve {
  const points = values.map((value, i) => ({ examples: 100 * (i + 1), values: [value] }));
  return { number, state: 'running', parameters: {}, points, ...more };
}

const whole = (number: number, values: readonly number[], more: Partial<TrialCurve> = {}) =>
  curve(number, values, { state: 'succeeded', ...more });

const pruner = (name: string, settings: object = {}) => parseEarlyStopping({ name, settings });

/** Every pruner with a warm-up of 300 examples, as eager as it can be. */
const eager: readonly EarlyStopping[] = [
  pruner('none'),
  pruner('patience', { patience: 1, warmUp: 300 }),
  pruner('median', { warmUp: 300, startUpTrials: 1 }),
  pruner('percentile', { warmUp: 300, startUpTrials: 1, percentile: 10 }),
  pruner('asha', { warmUp: 300, minExamples: 100, reductionFactor: 2 }),
  pruner('asha', { warmUp: 300, minExamples: 100, reductionFactor: 2, variant: 'promote' }),
  pruner('hyperband', { warmUp: 300, minExamples: 100, maxExamples: 800, reductionFactor: 2 }),
  pruner('threshold', { warmUp: 300, upper: 10 }),
];
const comparing = eager.filter(({ name }) => ['median', 'percentile', 'asha', 'hyperband'].includes(name));

const label = ({ name, settings }: EarlyStopping) => `${name} ${JSON.stringify(settings)}`;

/** Random curves of up to 20 trials, some points missing or broken. */
const experiments = fc
  .record({ seed: fc.integer(), trials: fc.integer({ min: 1, max: 20 }), objectives: fc.constantFrom(1, 2) })
  .map(({ seed, trials, objectives }) =>
    Array.from({ length: trials }, (_, number): TrialCurve => {
      const rng = Rng.of(seed, number);
      const points = Array.from({ length: 1 + rng.int(8) }, (_, i) => ({
        examples: 100 * (i + 1),
        values: Array.from({ length: objectives }, () => {
          const kind = rng.int(20);
          return kind === 0 ? undefined : kind === 1 ? Number.NaN : rng.int(5);
        }),
      }));
      const state = (['running', 'succeeded', 'stopped'] as const)[rng.int(3)];
      return { number, state, parameters: {}, points };
    }),
  );

describe.each(eager.map((spec) => [label(spec), spec] as const))('%s', (_, spec) => {
  it('depends on its arguments alone, in whatever order', () => {
    fc.assert(
      fc.property(experiments, fc.integer(), (trials, seed) => {
        const shuffled = Rng.of(seed).shuffle(trials);
        for (const trial of trials) {
          const verdict = judge(trial, trials, spec);
          expect(judge(structuredClone(trial), shuffled, spec)).toEqual(verdict);
          expect(verdict.reason).not.toBe('');
        }
      }),
      { numRuns: 50 },
    );
  });

  it('stops nothing before the warm-up, whatever was measured', () => {
    fc.assert(
      fc.property(experiments, (trials) => {
        for (const trial of trials) {
          const early = { ...trial, points: trial.points.slice(0, 2) };
          expect(judge(early, trials, spec).decision).toBe('continue');
        }
      }),
      { numRuns: 50 },
    );
  });

  it('lets go on what no other trial is better than', () => {
    fc.assert(
      fc.property(experiments, (trials) => {
        for (const trial of trials) {
          // Better than all, everywhere, and ties with itself.
          const best = {
            ...trial,
            points: trial.points.map(({ examples, values }) => ({ examples, values: values.map(() => 0) })),
          };
          expect(['continue', 'pause']).toContain(judge(best, trials, spec).decision);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('lets a single trial go on, whose values are finite', () => {
    const alone = curve(0, [5, 6, 7, 8]);
    expect(judge(alone, [alone], spec).decision).toBe(
      spec.settings['variant'] === 'promote' ? 'pause' : 'continue',
    );
  });

  it('tells what is missing from what is broken', () => {
    const others = Array.from({ length: 9 }, (_, i) => whole(i + 1, [1, 1, 1, 1, 1, 1, 1, 1]));
    const missing = curve(0, [undefined, undefined, undefined, undefined]);
    expect(judge(missing, others, spec).decision).toBe('continue');
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const broken = curve(0, [value, value, value, value], { judgedAt: 0 });
      expect(judge(broken, others, spec).decision).toBe(spec.name === 'none' ? 'continue' : 'stop');
    }
  });

  it('knows nothing of an empty curve', () => {
    expect(judge(curve(0, []), [], spec).decision).toBe('continue');
  });
});

describe.each(comparing.map((spec) => [label(spec), spec] as const))('%s', (_, spec) => {
  const worst = curve(0, [9, 9, 9, 9], { judgedAt: 0 });
  const nine = (more: (i: number) => Partial<TrialCurve>) =>
    Array.from({ length: 40 }, (_, i) => whole(i + 1, [1, 1, 1, 1, 1, 1, 1, 1], more(i)));

  it('holds back what most others beat', () => {
    expect(['stop', 'pause']).toContain(
      judge(
        worst,
        nine(() => ({})),
        spec,
      ).decision,
    );
  });

  it('does not let ties count against a trial', () => {
    if (spec.settings['variant'] === 'promote') return;
    const tied = curve(0, [1, 1, 1, 1], { judgedAt: 0 });
    expect(
      judge(
        tied,
        nine(() => ({})),
        spec,
      ).decision,
    ).toBe('continue');
  });

  it('compares within architecture and learning rate alone', () => {
    const of = (architecture: string, learningRate: number) => ({
      parameters: { architecture, learningRate },
    });
    const trial = { ...worst, ...of('opt', 1e-4) };
    expect(['stop', 'pause']).toContain(
      judge(
        trial,
        nine(() => of('opt', 3e-4)),
        spec,
      ).decision,
    );
    const alone = judge(trial, [], spec).decision;
    expect(
      judge(
        trial,
        nine(() => of('opt', 3.1e-4)),
        spec,
      ).decision,
    ).toBe(alone);
    expect(
      judge(
        trial,
        nine(() => of('llama', 1e-4)),
        spec,
      ).decision,
    ).toBe(alone);
    expect(
      judge(
        trial,
        nine(() => ({ parameters: { architecture: 'opt' } })),
        spec,
      ).decision,
    ).toBe(alone);
  });

  it('compares on examples seen, not on the count of measurements', () => {
    // As good at as many examples, but measured four times as often.
    const falling = (examples: number) => 10 - examples / 100;
    const often = (number: number): TrialCurve => ({
      number,
      state: 'succeeded',
      parameters: {},
      points: Array.from({ length: 32 }, (_, i) => ({
        examples: 25 * (i + 1),
        values: [falling(25 * (i + 1))],
      })),
    });
    if (spec.settings['variant'] === 'promote') return;
    const trial = curve(0, [100, 200, 300, 400].map(falling), { judgedAt: 0 });
    const others = Array.from({ length: 20 }, (_, i) => often(i + 1));
    expect(judge(trial, others, spec).decision).toBe('continue');
  });

  it('lets go on what still improves, where it has patience', () => {
    const patient = pruner(spec.name, { ...spec.settings, patience: 2 });
    const others = nine(() => ({}));
    expect(judge(curve(0, [9, 8, 7, 6], { judgedAt: 0 }), others, patient).decision).toBe('continue');
    expect(['stop', 'pause']).toContain(
      judge(curve(0, [9, 6, 7, 6], { judgedAt: 0 }), others, patient).decision,
    );
  });

  it('holds back curves that are dominated, of two objectives', () => {
    const pair = (number: number, values: readonly [number, number], state: TrialCurve['state']) => ({
      number,
      state,
      parameters: {},
      judgedAt: 0,
      points: [100, 200, 300, 400].map((examples) => ({ examples, values })),
    });
    const others = Array.from({ length: 40 }, (_, i) => pair(i + 1, [1, 1], 'succeeded'));
    expect(['stop', 'pause']).toContain(judge(pair(0, [2, 1], 'running'), others, spec).decision);
    if (spec.settings['variant'] === 'promote') return;
    // Worse than all in one, better in the other.
    expect(judge(pair(0, [9, 0], 'running'), others, spec).decision).toBe('continue');
  });
});

describe('median and percentile', () => {
  const others = [1, 2, 3, 4, 6].map((value, i) => whole(i + 1, [value, value]));
  const median = pruner('median', { warmUp: 0 });

  it('stops above the median of whole trials, not at it', () => {
    expect(judge(curve(0, [3]), others, median).decision).toBe('continue');
    expect(judge(curve(0, [3.01]), others, median)).toEqual({
      decision: 'stop',
      reason: 'its best 3.01 is worse than 3, percentile 50 of 5 trials like it at 100 examples',
    });
    // numpy.percentile([1, 2, 3, 4, 6], 90) is 5.2.
    const ninety = pruner('percentile', { warmUp: 0, percentile: 90 });
    expect(judge(curve(0, [5.19]), others, ninety).decision).toBe('continue');
    expect(judge(curve(0, [5.21]), others, ninety).decision).toBe('stop');
  });

  it('counts the best value so far', () => {
    expect(judge(curve(0, [2, 9]), others, median).decision).toBe('continue');
  });

  it('waits for five whole trials', () => {
    expect(judge(curve(0, [9]), others.slice(1), median).decision).toBe('continue');
    const running = others.map((other) => ({ ...other, state: 'running' as const }));
    expect(judge(curve(0, [9]), running, median).decision).toBe('continue');
  });

  it('reads others between their points', () => {
    const rare = [1, 2, 3, 4, 6].map((value, i) => ({
      ...whole(i + 1, []),
      points: [
        { examples: 50, values: [value + 1] },
        { examples: 150, values: [value - 1] },
      ],
    }));
    expect(judge(curve(0, [3]), rare, median).decision).toBe('continue');
    expect(judge(curve(0, [3.01]), rare, median).decision).toBe('stop');
  });
});

describe('asha', () => {
  const spec = pruner('asha', { warmUp: 0, minExamples: 100, reductionFactor: 3 });
  const others = [1, 2, 3, 4, 5].map((value, i) => curve(i + 1, [value]));

  it('keeps one of reductionFactor at each rung', () => {
    // 6 at the rung: 2 pass.
    expect(judge(curve(0, [1.5]), others, spec).decision).toBe('continue');
    expect(judge(curve(0, [2.5]), others, spec)).toEqual({
      decision: 'stop',
      reason: '2.5 at rung 0, 100 examples, is beaten by 2 of 5; 2 of 6 pass',
    });
  });

  it('judges a rung once, when it is reached, also where reports came together', () => {
    expect(judge(curve(0, [9, 9]), others, spec).decision).toBe('continue');
    expect(judge(curve(0, [9, 9], { judgedAt: 0 }), others, spec).decision).toBe('stop');
  });

  it('promotes paused trials from the highest rung first', () => {
    const { settings } = pruner('asha', {
      warmUp: 0,
      minExamples: 100,
      reductionFactor: 2,
      variant: 'promote',
    });
    const chosen = (trials: readonly TrialCurve[]) =>
      promoted(trials, settings as Parameters<typeof promoted>[1]);
    const paused = (number: number, values: number[]) => curve(number, values, { state: 'paused' });
    expect(chosen([paused(0, [1])])).toBeUndefined();
    expect(chosen([paused(0, [2]), paused(1, [1])])).toBe(1);
    expect(chosen([paused(0, [2]), curve(1, [1])])).toBeUndefined();
    expect(chosen([paused(0, [1]), paused(1, [2]), paused(2, [3, 5]), paused(3, [4, 6])])).toBe(2);
    expect(chosen([paused(0, [Number.NaN]), paused(1, [Number.NaN])])).toBeUndefined();
  });
});

it('hyperband gives brackets by their weights', () => {
  const { settings } = pruner('hyperband', {
    warmUp: 0,
    minExamples: 1,
    maxExamples: 27,
    reductionFactor: 3,
  });
  const counts = [0, 0, 0, 0];
  const trials = 5000;
  for (let i = 0; i < trials; i++)
    counts[hyperbandBracket(i, settings as Parameters<typeof hyperbandBracket>[1])]++;
  // ⌈4·27/4⌉, ⌈4·9/3⌉, ⌈4·3/2⌉, ⌈4·1/1⌉; 4 standard deviations of a binomial share are below 0.03.
  [27, 12, 6, 4].forEach((weight, b) => {
    expect(Math.abs(counts[b] / trials - weight / 49)).toBeLessThan(0.03);
  });
});

describe('patience', () => {
  const spec = pruner('patience', { patience: 2, minDelta: 0.1 });
  const better = whole(1, [0]);

  it('finishes what has levelled out', () => {
    expect(judge(curve(0, [3, 2, 1.95, 1.91]), [better], spec)).toEqual({
      decision: 'finish',
      reason: 'no improvement in 2 measurements',
    });
    expect(judge(curve(0, [3, 2, 1.95, 1.89]), [better], spec).decision).toBe('continue');
    expect(judge(curve(0, [3, 2, 2.5]), [better], spec).decision).toBe('continue');
    // Missing values are no measurements.
    expect(judge(curve(0, [3, 2, undefined, undefined]), [better], spec).decision).toBe('continue');
  });

  it('leaves the leader alone', () => {
    expect(judge(curve(0, [3, 2, 2, 2]), [whole(1, [2])], spec).decision).toBe('continue');
  });
});

it('threshold stops outside its bounds', () => {
  const spec = pruner('threshold', { lower: 0, upper: 2 });
  expect(judge(curve(0, [2]), [], spec).decision).toBe('continue');
  expect(judge(curve(0, [2.1]), [], spec)).toEqual({
    decision: 'stop',
    reason: 'objective 2.1 at 100 examples: expected 0 to 2',
  });
  expect(judge(curve(0, [-1]), [], spec).decision).toBe('stop');
  expect(judge(curve(0, [-1, 1]), [], spec).decision).toBe('continue');
});

describe('wilcoxon', () => {
  const folds = (number: number, values: readonly number[], state: TrialCurve['state'] = 'succeeded') => ({
    ...curve(number, [], { state }),
    folds: Object.fromEntries(values.map((value, i) => [`fold-${i}`, value])),
  });
  const spec = pruner('wilcoxon');
  const best = folds(1, [0.5, 0.6, 0.7, 0.5, 0.6, 0.7]);

  it('stops what is worse on the shared folds', () => {
    expect(judge(folds(0, [0.6, 0.72, 0.83, 0.64], 'running'), [best, folds(2, [0.9])], spec)).toEqual({
      decision: 'stop',
      // All four differences above 0: 1/16.
      reason: 'mean 0.6975 over 4 folds against 0.6 of trial 1, p = 0.0625 over 4',
    });
    expect(judge(folds(0, [0.6, 0.72, 0.83], 'running'), [best], spec).decision).toBe('continue');
  });

  it('never stops what is as good on average, and no first trial', () => {
    const easy = folds(0, [0.55, 0.61, 0.71, 0.55], 'running');
    expect(judge({ ...easy, folds: { ...easy.folds, other: 0 } }, [best], spec).decision).toBe('continue');
    expect(judge(best, [best], spec).decision).toBe('continue');
    expect(judge(folds(0, [Number.NaN], 'running'), [best], spec).decision).toBe('continue');
    expect(judge(folds(0, [Number.NaN, 0.1], 'running'), [best], spec).decision).toBe('stop');
  });
});

describe('signed ranks', () => {
  /** By all 2ⁿ signs. */
  function enumerated(differences: readonly number[]): number {
    const sizes = differences.map(Math.abs);
    const rank = (d: number) =>
      sizes.filter((s) => s < d).length + (sizes.filter((s) => s === d).length + 1) / 2;
    const thrown = differences.filter((d) => d !== 0).map((d) => ({ rank: rank(Math.abs(d)), up: d > 0 }));
    const observed = thrown.reduce((sum, { rank, up }) => sum + (up ? rank : 0), 0);
    let atLeast = 0;
    for (let signs = 0; signs < 2 ** thrown.length; signs++)
      if (thrown.reduce((sum, { rank }, i) => sum + (signs & (1 << i) ? rank : 0), 0) >= observed) atLeast++;
    return atLeast / 2 ** thrown.length;
  }

  it('are those of all signs, with ties and zeros', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 10 }),
        (differences) => {
          expect(signedRankP(differences)).toBeCloseTo(enumerated(differences), 12);
        },
      ),
    );
  });

  it('go over into the normal distribution', () => {
    const differences = (n: number) => Array.from({ length: n }, (_, i) => ((i * 7) % n) - 0.4 * n + 0.3);
    // The largest error of the normal distribution for 50 pairs without ties is about 0.005.
    expect(Math.abs(signedRankP(differences(50)) - signedRankP(differences(51)))).toBeLessThan(0.02);
  });
});

describe('settings', () => {
  it('default to patience', () => {
    expect(parseEarlyStopping({})).toEqual({
      name: 'patience',
      settings: { patience: 5, minDelta: 0, warmUp: 0 },
    });
  });

  it.each([
    [{ name: 'medain' }, 'earlyStopping.name', 'did you mean "median"?'],
    [{ name: 'median' }, 'earlyStopping.settings.warmUp', 'number'],
    [{ name: 'asha', settings: { warmUp: 0, minExamples: 0 } }, 'earlyStopping.settings.minExamples', '>0'],
    [{ name: 'threshold' }, 'earlyStopping.settings', 'expected lower, upper or both'],
    [
      { name: 'threshold', settings: { lower: 2, upper: 1 } },
      'earlyStopping.settings.lower',
      'at most upper',
    ],
    [
      { name: 'hyperband', settings: { warmUp: 0, minExamples: 9, maxExamples: 3 } },
      'earlyStopping.settings.minExamples',
      'at most maxExamples',
    ],
    [{ name: 'patience', settings: { patient: 3 } }, 'earlyStopping.settings', 'patience'],
  ])('%j is refused', (input, field, description) => {
    const refused = () => parseEarlyStopping(input);
    expect(refused).toThrow(field);
    expect(refused).toThrow(description);
  });
});
