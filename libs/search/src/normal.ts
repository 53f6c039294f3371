/**
 * The normal distribution in logarithms, exact far into the tails.
 *
 * erfc(z) = t · exp(−z² + P(t)) with t = 2/(2 + z) for z ≥ 0, where P is smooth on [0, 1]. P is interpolated at
 * Chebyshev nodes when the module loads, from the power series of erf below z = 1 and the continued fraction of
 * erfc above it, so the file holds no table. Relative error of erfc: a few units in the last place near 0,
 * below 1e-13 up to z = 5; beyond that it grows as z² times the unit of rounding.
 */

const degree = 30;
const sqrtPi = Math.sqrt(Math.PI);
const logSqrt2Pi = 0.5 * Math.log(2 * Math.PI);

/** log(exp(z²)·erfc(z)) for z ≥ 0, slowly. */
function logScaledErfcSlow(z: number): number {
  if (z < 1) {
    // erf(z) = 2/√π · exp(−z²) · Σ 2ⁿ z²ⁿ⁺¹ / (2n+1)!!, all terms positive.
    let term = z;
    let sum = z;
    for (let n = 1; term > sum * 1e-18; n++) {
      term *= (2 * z * z) / (2 * n + 1);
      sum += term;
    }
    return z * z + Math.log1p((-2 / sqrtPi) * Math.exp(-z * z) * sum);
  }
  // √π·exp(z²)·erfc(z) = 1/(z + (1/2)/(z + (2/2)/(z + (3/2)/(z + …)))), evaluated from the inside.
  let tail = z;
  for (let k = 600; k >= 1; k--) tail = z + k / 2 / tail;
  return -Math.log(tail * sqrtPi);
}

const coefficients = (() => {
  const samples = Float64Array.from({ length: degree }, (_, j) => {
    const t = (Math.cos((Math.PI * (j + 0.5)) / degree) + 1) / 2;
    return logScaledErfcSlow(2 / t - 2) - Math.log(t);
  });
  return Float64Array.from({ length: degree }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < degree; j++) sum += samples[j] * Math.cos((Math.PI * i * (j + 0.5)) / degree);
    return (sum * (i === 0 ? 1 : 2)) / degree;
  });
})();

/** P(t) by Clenshaw's recurrence. */
function polynomial(t: number): number {
  const x = 4 * t - 2;
  let b1 = 0;
  let b2 = 0;
  for (let i = degree - 1; i > 0; i--) {
    const b = x * b1 - b2 + coefficients[i];
    b2 = b1;
    b1 = b;
  }
  return 0.5 * x * b1 - b2 + coefficients[0];
}

/** log Φ(x), the logarithm of the standard normal's distribution function. */
export function logCdf(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  if (z === Infinity) return x > 0 ? 0 : -Infinity;
  const t = 2 / (2 + z);
  const logTail = Math.log(0.5 * t) - z * z + polynomial(t);
  return x <= 0 ? logTail : Math.log1p(-Math.exp(logTail));
}

/** Φ(x). */
export function cdf(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 2 / (2 + z);
  const tail = 0.5 * t * Math.exp(-z * z + polynomial(t));
  return x <= 0 ? tail : 1 - tail;
}

/** log φ(x), the logarithm of the standard normal's density. */
export function logPdf(x: number): number {
  return -0.5 * x * x - logSqrt2Pi;
}

/** log(Φ(b) − Φ(a)) for a ≤ b; −∞ when they are equal. */
export function logMass(a: number, b: number): number {
  // On one side of 0 the difference of upper or lower tails keeps its digits; across 0 the two tails are subtracted from 1.
  if (a > 0) return logMass(-b, -a);
  if (b > 0) return Math.log1p(-cdf(a) - cdf(-b));
  const high = logCdf(b);
  if (high === -Infinity) return -Infinity;
  return high + Math.log(-Math.expm1(logCdf(a) - high));
}

/** x with log Φ(x) = `logP`, for logP ≤ 0. */
export function quantileOfLog(logP: number): number {
  if (logP > -Math.LN2) return -quantileOfLog(Math.log(-Math.expm1(logP)));
  if (logP === -Infinity) return -Infinity;
  // log Φ is concave and increasing, so Newton's steps from 0 end on the left of the root and rise to it.
  let x = 0;
  for (let i = 0; i < 60; i++) {
    const value = logCdf(x);
    const step = (logP - value) * Math.exp(value - logPdf(x));
    x += step;
    if (Math.abs(step) <= 1e-14 * Math.max(1, Math.abs(x))) break;
  }
  return x;
}

/** The point of the standard normal truncated to [a, b] below which the share `u` of its mass lies, 0 ≤ u < 1. */
export function truncatedQuantile(u: number, a: number, b: number): number {
  if (a > 0) return -truncatedQuantile(1 - u, -b, -a);
  const logU = Math.log(u) + logMass(a, b);
  const low = logCdf(a);
  // log(Φ(a) + u·mass)
  const high = Math.max(low, logU);
  const logP = high === -Infinity ? low : high + Math.log1p(Math.exp(Math.min(low, logU) - high));
  return Math.min(b, Math.max(a, quantileOfLog(Math.min(0, logP))));
}
