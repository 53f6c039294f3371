import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { ManualClock, systemClock } from './clock.js';
import { InvalidArgument } from './errors.js';
import { canonicalJson } from './hash.js';
import { philox4x32, Rng } from './rng.js';
import { clockContract } from './testing.js';
import { parse } from './validate.js';

clockContract('the system clock', () => ({ clock: systemClock, advance: (ms) => delay(ms) }));
clockContract('the manual clock', () => {
  const clock = new ManualClock(1000);
  return { clock, advance: (ms) => clock.advance(ms) };
});

it('the system clock goes on as before when that of the machine is set', () => {
  const machine = Date.now;
  onTestFinished(() => {
    Date.now = machine;
  });
  const before = systemClock.now();
  for (const hours of [2, -2]) {
    Date.now = () => machine() + hours * 3_600_000;
    expect(Math.abs(systemClock.now() - before)).toBeLessThan(3_600_000);
  }
});

describe('philox4x32', () => {
  // Known answers of Random123's kat_vectors for philox4x32, 10 rounds.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('gives the published words for counter %j', (counter, [key0, key1], want) => {
    const out = new Uint32Array(4);
    philox4x32(Uint32Array.from(counter), key0, key1, out);
    expect([...out]).toEqual(want);
  });
});

describe('Rng', () => {
  it('repeats a named stream and separates names', () => {
    const draw = (rng: Rng) => Array.from({ length: 8 }, () => rng.uint32());
    expect(draw(Rng.of(1, 'a'))).toEqual(draw(Rng.of(1, 'a')));
    expect(draw(Rng.of(1, 'a'))).not.toEqual(draw(Rng.of(1, 'b')));
    expect(draw(Rng.of(1).child('a'))).not.toEqual(draw(Rng.of(1)));
  });

  it('has the moments of the normal and uniform laws', () => {
    const rng = Rng.of(7, 'moments');
    const n = 40_000;
    let sum = 0;
    let squares = 0;
    let uniform = 0;
    for (let i = 0; i < n; i++) {
      const x = rng.normal();
      sum += x;
      squares += x * x;
      uniform += rng.uniform();
    }
    // Five standard errors: 5/√n for the mean, 5·√2/√n for the variance, 5·0.289/√n for the uniform mean.
    expect(Math.abs(sum / n)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(squares / n - 1)).toBeLessThan((5 * Math.SQRT2) / Math.sqrt(n));
    expect(Math.abs(uniform / n - 0.5)).toBeLessThan((5 * 0.289) / Math.sqrt(n));
  });
});

describe('parse', () => {
  const schema = z.strictObject({
    name: z.string(),
    limits: z.strictObject({ maxTrials: z.number().int().min(1) }),
  });

  it('knows the fields of every variant where there are several', () => {
    const variants = z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('a').default('a'), length: z.number().optional() }),
      z.strictObject({ kind: z.literal('b'), width: z.number().optional() }),
    ]);
    expect(() =>
      parse(z.strictObject({ inner: variants.prefault({}) }), { inner: { kind: 'b', widht: 1 } }),
    ).toThrow('inner.widht: unknown field, did you mean "width"?');
  });

  it('reports every violation with its path, and the nearest name of an unknown field', () => {
    const input = { name: 3, limits: { maxTrails: 5, maxTrials: 0 } };
    const error = (() => {
      try {
        parse(schema, input);
      } catch (e) {
        return e as InvalidArgument;
      }
      throw new Error('accepted');
    })();
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error.violations).toEqual(
      expect.arrayContaining([
        { field: 'name', description: 'expected string, got 3' },
        { field: 'limits.maxTrails', description: 'unknown field, did you mean "maxTrials"?' },
      ]),
    );
    expect(error.violations.map((v) => v.field)).toContain('limits.maxTrials');
  });
});

it('canonicalJson ignores the order of keys', () => {
  const named = '{"__proto__":{"b":1},"a":2}';
  expect(canonicalJson(JSON.parse(named))).toBe(named);
  expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: undefined })).toBe('{"b":[{"c":2,"d":1}]}');
  expect(canonicalJson({ b: new Date(0), a: [undefined, Number.NaN], 10: 2, 9: 1, constructor: null })).toBe(
    '{"9":1,"10":2,"a":[null,null],"b":"1970-01-01T00:00:00.000Z","constructor":null}',
  );
});
