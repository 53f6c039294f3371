import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { type Curve, chooseCurve, identity, isotonicCurve, linearCurve, valueAt } from './curve.js';

const x = [0.05, 0.1, 0.2, 0.2, 0.35, 0.4, 0.55, 0.6, 0.75, 0.9];
const y = [0.1, 0.05, 0.3, 0.2, 0.25, 0.6, 0.5, 0.45, 0.9, 0.8];
const points = x.map((at, i) => ({ x: at, y: y[i] }));

describe('isotonic', () => {
  it('has the blocks of scikit-learn 1.9.1, IsotonicRegression().fit(x, y)', () => {
    const curve = isotonicCurve(points);
    // Its predictions at x, each block once.
    expect(curve.y).toEqual([0.075, 0.25, expect.closeTo(0.5166666666666667, 12), 0.85].map(near));
    // The means of x in the blocks that it pools.
    expect(curve.x).toEqual([0.075, 0.25, (0.4 + 0.55 + 0.6) / 3, 0.825].map(near));
  });

  it('never falls, whatever comes', () => {
    const rng = Rng.of('isotonic');
    for (let i = 0; i < 100; i++) {
      const noise = Array.from({ length: 1 + rng.int(30) }, () => ({
        x: rng.int(12) / 11,
        y: rng.uniform(),
      }));
      const curve = isotonicCurve(noise);
      for (let k = 1; k < curve.x.length; k++) {
        expect(curve.x[k]).toBeGreaterThan(curve.x[k - 1]);
        expect(curve.y[k]).toBeGreaterThan(curve.y[k - 1]);
      }
      // Pooling keeps the mean.
      const mean = noise.reduce((sum, p) => sum + p.y, 0) / noise.length;
      expect(Math.min(...curve.y)).toBeLessThanOrEqual(mean + 1e-12);
      expect(Math.max(...curve.y)).toBeGreaterThanOrEqual(mean - 1e-12);
    }
  });
});

describe('linear', () => {
  it('is the least-squares line, level beyond 0 and 1', () => {
    const curve = linearCurve(points);
    // numpy 2.4.6: polyfit(x, y, 1).
    expect(valueAt(curve, 0.5)).toBeCloseTo(0.9272976680384089 * 0.5 + 0.03480795610425247, 12);
    const steep = linearCurve([
      { x: 0.4, y: 0 },
      { x: 0.6, y: 1 },
    ]);
    expect([0, 0.4, 0.5, 0.6, 1].map((at) => valueAt(steep, at))).toEqual([0, 0, 0.5, 1, 1].map(near));
  });

  it('is the mean where answers say nothing, or the opposite', () => {
    const wrong = [
      { x: 0.2, y: 0.8 },
      { x: 0.8, y: 0.2 },
    ];
    expect(valueAt(linearCurve(wrong), 0.1)).toBeCloseTo(0.5, 12);
    expect(valueAt(linearCurve([{ x: 0.5, y: 0.3 }]), 0.9)).toBeCloseTo(0.3, 12);
  });
});

describe('chosen on held-out folds', () => {
  const drawn = (gold: (at: number) => number, noise = 0.05) => {
    const rng = Rng.of('chosen');
    return Array.from({ length: 300 }, (_, i) => {
      const at = rng.uniform();
      return { x: at, y: Math.min(1, Math.max(0, gold(at) + noise * rng.normal())), fold: i % 5 };
    });
  };
  const shapes: [Curve['method'], (at: number) => number][] = [
    ['linear', (at) => 0.2 + 0.5 * at],
    ['isotonic', (at) => (at < 0.5 ? 0.2 : 0.8)],
  ];

  it.each(shapes)('it is the %s one where golds are so', (method, gold) => {
    expect(chooseCurve(drawn(gold)).curve.method).toBe(method);
  });

  it('answers that need none are left as they are', () => {
    const exact = drawn((at) => at, 0);
    expect(chooseCurve(exact)).toEqual({ curve: identity, held: exact.map((o) => near(o.x)) });
  });

  it('says of each row what the other folds say', () => {
    // Fold 0 alone is high: without it every fit is 0.
    const rows = Array.from({ length: 50 }, (_, i) => ({ x: 0.9, y: i % 5 === 0 ? 1 : 0, fold: i % 5 }));
    const { held } = chooseCurve(rows);
    expect(held[0]).toBeCloseTo(0, 12);
    expect(held[1]).toBeCloseTo(0.25, 12);
  });
});

function near(value: number) {
  return typeof value === 'number' ? expect.closeTo(value, 12) : value;
}
