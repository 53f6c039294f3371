import { describe, expect, it } from 'vitest';
import { type Action, decide } from './decide.js';
import type { Trial } from './state.js';
import { done, experiment, failed, job, now, plan, trial } from './test-situation.js';

describe('trials that go on from each other', () => {
  const lineages = (maxTrials = 6) =>
    plan({
      searchAlgorithm: { name: 'pbt', settings: { population: 2 } },
      limits: { maxTrials, parallelTrials: 2 },
      training: { trialTokens: 3000 },
    });
  const kept = { keepsCheckpoint: true, totalTokens: 3000, tokens: 3000, bestTokens: 3000 };
  const decided = (trials: Trial[], changes: Parameters<typeof experiment>[0] = {}) =>
    decide(experiment({ plan: lineages(), trials, ...changes }), now);

  it('are created with their origin, and the tokens of their lineage before them', () => {
    expect(decided([])).toMatchObject([{ type: 'create-trial', number: 0 }]);
    const generation = [done(0, 2, kept), done(1, 1, kept)];
    // One of two is best and one worst: the first goes on from the second, whose own successor keeps its values.
    const [{ parameters, ...first }] = decided(generation) as Extract<Action, { type: 'create-trial' }>[];
    expect(first).toMatchObject({ number: 2, totalTokens: 3000, origin: 1, originTokens: 3000 });
    expect(parameters).not.toEqual(generation[1].parameters);
    const second = decided([
      ...generation,
      done(2, 3, { ...kept, origin: 1, originTokens: 3000, parameters }),
    ]);
    expect(second).toMatchObject([
      { number: 3, origin: 1, originTokens: 3000, parameters: generation[1].parameters },
    ]);
    const third = [
      ...generation,
      done(2, 3, { ...kept, origin: 1, originTokens: 3000 }),
      done(3, 0.5, { ...kept, origin: 1, originTokens: 3000 }),
    ];
    expect(decided(third)).toContainEqual(
      expect.objectContaining({ type: 'create-trial', number: 4, origin: 3, originTokens: 6000 }),
    );
  });

  it('wait for the generation before, and for nobody who will not come', () => {
    expect(decided([done(0, 2, kept), trial(1, kept)])).toEqual([]);
    const lost = failed(1, 'LostLease: gone');
    expect(decided([done(0, 2, kept), lost])).toMatchObject([{ type: 'create-trial', number: 2 }]);
    const own = done(0, 2, kept);
    expect(decided([own, trial(1, { ...kept, state: 'infeasible', attempts: [] })])).toContainEqual(
      expect.objectContaining({ number: 2, origin: 0, parameters: own.parameters }),
    );
  });

  it('keep their checkpoints until nobody can go on from them', () => {
    const cleared = (trials: Trial[], changes: Parameters<typeof experiment>[0] = {}) =>
      decided(trials, changes).flatMap((action) =>
        action.type === 'clear-checkpoints' ? [action.trial] : [],
      );
    const first = [done(0, 1, kept), done(1, 2, kept)];
    expect(cleared(first)).toEqual([]);
    const open = { ...kept, origin: 1, originTokens: 3000 };
    // The second generation is not whole yet.
    expect(cleared([...first, done(2, 3, open), trial(3, open)])).toEqual([]);
    // It is: trial 0 is still the best, trial 1 nobody's any more, unless somebody's attempt has yet to begin from it.
    const second = [...first, done(2, 3, open), done(3, 4, open)];
    expect(cleared(second)).toEqual([1]);
    expect(cleared([...second, trial(4, { ...open, origin: 1 })])).toEqual([]);
    expect(cleared(second.with(1, done(1, 2, { ...kept, keepsCheckpoint: false })))).toEqual([]);
    expect(cleared(second, { jobs: [job(1, 1)] })).toEqual([]);
    // What came to nothing is no origin.
    expect(cleared([...first, { ...failed(2), keepsCheckpoint: true }])).toEqual([2]);
    // No other generation follows.
    expect(cleared(second, { plan: lineages(4) })).toEqual([1, 2, 3]);
    expect(cleared(second, { state: 'paused' })).toEqual([1]);
    expect(cleared(second, { state: 'cancelled' })).toEqual([0, 1, 2, 3]);
  });

  it('end with the best one, whose weights are the model', () => {
    const trials = [done(0, 2, kept), done(1, 1, { ...kept, origin: 0, originTokens: 9000 })];
    const finalizing = { plan: lineages(3), state: 'finalizing' } as const;
    const [created] = decided(trials, finalizing).filter(({ type }) => type === 'create-trial');
    expect(created).toEqual({
      type: 'create-trial',
      number: 2,
      kind: 'final',
      parameters: trials[1].parameters,
      totalTokens: 0,
      origin: 1,
      originTokens: 12_000,
    });
  });
});
