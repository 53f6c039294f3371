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

describe('what it refines', () => {
  const settings = { startUpTrials: 4, refinedShare: 1 };
  const history = play(
    { name: 'tpe', settings: { ...settings, refinedShare: 0 } },
    1,
    Array.from({ length: 20 }, () => mixed),
  );
  const leaders = [...history].sort((a, b) => a.objective! - b.objective!).slice(0, 4);
  const next = (trialNumber: number, known = history) =>
    suggest({ name: 'tpe', settings }, space, known, { seed: 1, trialNumber });
  const differing = (a: Assignment, b: Assignment) =>
    Object.keys(a).filter((name) => Object.hasOwn(b, name) && a[name] !== b[name]);

  it('differs from one of the four best in one or two values', () => {
    for (let number = 20; number < 50; number++) {
      const values = next(number);
      const fewest = Math.min(...leaders.map(({ parameters }) => differing(values, parameters).length));
      expect([1, 2]).toContain(fewest);
    }
  });

  it('is nothing where trials fail, along whose wall several values have to move at once', () => {
    const failed: TrialRecord = { ...history[0], number: 24, state: 'infeasible', blames: 'parameters' };
    const known = [...history, failed];
    for (let number = 25; number < 40; number++)
      expect(next(number, known)).toEqual(
        suggest({ name: 'tpe', settings: { ...settings, refinedShare: 0 } }, space, known, {
          seed: 1,
          trialNumber: number,
        }),
      );
  });

  it('is nothing while others run, or before twice the start-up trials are measured', () => {
    const alone = (known: readonly TrialRecord[], trialNumber: number) =>
      suggest({ name: 'tpe', settings: { ...settings, refinedShare: 0 } }, space, known, {
        seed: 1,
        trialNumber,
      });
    const busy: TrialRecord[] = [...history, { number: 20, state: 'running', parameters: next(20) }];
    expect(next(22, busy)).toEqual(alone(busy, 22));
    expect(next(7, history.slice(0, 7))).toEqual(alone(history.slice(0, 7), 7));
  });
});

it('ends at the best step of integers under conditions', () => {
  const only = (parameter: string, ...values: string[]) => ({ parameter, values });
  const conditional = parseSearchSpace([
    { name: 'architecture', categorical: { values: ['opt', 'bloom', 'llama'] } },
    { name: 'method', categorical: { values: ['full', 'lora', 'prefix'] } },
    { name: 'rate', double: { min: 1e-6, max: 1e-2, log: true } },
    { name: 'decay', double: { min: 1e-6, max: 0.1, log: true } },
    { name: 'rank', integer: { min: 1, max: 64, log: true }, condition: only('method', 'lora') },
    { name: 'alpha', integer: { min: 1, max: 32 }, condition: only('method', 'lora') },
    { name: 'length', integer: { min: 1, max: 64 }, condition: only('method', 'prefix') },
    { name: 'layers', integer: { min: 1, max: 12 }, condition: only('architecture', 'opt', 'llama') },
    { name: 'dropout', double: { min: 0, max: 0.5 }, condition: only('architecture', 'llama') },
  ]);
  const loss = (values: Assignment) => {
    const v = values as Readonly<Record<string, number>>;
    const method = ['full', 'lora', 'prefix'].indexOf(values['method'] as string);
    return (
      { opt: 0.06, bloom: 0.09, llama: 0 }[values['architecture'] as string]! +
      [0.15, 0, 0.12][method] +
      0.05 * (Math.log10(v['rate']) - [-4.7, -3.4, -2.9][method]) ** 2 +
      0.006 * (Math.log10(v['decay']) + 2) ** 2 +
      (method === 1 ? 0.01 * (Math.log2(v['rank']) - 4) ** 2 + 5e-4 * (v['alpha'] - 21) ** 2 : 0) +
      (method === 2 ? 5e-4 * (v['length'] - 20) ** 2 : 0) +
      (v['layers'] === undefined ? 0 : 0.005 * (v['layers'] - 8) ** 2) +
      (v['dropout'] === undefined ? 0 : 0.6 * (v['dropout'] - 0.1) ** 2)
    );
  };
  const ends = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((seed) => {
    const history = play(
      { name: 'tpe' },
      seed,
      Array.from({ length: 200 }, () => loss),
      conditional,
    );
    return Math.min(...history.map(({ objective }) => objective!));
  });
  // 0.0073 (10 seeds) without refined trials, 0.00096 with them; Optuna 5.0.0's default 0.0037, multivariate and grouped 0.0031 (5 seeds).
  expect(ends.sort((a, b) => a - b)[4]).toBeLessThan(0.003);
});

it('narrows numbers down beside categories, which a floor under the bandwidth keeps wide', () => {
  const mixed = parseSearchSpace([
    { name: 'c', categorical: { values: ['a', 'b', 'c'] } },
    { name: 'x', double: { min: 0, max: 1 } },
    { name: 'y', double: { min: 0, max: 1 } },
  ]);
  const loss = (v: Assignment) =>
    (v['c'] === 'b' ? 0 : 0.2) + ((v['x'] as number) - 0.3) ** 2 + ((v['y'] as number) - 0.6) ** 2;
  const regret = (settings: object) => {
    const ends = [1, 2, 3, 4, 5].map((seed) => {
      const trials = play({ name: 'tpe', settings }, seed, Array(100).fill(loss), mixed);
      return Math.min(...trials.map(({ objective }) => objective as number));
    });
    return Math.exp(ends.reduce((sum, end) => sum + Math.log(end) / ends.length, 0));
  };
  expect(regret({})).toBeLessThan(0.5 * regret({ bandwidthFloor: 0.1 }));
});

describe('on a line with the minimum at 0.7', () => {
  const line = parseSearchSpace([{ name: 'x', double: { min: 0, max: 1 } }]);
  const x = (a: Assignment) => a['x'] as number;
  /** Few candidates, so that suggestions show where the densities are and not their largest ratio alone. */
  const soft = {
    name: 'tpe',
    settings: { candidates: 24, goodShare: 0.1, independentShare: 0, minFeasibility: 0 },
  };
  const suggestions = (history: readonly TrialRecord[]) =>
    Array.from({ length: 200 }, (_, i) =>
      x(suggest(soft, line, history, { seed: 3, trialNumber: 100 + 2 * i })),
    );
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
      suggestions(around({ state: 'infeasible', blames: 'parameters' })),
      x(best.parameters),
    );
    expect(before).toBeGreaterThan(50);
    expect(after).toBeLessThan(before / 2);
  });

  it('running trials push away, so that parallel ones keep apart', () => {
    const before = near(suggestions(base), x(best.parameters));
    expect(near(suggestions(around({ state: 'running' })), x(best.parameters))).toBeLessThan(before / 2);
  });

  it('running trials that are asked of the process, the odd ones, leave the densities as they are', () => {
    const odd = around({ state: 'running' }).filter(
      ({ state, number }) => state !== 'running' || number % 2 === 1,
    );
    expect(suggestions(odd)).toEqual(suggestions(base));
  });

  it('trials that a machine lost teach nothing', () => {
    expect(suggestions(around({ state: 'failed', blames: 'machine' }))).toEqual(suggestions(base));
  });

  it('objectives that are not finite count as infeasible', () => {
    const infeasible = suggestions(around({ state: 'infeasible', blames: 'parameters' }));
    for (const objective of [Number.NaN, Infinity, -Infinity])
      expect(suggestions(around({ state: 'succeeded', objective }))).toEqual(infeasible);
  });
});

describe('in batches of ten', () => {
  const names = ['v', 'w', 'x', 'y', 'z'];
  const bowl = parseSearchSpace([
    { name: 'method', categorical: { values: ['a', 'b', 'c'] } },
    ...names.map((name) => ({ name, double: { min: 0, max: 1 } })),
  ]);
  const depth = (v: Assignment) =>
    (v['method'] === 'b' ? 0 : 0.2) + names.reduce((sum, name) => sum + ((v[name] as number) - 0.3) ** 2, 0);
  const apart = (a: Assignment, b: Assignment) =>
    Math.hypot(...names.map((name) => (a[name] as number) - (b[name] as number)));

  /** Six batches, each asked before any of it is told. */
  const batches = [1, 2, 3].map((seed) => {
    const history: TrialRecord[] = [];
    for (let number = 0; number < 60; number++) {
      if (number % 10 === 0)
        history.forEach((record, i) => {
          history[i] = { ...record, state: 'succeeded', objective: depth(record.parameters) };
        });
      const parameters = suggest({ name: 'tpe' }, bowl, history, { seed, trialNumber: number });
      history.push({ number, parameters, state: 'running' });
    }
    return history.map(({ parameters }) => parameters);
  });

  it('those that run do not drive the next out of the good region, and it is none of them', () => {
    let outside = 0;
    // Of the fifth batch what is asked of the process.
    for (const all of batches)
      for (const number of [41, 43, 45, 47, 49]) {
        // 0.051 to 0.32 where all running trials count as bad.
        if (depth(all[number]) > 0.02) outside++;
        for (const other of all.slice(40, number)) expect(apart(all[number], other)).toBeGreaterThan(1e-5);
      }
    // The best are within 1e-4 of the bottom by then, and one of fifteen may look whether more is to gain elsewhere.
    expect(outside).toBeLessThanOrEqual(1);
  });

  it('come near the bottom of a bowl', () => {
    // 0.014 to 0.051 where all running trials count as bad.
    for (const all of batches) expect(Math.min(...all.map(depth))).toBeLessThan(0.003);
  });

  it('of two hundred at a time ask ten of the process', () => {
    const random = (trialNumber: number) => suggest({ name: 'random' }, bowl, [], { seed: 1, trialNumber });
    const history = Array.from({ length: 300 }, (_, number): TrialRecord => {
      const parameters = random(number);
      if (number >= 100) return { number, parameters, state: 'running' };
      return { number, parameters, state: 'succeeded', objective: depth(parameters) };
    });
    const numbers = Array.from({ length: 40 }, (_, i) => 300 + i);
    const good = numbers.filter(
      (trialNumber) => depth(suggest({ name: 'tpe' }, bowl, history, { seed: 1, trialNumber })) < 0.02,
    );
    expect(good).toEqual([301, 321]);
  });

  it('do not repeat each other on a grid', () => {
    const grid = parseSearchSpace(['x', 'y'].map((name) => ({ name, integer: { min: 0, max: 9 } })));
    const at = (x: number, y: number, number: number, state: 'running' | 'succeeded'): TrialRecord => {
      const parameters = { x, y };
      if (state === 'running') return { number, parameters, state };
      return { number, parameters, state, objective: (x - 4) ** 2 + (y - 4) ** 2 };
    };
    const around = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => [4 + dx, 4 + dy] as const));
    const history = [
      ...Array.from({ length: 20 }, (_, i) =>
        at((i * 7) % 10, (i * 3 + (i > 9 ? 5 : 0)) % 10, i, 'succeeded'),
      ),
      ...around.map(([x, y], i) => at(x, y, 20 + i, 'running')),
    ];
    for (let i = 0; i < 10; i++) {
      const next = suggest({ name: 'tpe' }, grid, history, { seed: 1, trialNumber: 29 + 2 * i });
      expect(history.slice(20).map(({ parameters }) => parameters)).not.toContainEqual(next);
    }
  });

  it('stay all over the front of two objectives', () => {
    const line = parseSearchSpace([{ name: 'x', double: { min: 0, max: 1 } }]);
    const x = (v: Assignment) => v['x'] as number;
    const history = Array.from({ length: 39 }, (_, number): TrialRecord => {
      const parameters = { x: ((number * 17) % 39) / 38 };
      if (number >= 30) return { number, parameters, state: 'running' };
      return {
        number,
        parameters,
        state: 'succeeded',
        objectives: [x(parameters) ** 2, (x(parameters) - 1) ** 2],
      };
    });
    const found = Array.from({ length: 20 }, (_, i) =>
      x(
        suggest({ name: 'tpe', settings: { candidates: 1 } }, line, history, {
          seed: 1,
          trialNumber: 39 + 2 * i,
        }),
      ),
    );
    expect(found.filter((value) => value > 0.5).length).toBeGreaterThan(4);
    expect(found.filter((value) => value < 0.5).length).toBeGreaterThan(4);
  });
});
