/**
 * What problems of search are drawn at random: parameters, the terms of a function, limits, noise. In one half of them what each
 * parameter does adds up but for a valley or two; in the other numbers act together alone, in groups, and so do categories.
 */
import { Rng } from '@emotune/base';
import { type Assignment, onlyValue, type Parameter, parseSearchSpace, suggest } from '@emotune/search';
import {
  type GeneratedProblem,
  isNumeric,
  placeOf,
  problemOf,
  type Shape,
  type ShapedTerm,
  type Share,
  type Term,
} from './generated-problems.js';

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

/** Random values of the whole space. */
function drawsOf(parameters: readonly object[], seed: number, count: number): Assignment[] {
  const space = parseSearchSpace(parameters);
  return Array.from({ length: count }, (_, trialNumber) =>
    suggest({ name: 'random' }, space, [], { seed: `generated ${seed}`, trialNumber }),
  );
}

const between = (rng: Rng, low: number, high: number) => low + (high - low) * rng.uniform();
/** The weight of a term: 1 at most, on a logarithm. */
const weightOf = (rng: Rng) => 10 ** between(rng, -1.5, 0);

/** Orthonormal directions [k][k] (Gram and Schmidt). */
function rotation(k: number, rng: Rng): number[][] {
  const rows: number[][] = [];
  while (rows.length < k) {
    let row = Array.from({ length: k }, () => rng.normal());
    for (const other of rows) {
      const along = row.reduce((sum, x, d) => sum + x * other[d], 0);
      row = row.map((x, d) => x - along * other[d]);
    }
    const length = Math.hypot(...row);
    if (length > 1e-3) rows.push(row.map((x) => x / length));
  }
  return rows;
}

const scaled = (shares: readonly Share[], factorOf: (d: number) => number): Share[] =>
  shares.map((share, d) => ({ ...share, factor: factorOf(d) * share.factor }));

/** Terms in which numbers, two or more, act together alone; 0 where each is at its centre. */
function coupledTerms(shares: readonly Share[], rng: Rng): ShapedTerm[] {
  const rotated = rotation(shares.length, rng).map((direction) => scaled(shares, (d) => direction[d]));
  const weight = weightOf(rng);
  const pairs = shares.slice(1).map((share, i) => [shares[i], share]);
  const bowls = (factor: number): ShapedTerm[] =>
    shares.map((share) => ({ kind: 'power', weight: factor * weight, exponent: 2, of: [share] }));
  switch (rng.int(5)) {
    case 0: // A bowl that is up to a hundred times steeper along one of its axes than along another.
      return rotated.map((of) => ({
        kind: 'power',
        weight: 6 * weight * 10 ** between(rng, -2, 0),
        exponent: 2,
        of,
      }));
    case 1: // Rosenbrock's.
      return [
        ...pairs.map((of): ShapedTerm => {
          return { kind: 'curve', weight: 10 * weight, bend: between(rng, 0.5, 2.5), of };
        }),
        ...bowls(0.2),
      ];
    case 2: // Ackley's.
      return [
        { kind: 'funnel', weight: 2 * weight, of: scaled(shares, () => between(rng, 1.5, 5)) },
        ...rotated.map((of): ShapedTerm => {
          return { kind: 'waves', weight: 0.1 * weight, frequency: 1 + rng.int(4), of };
        }),
      ];
    case 3: // Levy's.
      return [
        ...pairs.map((of): ShapedTerm => {
          const [gain, frequency] = [10 ** between(rng, 0, 1), 10 ** between(rng, -0.5, 0.5)];
          return { kind: 'product', weight: 2 * weight, gain, frequency, of };
        }),
        { kind: 'power', weight: 2 * weight, exponent: 2, of: [shares[shares.length - 1]] },
      ];
    default: {
      // Hartmann's.
      const well = (centreOf: (share: Share) => number) =>
        shares.map((share) => ({
          ...share,
          factor: between(rng, 1, 4),
          centre: centreOf(share),
        }));
      const others = Array.from({ length: 2 + rng.int(3) }, () => ({
        depth: between(rng, 0.3, 0.9),
        of: well(() => rng.uniform()),
      }));
      return [{ kind: 'wells', weight: 2 * weight, others, of: well(({ centre }) => centre) }, ...bowls(0.1)];
    }
  }
}

/** The same with the centres of parameters moved. */
function moved(term: ShapedTerm, by: ReadonlyMap<string, number>): ShapedTerm {
  const all = (of: readonly Share[]) =>
    of.map((share) => ({ ...share, centre: share.centre + (by.get(share.parameter) ?? 0) }));
  return {
    ...term,
    of: all(term.of),
    ...(term.kind === 'wells' ? { others: term.others.map((well) => ({ ...well, of: all(well.of) })) } : {}),
  };
}

/** Numbers that are active together, in groups of two to four; some are left over. */
function groupsOf(numbers: readonly Parameter[], rng: Rng): Parameter[][] {
  const conditions = Map.groupBy(rng.shuffle(numbers), ({ condition }) => JSON.stringify(condition ?? null));
  const groups: Parameter[][] = [];
  for (const members of conditions.values())
    while (members.length > 0) groups.push(members.splice(0, 2 + rng.int(3)));
  return groups.filter((group) => group.length > 1);
}

/** A penalty of each pair of values of two categories, which says little of either alone; 0 at the best pair. */
function tableOf(
  categories: readonly (Parameter & { kind: 'categorical' })[],
  bestOf: (parameter: Parameter & { kind: 'categorical' }) => number,
  rng: Rng,
): Term {
  const [rows, columns] = categories;
  const offsets = rows.values.map((_, i) =>
    columns.values.map((_, j) =>
      i === bestOf(rows) && j === bestOf(columns) ? 0 : between(rng, 0.05, 1) * 0.4 * weightOf(rng),
    ),
  );
  return { kind: 'table', parameters: [rows.name, columns.name], offsets };
}

/** Terms over the parameters of a problem, 0 at the optimum. */
function randomTerms(parameters: readonly object[], optimum: Assignment, rng: Rng): Term[] {
  const space = parseSearchSpace(parameters);
  const free = space.parameters.filter((parameter) => onlyValue(parameter) === undefined);
  const interacting = rng.uniform() < 0.5;
  const rugged = rng.uniform() < 0.3;
  const flat = rng.uniform() < 0.3;
  const numbers = free.filter(isNumeric);
  const categories = free.filter((parameter) => parameter.kind === 'categorical');
  const centreOf = (parameter: Parameter) =>
    Object.hasOwn(optimum, parameter.name) ? placeOf(parameter, optimum[parameter.name]) : rng.uniform();
  const centres = new Map(numbers.map((parameter) => [parameter.name, centreOf(parameter)]));
  const at = ({ name }: Parameter, factor = 1): Share => ({
    parameter: name,
    factor,
    centre: centres.get(name) as number,
  });
  const weight = () => weightOf(rng);
  /** Where numbers are best may depend on a category: the terms once for each of its values. */
  const maybeByCategory = (terms: readonly ShapedTerm[], chance: number): ShapedTerm[] => {
    const of = new Set(terms.flatMap((term) => term.of.map(({ parameter }) => parameter)));
    const by = categories.find(({ condition }) => !condition);
    if (!by || rng.uniform() >= chance) return [...terms];
    return (by.values as string[]).flatMap((value) => {
      const shift = () => (optimum[by.name] === value ? 0 : between(rng, -0.3, 0.3));
      const shifts = new Map([...of].map((name) => [name, shift()]));
      return terms.map((term) => ({ ...moved(term, shifts), when: { parameter: by.name, value } }));
    });
  };
  const terms: Term[] = [];
  const bestOf = ({ name, values }: Parameter & { kind: 'categorical' }) =>
    values.indexOf(optimum[name] ?? values[0]);
  for (const category of categories) {
    const best = bestOf(category);
    const offsets = category.values.map((_, i) => (i === best ? 0 : (interacting ? 0.1 : 0.3) * weight()));
    terms.push({ kind: 'offset', parameter: category.name, offsets });
  }
  if (interacting && categories.length >= 2) terms.push(tableOf(rng.shuffle(categories), bestOf, rng));
  const groups = interacting ? groupsOf(numbers, rng) : [];
  for (const group of groups)
    terms.push(
      ...maybeByCategory(
        coupledTerms(
          group.map((parameter) => at(parameter)),
          rng,
        ),
        0.3,
      ),
    );
  const coupled = new Set(groups.flat());
  for (const parameter of numbers.filter((number) => !coupled.has(number))) {
    const basic: Shape = { kind: 'power', weight: 4 * weight(), exponent: rng.uniform() < 0.75 ? 2 : 1 };
    if (flat && rng.uniform() < 0.4) {
      const levels = 3 + rng.int(8);
      terms.push({ kind: 'terraces', weight: 2 * weight(), levels, of: [at(parameter)] });
      terms.push({ ...basic, weight: basic.weight / 5, of: [at(parameter)] });
    } else terms.push(...maybeByCategory([{ ...basic, of: [at(parameter)] }], 0.3));
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
        bend: between(rng, 0.5, 2),
        of: [at(first), at(second)],
      });
    else {
      const of = [
        at(first),
        at(second, between(rng, -1, 1)),
        ...(third ? [at(third, between(rng, -1, 1))] : []),
      ];
      terms.push({ kind: 'power', weight: 10 * weight(), exponent: 2, of });
    }
  }
  if (flat && numbers.length > 0) {
    const of = rng.shuffle(numbers).slice(0, 3);
    terms.push({ kind: 'basin', weight: 2 * weight(), of: of.map((p) => at(p, between(rng, 2, 6))) });
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
  const all = (offsets: readonly number[]) => offsets.map((offset) => factor * offset);
  if (term.kind === 'offset') return { ...term, offsets: all(term.offsets) };
  if (term.kind === 'table') return { ...term, offsets: term.offsets.map(all) };
  return { ...term, weight: factor * term.weight };
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
