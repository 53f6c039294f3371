import { describe, expect, it } from 'vitest';
import type { TrialRecord } from '../history.js';
import { suggest } from '../samplers.js';
import { type Assignment, parseSearchSpace } from '../space.js';

const space = parseSearchSpace([
  { name: 'method', categorical: { values: ['full', 'lora'] } },
  {
    name: 'rank',
    integer: { min: 1, max: 64, log: true },
    condition: { parameter: 'method', values: ['lora'] },
  },
  {
    name: 'scaled',
    categorical: { values: [true, false] },
    condition: { parameter: 'method', values: ['lora'] },
  },
  { name: 'alpha', double: { min: 1, max: 64 }, condition: { parameter: 'scaled', values: [true] } },
  { name: 'rate', double: { min: 1e-5, max: 1e-2, log: true } },
  { name: 'warmup', double: { min: 0, max: 0.2, step: 0.02 } },
  { name: 'fixed', integer: { min: 3, max: 3 } },
]);
const tpe = { name: 'tpe', settings: { startUpTrials: 4 } };

/** Plays trials one after the other; `ends` says how each ends. */
function play(
  algorithm: Parameters<typeof suggest>[0],
  seed: number,
  ends: readonly (Omit<TrialRecord, 'number' | 'parameters'> | ((v: Assignment) => number))[],
  over = space,
): TrialRecord[] {
  const history: TrialRecord[] = [];
  ends.forEach((end, number) => {
    const parameters = suggest(algorithm, over, history, { seed, trialNumber: number });
    history.push(
      typeof end === 'function'
        ? { number, parameters, state: 'succeeded', objective: end(parameters) }
        : { number, parameters, ...end },
    );
  });
  return history;
}

it('depends on seed, trial number and history alone', () => {
  const history = play(
    tpe,
    1,
    Array.from({ length: 12 }, () => (v: Assignment) => Math.log(v['rate'] as number) ** 2),
  );
  const at = (seed: number, trialNumber: number, records = history) =>
    suggest(tpe, space, records, { seed, trialNumber });
  expect(at(1, 12)).toEqual(at(1, 12, structuredClone(history)));
  expect(at(1, 12)).not.toEqual(at(2, 12));
  expect(at(1, 12)).not.toEqual(at(1, 13));
  expect(at(1, 12)).not.toEqual(at(1, 12, history.slice(0, 8)));
});

/** Minimum 0 at (1e-3, lora, rank 16, warm-up 0.1). */
function mixed(v: Assignment): number {
  const rate = (Math.log10(v['rate'] as number) + 3) ** 2;
  const warmup = 25 * ((v['warmup'] as number) - 0.1) ** 2;
  const method = v['method'] === 'lora' ? 0.3 * (Math.log2(v['rank'] as number) / 4 - 1) ** 2 : 0.5;
  return rate + warmup + method;
}

it('beats random search on a mixed, conditional function', () => {
  const seeds = Array.from({ length: 21 }, (_, i) => i);
  const median = (name: string) => {
    const best = seeds.map((seed) => {
      const history = play(
        { name },
        seed,
        Array.from({ length: 60 }, () => mixed),
      );
      return Math.min(...history.map((r) => r.objective as number));
    });
    return best.sort((a, b) => a - b)[10];
  };
  expect(median('tpe')).toBeLessThan(0.5 * median('random'));
});

describe('on a line with the minimum at 0.7', () => {
  const line = parseSearchSpace([{ name: 'x', double: { min: 0, max: 1 } }]);
  const x = (a: Assignment) => a['x'] as number;
  /** Few candidates, so that suggestions show where the densities are and not their largest ratio alone. */
  const soft = { settings: { candidates: 24, goodShare: 0.1, independentShare: 0, minFeasibility: 0 } };
  const suggestions = (history: readonly TrialRecord[]) =>
    Array.from({ length: 200 }, (_, i) => x(suggest(soft, line, history, { seed: 3, trialNumber: 100 + i })));
  const near = (values: readonly number[], at: number) =>
    values.filter((value) => Math.abs(value - at) < 0.05).length;
  const base = Array.from({ length: 20 }, (_, number): TrialRecord => {
    const parameters = { x: (number + 0.5) / 20 };
    return { number, parameters, state: 'succeeded', objective: (parameters.x - 0.7) ** 2 };
  });
  const best = base.reduce((a, b) => ((a.objective as number) < (b.objective as number) ? a : b));
  const around = (record: Omit<TrialRecord, 'number' | 'parameters'>) => [
    ...base,
    ...Array.from({ length: 8 }, (_, i) => ({
      number: base.length + i,
      parameters: { x: Math.min(1, Math.max(0, x(best.parameters) + 0.01 * (i - 3.5))) },
      ...record,
    })),
  ];

  it('infeasible trials push away', () => {
    const before = near(suggestions(base), x(best.parameters));
    const after = near(
      suggestions(around({ state: 'infeasible', reason: 'OutOfMemory' })),
      x(best.parameters),
    );
    expect(before).toBeGreaterThan(50);
    expect(after).toBeLessThan(before / 2);
  });

  it('running trials push away, so that parallel ones keep apart', () => {
    const before = near(suggestions(base), x(best.parameters));
    expect(near(suggestions(around({ state: 'running' })), x(best.parameters))).toBeLessThan(before / 2);
  });

  it('trials that a machine lost teach nothing', () => {
    expect(suggestions(around({ state: 'failed', reason: 'LostLease: gone' }))).toEqual(suggestions(base));
  });

  it('objectives that are not finite count as infeasible', () => {
    const infeasible = suggestions(around({ state: 'infeasible', reason: 'Diverged' }));
    for (const objective of [Number.NaN, Infinity, -Infinity])
      expect(suggestions(around({ state: 'succeeded', objective }))).toEqual(infeasible);
  });
});
