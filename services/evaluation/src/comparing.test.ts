import { describe, expect, it } from 'vitest';
import { compare } from './comparing.js';
import { blank, rated } from './test-predictions.js';

describe('compare', () => {
  it('pairs examples by id within a task and is the same the other way round', () => {
    const first = Array.from({ length: 40 }, (_, i) => ({ ...rated, id: `${i}`, value: 0.5 + (i % 5) / 50 }));
    const second = first.map((p) => ({ ...p, value: 0.9 })).reverse();
    const [there] = compare(first, [...second, { ...blank, id: '0' }], 1);
    const [back] = compare(second, first, 1);
    expect(there).toMatchObject({ task: 'TASK_SENTIMENT_REGRESSION', metric: 'rmse', n: 40 });
    expect(there.first).toBeLessThan(there.second);
    expect([there.first, there.second]).toEqual([back.second, back.first].map((v) => expect.closeTo(v, 12)));
    expect(there.pValue).toBeLessThan(0.01);
    expect(there.firstBetter).toBe(true);
    expect(back.firstBetter).toBe(false);
    expect(compare(first, [blank], 1)).toEqual([]);
  });

  it('corrects p-values for the number of tasks', () => {
    const first = Array.from({ length: 12 }, (_, i) => ({ ...rated, id: `${i}`, value: i < 9 ? 0.5 : 0.9 }));
    const second = first.map((p) => ({ ...p, value: 0.8 }));
    const other = [{ ...blank, id: 'x' }];
    const [numbers, labels] = compare([...first, ...other], [...second, ...other], 1);
    expect(numbers.pAdjusted).toBeCloseTo(2 * numbers.pValue, 12);
    expect(labels).toMatchObject({ pValue: 1, pAdjusted: 1, firstBetter: false });
  });
});
