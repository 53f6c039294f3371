/**
 * Random problems of search, as data that other programs read too: JSON with the parameters, and a function that is a sum of
 * terms. All of a problem follows from its seed (`random-problems.ts`).
 *
 * A value's place u: of numbers its share of the range, 0 to 1, on the logarithm where `log`; of categories nothing. A term counts
 * where all parameters it names are active and `when`, if any, holds. With s = Σ factor·(u − centre) over `of`:
 *
 * - `offset`: `offsets[i]`, i the index of the category;
 * - `power`: weight·|s|^exponent, a bowl or, over several parameters, a valley;
 * - `curve`: weight·(u₂ − centre₂ − bend·(u₁ − centre₁)²)², a bent valley;
 * - `waves`: weight·(1 − cos(2π·frequency·s)), many minima;
 * - `basin`: weight·(1 − exp(−Σ (factor·(u − centre))²)), flat but for the surroundings of the centre;
 * - `terraces`: weight·⌊levels·|s|⌋/levels;
 * - `slope`: −weight·s, which falls towards a limit and beyond it;
 * - `funnel`: weight·(1 − exp(−√Σ (factor·(u − centre))²)), a cusp in a plain (Ackley's);
 * - `product`: weight·s₁²·(1 + gain·(1 − cos(2π·frequency·s₂))/2), of its first and second share: what one does scales another
 *   (Levy's);
 * - `wells`: weight·(1 − the largest of exp(−Σ (factor·(u − centre))²) and the same of `others`, each times its depth below 1: several
 *   minima (Hartmann's);
 * - `table`: `offsets[i][j]`, i and j the indices of two categories.
 *
 * A trial fails where Σ factor·(u − centre) of a limit is above 1e-9. Terms are 0 at the optimum and nowhere below where nothing
 * fails, so the minimum is 0; random values have a median of 1. A noisy measurement adds the deviation times
 * `draws[(131·seed + number) mod length]`, of the search's seed and the trial's number.
 */
import { type Assignment, type Parameter, parseSearchSpace } from '@emotune/search';
import type { Problem } from './test-functions.js';

export interface Share {
  readonly parameter: string;
  readonly factor: number;
  readonly centre: number;
}

interface When {
  readonly parameter: string;
  readonly value: string | number;
}

export type Shape =
  | { readonly kind: 'power'; readonly weight: number; readonly exponent: number }
  | { readonly kind: 'curve'; readonly weight: number; readonly bend: number }
  | { readonly kind: 'waves'; readonly weight: number; readonly frequency: number }
  | { readonly kind: 'basin' | 'slope' | 'funnel'; readonly weight: number }
  | { readonly kind: 'product'; readonly weight: number; readonly gain: number; readonly frequency: number }
  | {
      readonly kind: 'wells';
      readonly weight: number;
      readonly others: readonly { readonly depth: number; readonly of: readonly Share[] }[];
    }
  | { readonly kind: 'terraces'; readonly weight: number; readonly levels: number };

/** A term of numbers. */
export type ShapedTerm = Shape & { readonly of: readonly Share[]; readonly when?: When };

export type Term =
  | { readonly kind: 'offset'; readonly parameter: string; readonly offsets: readonly number[] }
  | {
      readonly kind: 'table';
      readonly parameters: readonly [string, string];
      readonly offsets: readonly (readonly number[])[];
    }
  | ShapedTerm;

export interface GeneratedProblem {
  readonly seed: number;
  /** As in an experiment. */
  readonly parameters: readonly object[];
  readonly terms: readonly Term[];
  readonly limits: readonly (readonly Share[])[];
  readonly noise: { readonly deviation: number; readonly draws: readonly number[] } | null;
  /** Where the minimum of 0 is. */
  readonly optimum: Assignment;
}

export const isNumeric = ({ kind }: Parameter) => kind !== 'categorical';

/** A number's place in its range, 0 to 1. */
export function placeOf(parameter: Parameter, value: unknown): number {
  if (parameter.kind === 'categorical') throw new Error(`a category has no place: ${parameter.name}`);
  const scale = (x: number) => (parameter.log ? Math.log(x) : x);
  const low = scale(parameter.min);
  return (scale(value as number) - low) / (scale(parameter.max) - low);
}

type Places = ReadonlyMap<string, number>;

function sumOf(of: readonly Share[], u: Places): number {
  let sum = 0;
  for (const { parameter, factor, centre } of of) sum += factor * ((u.get(parameter) as number) - centre);
  return sum;
}

/** Σ (factor·(u − centre))² */
function squaresOf(of: readonly Share[], u: Places): number {
  let squares = 0;
  for (const share of of) squares += sumOf([share], u) ** 2;
  return squares;
}

function shapeValue(term: ShapedTerm, u: Places): number {
  const { of, weight } = term;
  switch (term.kind) {
    case 'power':
      return weight * Math.abs(sumOf(of, u)) ** term.exponent;
    case 'curve': {
      const [along, across] = of.map(({ parameter, centre }) => (u.get(parameter) as number) - centre);
      return weight * (across - term.bend * along * along) ** 2;
    }
    case 'waves':
      return weight * (1 - Math.cos(2 * Math.PI * term.frequency * sumOf(of, u)));
    case 'basin':
      return weight * (1 - Math.exp(-squaresOf(of, u)));
    case 'funnel':
      return weight * (1 - Math.exp(-Math.sqrt(squaresOf(of, u))));
    case 'product': {
      const [scaled, scaling] = of.map((share) => sumOf([share], u));
      const ripple = (1 - Math.cos(2 * Math.PI * term.frequency * scaling)) / 2;
      return weight * scaled * scaled * (1 + term.gain * ripple);
    }
    case 'wells': {
      const depths = term.others.map((well) => well.depth * Math.exp(-squaresOf(well.of, u)));
      return weight * (1 - Math.max(Math.exp(-squaresOf(of, u)), ...depths));
    }
    case 'terraces':
      return (weight * Math.floor(term.levels * Math.abs(sumOf(of, u)))) / term.levels;
    case 'slope':
      return -weight * sumOf(of, u);
  }
}

/** A generated problem as a function to minimise. */
export function problemOf(generated: GeneratedProblem): Problem {
  const { terms, limits, noise } = generated;
  const space = parseSearchSpace(generated.parameters);
  const numeric = space.parameters.filter(isNumeric);
  const placesOf = (values: Assignment): Places =>
    new Map(
      numeric
        .filter(({ name }) => Object.hasOwn(values, name))
        .map((parameter) => [parameter.name, placeOf(parameter, values[parameter.name])]),
    );
  /** Index of the category; −1 where it is inactive. */
  const indexOf = (values: Assignment, name: string): number => {
    const parameter = space.byName.get(name);
    return parameter?.kind === 'categorical' ? parameter.values.indexOf(values[name]) : -1;
  };
  const total = (values: Assignment): number => {
    const u = placesOf(values);
    let sum = 0;
    for (const term of terms) {
      if (term.kind === 'offset') {
        sum += term.offsets[indexOf(values, term.parameter)] ?? 0;
        continue;
      }
      if (term.kind === 'table') {
        const [row, column] = term.parameters.map((name) => indexOf(values, name));
        sum += term.offsets[row]?.[column] ?? 0;
        continue;
      }
      if (term.when && values[term.when.parameter] !== term.when.value) continue;
      if (term.of.every(({ parameter }) => u.has(parameter))) sum += shapeValue(term, u);
    }
    return sum;
  };
  return {
    space,
    minimum: 0,
    valueOf: total,
    measuredAt: (values, seed, number) =>
      total(values) + (noise ? noise.deviation * noise.draws[(131 * seed + number) % noise.draws.length] : 0),
    ...(limits.length === 0
      ? {}
      : {
          fails: (values: Assignment) => {
            const u = placesOf(values);
            return limits.some(
              (limit) => limit.every(({ parameter }) => u.has(parameter)) && sumOf(limit, u) > 1e-9,
            );
          },
        }),
  };
}
