/** The grid of numbers that answers on a declared scale are written on. */
import { show, type Violation, Violations } from '@emotune/base';
import type { Scale } from './tasks.js';

const mostIntervals = 100;
const mostDecimals = 5;
const largest = 1e6;
/** Guards quotients of decimal fractions against the last bit. */
const slack = 1e-9;

/** What is wrong with a scale, nothing when it can be asked on. */
export function scaleViolations({ low, high }: Scale, field: string): readonly Violation[] {
  const violations = Object.entries({ low, high })
    .filter(([, value]) => !(Math.abs(value) <= largest))
    .map(([name, value]) => ({
      field: `${field}.${name}`,
      description: `expected a number on -${largest}..${largest}, got ${value}`,
    }));
  if (violations.length > 0) return violations;
  const least = mostIntervals / 10 ** mostDecimals;
  if (Math.abs(high - low) >= least * (1 - slack)) return [];
  return [
    { field, description: `expected low and high at least ${least} apart, got ${show({ low, high })}` },
  ];
}

/** Decimals of the finest grid of at most 101 numbers: 0..1 → 2, −4..4 → 1, 0..100 → 0. */
export function decimalsOf(scale: Scale): number {
  new Violations(scaleViolations(scale, 'scale')).throwIfAny();
  const range = Math.abs(scale.high - scale.low);
  let decimals = 0;
  while (decimals < mostDecimals && range * 10 ** (decimals + 1) <= mostIntervals * (1 + slack)) decimals++;
  return decimals;
}

/**
 * The numbers of the grid in units of 10^−decimals, from least to most: all whole units, or every 2nd, 5th, 10th, … of wide
 * scales. An inverted scale has the grid of the other direction, falling.
 */
export function gridOf({ low, high }: Scale, decimals: number): number[] {
  if (low > high) return gridOf({ low: high, high: low }, decimals).reverse();
  const unit = 10 ** decimals;
  const first = Math.ceil(low * unit - slack);
  const last = Math.floor(high * unit + slack);
  const factors = [1, 2, 5];
  let step = 1;
  for (let i = 1; (last - first) / step > mostIntervals; i++) step = factors[i % 3] * 10 ** Math.floor(i / 3);
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => first + i * step);
}

/** Whole steps between the answers that people choose from, where these are as many as there are keys of digits; else quarters. */
const wholeSteps = { least: 2, most: 9 };

/** Between two answers of a scale that people are asked on. */
export function ratingStep({ low, high }: Scale): number {
  const range = Math.abs(high - low);
  const whole = Number.isInteger(range) && range >= wholeSteps.least && range <= wholeSteps.most;
  return whole ? 1 : range / 4;
}

/** Significant digits that survive adding up steps of decimal fractions. */
const ratingDigits = 12;

/** The answers that people choose from, in the order of the scale. @param step divides it */
export function ratingValues(scale: Scale, step: number): number[] {
  const parts = Math.round(Math.abs(scale.high - scale.low) / step);
  return Array.from({ length: parts + 1 }, (_, i) =>
    Number(nativeOf(scale, i / parts).toPrecision(ratingDigits)),
  );
}

/** A number of the scale on 0..1. */
export function unitOf({ low, high }: Scale, native: number): number {
  return (native - low) / (high - low);
}

/** A number on 0..1 on the scale. */
export function nativeOf({ low, high }: Scale, unit: number): number {
  return low + unit * (high - low);
}
