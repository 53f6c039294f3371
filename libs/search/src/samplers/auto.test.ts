import { describe, expect, it } from 'vitest';
import type { TrialRecord } from '../history.js';
import { parseSearchAlgorithm, samplerChoice, suggest } from '../samplers.js';
import { type Assignment, parseSearchSpace } from '../space.js';

const space = parseSearchSpace([
  { name: 'method', categorical: { values: ['full', 'lora', 'prefix'] } },
  { name: 'rate', double: { min: 1e-6, max: 1e-2, log: true } },
  {
    name: 'rank',
    integer: { min: 1, max: 64, log: true },
    condition: { parameter: 'method', values: ['lora'] },
  },
  { name: 'alpha', integer: { min: 1, max: 32 }, condition: { parameter: 'method', values: ['lora'] } },
]);
const context = { seed: 1, trialNumber: 0 };
const auto = parseSearchAlgorithm({});

function drawn(count: number, over = space): TrialRecord[] {
  return Array.from({ length: count }, (_, number): TrialRecord => {
    const parameters = suggest({ name: 'random' }, over, [], { seed: 1, trialNumber: number });
    return { number, parameters, state: 'succeeded', objective: number % 7 };
  });
}
const running = (history: readonly TrialRecord[]) =>
  history.map(({ number, parameters }): TrialRecord => ({ number, parameters, state: 'running' }));

describe('auto', () => {
  const choiceOf = (history: readonly TrialRecord[], over = space) =>
    samplerChoice(auto, over, history, context);

  it('is the default', () => {
    expect(auto).toEqual({ name: 'auto', settings: { startUpTrials: 10, costPower: 0 } });
    expect(samplerChoice(parseSearchAlgorithm({ name: 'tpe' }), space, [], context)).toBeUndefined();
  });

  it('asks the process, and TPE where that costs too much or has no single objective', () => {
    expect(choiceOf(drawn(30))?.name).toBe('gp');
    expect(choiceOf([...drawn(30), ...running(drawn(10))])?.name).toBe('gp');
    expect(choiceOf([...drawn(30), ...running(drawn(21))])).toEqual({
      name: 'tpe',
      reason: '21 trials run, more than 20',
    });
    expect(choiceOf(drawn(1001))).toEqual({ name: 'tpe', reason: '1001 trials have ended, more than 1000' });
    const several = drawn(3).map(({ objective, ...record }) => ({ ...record, objectives: [1, 2] }));
    expect(choiceOf(several)).toEqual({ name: 'tpe', reason: 'several objectives' });
    const wide = parseSearchSpace(
      Array.from({ length: 41 }, (_, i) => ({ name: `x${i}`, double: { min: 0, max: 1 } })),
    );
    expect(choiceOf([], wide)).toEqual({ name: 'tpe', reason: '41 parameters, more than 40' });
  });

  it('suggests what the sampler that it names suggests', () => {
    const history = drawn(30);
    expect(suggest(auto, space, history, context)).toEqual(
      suggest({ name: 'gp', settings: { maxPoints: 200 } }, space, history, context),
    );
    const many = [...history, ...running(drawn(21))];
    expect(suggest(auto, space, many, context)).toEqual(suggest({ name: 'tpe' }, space, many, context));
  });

  it('asks the process when half of the start-up trials are measured and the others run', () => {
    const after = (measured: number) => [...drawn(measured), ...running(drawn(10)).slice(measured)];
    const next = (history: readonly TrialRecord[]) =>
      suggest(auto, space, history, { seed: 1, trialNumber: 10 });
    const random = suggest({ name: 'random' }, space, [], { seed: 1, trialNumber: 10 });
    expect(next(after(4))).toEqual(random);
    expect(next(after(5))).not.toEqual(random);
    // Those that run show nothing of their own.
    expect(next(drawn(5))).toEqual(random);
  });

  it('finds integers under conditions to the step', () => {
    // Minimum 0 at lora, 4e-4, rank 16, alpha 21.
    const loss = (v: Assignment) =>
      ({ full: 0.05, lora: 0, prefix: 0.04 })[v['method'] as string]! +
      0.05 * (Math.log10(v['rate'] as number) + 3.4) ** 2 +
      (v['method'] === 'lora'
        ? 0.01 * (Math.log2(v['rank'] as number) - 4) ** 2 + 5e-4 * ((v['alpha'] as number) - 21) ** 2
        : 0);
    for (const seed of [1, 2, 3]) {
      const history: TrialRecord[] = [];
      for (let number = 0; number < 60; number++) {
        const parameters = suggest(auto, space, history, { seed, trialNumber: number });
        history.push({ number, parameters, state: 'succeeded', objective: loss(parameters) });
      }
      const best = history.reduce((a, b) => (b.objective! < a.objective! ? b : a));
      expect(best.parameters).toMatchObject({ method: 'lora', rank: 16, alpha: 21 });
      expect(best.objective).toBeLessThan(1e-4);
    }
  });
});
