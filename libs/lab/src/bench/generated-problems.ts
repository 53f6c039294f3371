/**
 * Random problems of search, as data that other programs read too: JSON with the parameters, and a function that is a sum of
 * terms. All of a problem follows from its seed.
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
 * - `slope`: −weight·s, which falls towards a limit and beyond it.
 *
 * A trial fails where Σ factor·(u − centre) of a limit is above 1e-9. Terms are 0 at the optimum and nowhere below where nothing
 * fails, so the minimum is 0; random values have a median of 1. A noisy measurement adds the deviation times
 * `draws[(131·seed + number) mod length]`, of the search's seed and the trial's number.
 */
import { Rng } from '@emotune/base';
import { type Assignment, onlyValue, type Parameter, parseSearchSpace, suggest } from '@emotune/search';
import type { Problem } from './test-functions.js';

interface Share {
  readonly parameter: string;
  readonly factor: number;
  readonly centre: number;
}

interface When {
  readonly parameter: string;
  readonly value: string | number;
}

type Shape =
  | { readonly kind: 'power'; readonly weight: number; readonly exponent: number }
  | { readonly kind: 'curve'; readonly weight: number; readonly bend: number }
  | { readonly kind: 'waves'; readonly weight: number; readonly frequency: number }
  | { readonly kind: 'basin' | 'slope'; readonly weight: number }
  | { readonly kind: 'terraces'; readonly weight: number; readonly levels: number };

type Term =
  | { readonly kind: 'offset'; readonly parameter: string; readonly offsets: readonly number[] }
  | (Shape & { readonly of: readonly Share[]; readonly when?: When });

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

const names = (count: number) => Array.from({ length: count }, (_, i) => `p${i + 1}`);

/** A parameter without condition. */
function domain(rng: Rng): object {
  const pick = rng.uniform();
  if (pick < 0.3) return { double: { min: 0, max: 1 } };
  if (pick < 0.5) return { double: { min: 10 ** -(3 + rng.int(4)), max: 10 ** -rng.int(3), log: true } };
  if (pick < 0.57) return { double: { min: 0, max: 0.5, step: 0.05 } };
  if (pick < 0.7) return { integer: { min: 1, max: 3 + rng.int(18) } };
  if (pick < 0.8) return { integer: { min: 1, max: 2 ** (4 + rng.int(6)), log: true } };
  return categories(2 + rng.int(4));
}

function categories(count: number): object {
  return { categorical: { values: Array.from({ length: count }, (_, i) => 'abcdef'[i]) } };
}

/** 2 to 12 parameters; of those with conditions the second decides about others, below the first. */
function randomParameters(rng: Rng): object[] {
  const count = 2 + rng.int(11);
  const conditional = count >= 4 && rng.uniform() < 0.45;
  const all = names(count);
  if (!conditional) return all.map((name) => ({ name, ...domain(rng) }));
  const roots = 2 + rng.int(3);
  const rootValues = [...'abcdef'].slice(0, roots);
  const deep = count >= 5 && rng.uniform() < 0.7;
  const deepValues: (string | number)[] = rng.uniform() < 0.5 ? ['a', 'b'] : [1, 2, 3];
  const some = <T>(values: readonly T[]) =>
    rng.shuffle(values).slice(0, 1 + rng.int(Math.max(1, values.length - 1)));
  return all.map((name, i) => {
    if (i === 0) return { name, ...categories(roots) };
    if (i === 1 && deep) {
      const body =
        typeof deepValues[0] === 'number' ? { integer: { min: 1, max: 3 } } : categories(deepValues.length);
      return { name, ...body, condition: { parameter: all[0], values: some(rootValues) } };
    }
    const own = { name, ...domain(rng) };
    const pick = rng.uniform();
    if (deep && (i === 2 || pick < 0.2))
      return { ...own, condition: { parameter: all[1], values: some(deepValues) } };
    return pick < 0.6 ? { ...own, condition: { parameter: all[0], values: some(rootValues) } } : own;
  });
}

const isNumeric = ({ kind }: Parameter) => kind !== 'categorical';

/** A number's place in its range, 0 to 1. */
function placeOf(parameter: Parameter, value: unknown): number {
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

function shapeValue(term: Exclude<Term, { kind: 'offset' }>, u: Places): number {
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
    case 'basin': {
      let squares = 0;
      for (const share of of) squares += sumOf([share], u) ** 2;
      return weight * (1 - Math.exp(-squares));
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
  const total = (values: Assignment): number => {
    const u = placesOf(values);
    let sum = 0;
    for (const term of terms) {
      if (term.kind === 'offset') {
        const parameter = space.byName.get(term.parameter);
        if (parameter?.kind === 'categorical' && Object.hasOwn(values, parameter.name))
          sum += term.offsets[parameter.values.indexOf(values[parameter.name])];
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

/** Random values of the whole space. */
function drawsOf(parameters: readonly object[], seed: number, count: number): Assignment[] {
  const space = parseSearchSpace(parameters);
  return Array.from({ length: count }, (_, trialNumber) =>
    suggest({ name: 'random' }, space, [], { seed: `generated ${seed}`, trialNumber }),
  );
}

/** Terms over the parameters of a problem, 0 at the optimum. */
function randomTerms(parameters: readonly object[], optimum: Assignment, rng: Rng): Term[] {
  const space = parseSearchSpace(parameters);
  const free = space.parameters.filter((parameter) => onlyValue(parameter) === undefined);
  const uniform = (low: number, high: number) => low + (high - low) * rng.uniform();
  const weight = () => 10 ** uniform(-1.5, 0);
  const rugged = rng.uniform() < 0.3;
  const flat = rng.uniform() < 0.3;
  const numbers = free.filter(isNumeric);
  const centreOf = (parameter: Parameter) =>
    Object.hasOwn(optimum, parameter.name) ? placeOf(parameter, optimum[parameter.name]) : uniform(0, 1);
  const centres = new Map(numbers.map((parameter) => [parameter.name, centreOf(parameter)]));
  const at = ({ name }: Parameter, factor = 1): Share => ({
    parameter: name,
    factor,
    centre: centres.get(name) as number,
  });
  const terms: Term[] = [];
  for (const parameter of free) {
    if (parameter.kind === 'categorical') {
      const best = parameter.values.indexOf(optimum[parameter.name] ?? parameter.values[0]);
      const offsets = parameter.values.map((_, i) => (i === best ? 0 : 0.3 * weight()));
      terms.push({ kind: 'offset', parameter: parameter.name, offsets });
      continue;
    }
    // Where one number is best may depend on a category.
    const by = free.find(
      (other) => other.kind === 'categorical' && !other.condition && other.name !== parameter.name,
    );
    const basic: Shape = { kind: 'power', weight: 4 * weight(), exponent: rng.uniform() < 0.75 ? 2 : 1 };
    if (by?.kind === 'categorical' && rng.uniform() < 0.3) {
      for (const value of by.values as string[]) {
        const centre =
          optimum[by.name] === value ? at(parameter).centre : at(parameter).centre + uniform(-0.3, 0.3);
        terms.push({
          ...basic,
          of: [{ ...at(parameter), centre }],
          when: { parameter: by.name, value },
        });
      }
    } else if (flat && rng.uniform() < 0.4) {
      const levels = 3 + rng.int(8);
      terms.push({ kind: 'terraces', weight: 2 * weight(), levels, of: [at(parameter)] });
      terms.push({ ...basic, weight: basic.weight / 5, of: [at(parameter)] });
    } else terms.push({ ...basic, of: [at(parameter)] });
    if (rugged && rng.uniform() < 0.6)
      terms.push({
        kind: 'waves',
        weight: 0.4 * weight(),
        frequency: 1.5 + rng.int(4),
        of: [at(parameter)],
      });
  }
  for (let valleys = numbers.length >= 2 ? rng.int(3) : 0; valleys > 0; valleys--) {
    const [first, second, third] = rng.shuffle(numbers);
    if (rng.uniform() < 0.5)
      terms.push({
        kind: 'curve',
        weight: 10 * weight(),
        bend: uniform(0.5, 2),
        of: [at(first), at(second)],
      });
    else {
      const of = [at(first), at(second, uniform(-1, 1)), ...(third ? [at(third, uniform(-1, 1))] : [])];
      terms.push({ kind: 'power', weight: 10 * weight(), exponent: 2, of });
    }
  }
  if (flat && numbers.length > 0) {
    const of = rng.shuffle(numbers).slice(0, 3);
    terms.push({ kind: 'basin', weight: 2 * weight(), of: of.map((p) => at(p, uniform(2, 6))) });
  }
  return terms;
}

/** A limit that the optimum touches, with a slope towards it; undefined where too few values fail or too many. */
function randomLimit(
  parameters: readonly object[],
  optimum: Assignment,
  draws: readonly Assignment[],
  rng: Rng,
): { readonly limit: readonly Share[]; readonly slope: Term } | undefined {
  const space = parseSearchSpace(parameters);
  const numbers = rng
    .shuffle(space.parameters.filter(isNumeric))
    .filter((parameter) => Object.hasOwn(optimum, parameter.name) && onlyValue(parameter) === undefined)
    .slice(0, 3);
  if (numbers.length === 0) return undefined;
  const limit = numbers.map((parameter) => ({
    parameter: parameter.name,
    factor: 0.3 + 0.7 * rng.uniform(),
    centre: placeOf(parameter, optimum[parameter.name]),
  }));
  const { fails } = problemOf({ seed: 0, parameters, terms: [], limits: [limit], noise: null, optimum });
  const failing = draws.filter((values) => fails?.(values)).length / draws.length;
  if (failing < 0.1 || failing > 0.55) return undefined;
  return { limit, slope: { kind: 'slope', weight: 0.3 + rng.uniform(), of: limit } };
}

function weighed(term: Term, factor: number): Term {
  return term.kind === 'offset'
    ? { ...term, offsets: term.offsets.map((offset) => factor * offset) }
    : { ...term, weight: factor * term.weight };
}

/** Random values that a problem's scale is taken from. */
const scaleDraws = 400;
/** Draws of noise: a prime. */
const noiseDraws = 257;

/** The problem of a seed. */
export function generatedProblem(seed: number): GeneratedProblem {
  const rng = Rng.of(seed, 'generated problem');
  const parameters = randomParameters(rng);
  const [optimum, ...draws] = drawsOf(parameters, seed, scaleDraws + 1);
  const terms = randomTerms(parameters, optimum, rng);
  const wall = rng.uniform() < 0.3 ? randomLimit(parameters, optimum, draws, rng) : undefined;
  const noisy = rng.uniform() < 0.25;
  const all = wall ? [...terms, wall.slope] : terms;
  const limits = wall ? [wall.limit] : [];
  const raw = problemOf({ seed, parameters, terms: all, limits, noise: null, optimum });
  const values = draws
    .filter((draw) => !raw.fails?.(draw))
    .map((draw) => raw.valueOf(draw))
    .sort((a, b) => a - b);
  const median = values[values.length >> 1] || 1;
  return {
    seed,
    parameters,
    terms: all.map((term) => weighed(term, 1 / median)),
    limits,
    noise: noisy
      ? {
          deviation: 10 ** (-2.5 + 1.2 * rng.uniform()),
          draws: Array.from({ length: noiseDraws }, () => rng.normal()),
        }
      : null,
    optimum,
  };
}
