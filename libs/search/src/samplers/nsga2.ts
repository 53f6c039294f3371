/**
 * NSGA-II (Deb, Pratap, Agarwal, Meyarivan 2002), for one objective or several: tournaments by front and crowding,
 * simulated binary crossover and polynomial mutation of numbers (Deb and Agrawal 1995; Deb and Goyal 1996), exchange
 * and redrawing of categories. Constraints rank before objectives (section VI-A).
 *
 * The parents follow from the history: of every `population` measured trials in order of number and the parents before
 * them, the best `population`.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import { bestMeasured } from '../fronts.js';
import { lessonOf, type TrialRecord } from '../history.js';
import type { Sampler } from '../sampler.js';
import { assign, onlyValue, type Parameter, type ParameterValue } from '../space.js';
import { random } from './random.js';

const settings = z.strictObject({
  population: z.number().int().min(2).max(1000).default(30),
  crossover: z.number().min(0).max(1).default(0.9),
  /** Distribution indices η of crossover and mutation: the larger, the closer children are to their parents. */
  crossoverIndex: z.number().min(0).max(1000).default(20),
  mutationIndex: z.number().min(0).max(1000).default(20),
});

type Nsga2Settings = z.output<typeof settings>;

/** Best first. */
function parentsAfter(history: readonly TrialRecord[], population: number): TrialRecord[] {
  const measured = history.filter((record) => lessonOf(record) === 'measured');
  let parents: TrialRecord[] = [];
  for (let from = 0; from + population <= measured.length; from += population)
    parents = bestMeasured([...parents, ...measured.slice(from, from + population)], population);
  return parents;
}

/** The value of a parameter where a record has one that the space allows. */
function valueIn(record: TrialRecord, parameter: Parameter): ParameterValue | undefined {
  if (!Object.hasOwn(record.parameters, parameter.name)) return undefined;
  const value = record.parameters[parameter.name];
  if (parameter.kind === 'categorical') return parameter.values.includes(value) ? value : undefined;
  return typeof value === 'number' && value >= parameter.min && value <= parameter.max ? value : undefined;
}

/** One of the two children of simulated binary crossover, near the first or the second parent alike. */
function crossed(a: number, b: number, index: number, rng: Rng): number {
  const u = rng.uniform();
  const spread = u <= 0.5 ? (2 * u) ** (1 / (index + 1)) : (2 * (1 - u)) ** (-1 / (index + 1));
  const sign = rng.uniform() < 0.5 ? 1 : -1;
  return 0.5 * (a + b + sign * spread * (a - b));
}

/** Polynomial mutation of a coordinate on [0, 1]. */
function mutated(x: number, index: number, rng: Rng): number {
  const u = rng.uniform();
  return u < 0.5 ? x + (2 * u) ** (1 / (index + 1)) - 1 : x + 1 - (2 * (1 - u)) ** (1 / (index + 1));
}

export const nsga2: Sampler<Nsga2Settings> = {
  settings,
  suggest: (space, history, context, { population, crossover, crossoverIndex, mutationIndex }) => {
    const parents = parentsAfter(history, population);
    if (parents.length === 0) return random.suggest(space, history, context, {});
    const rng = Rng.of(context.seed, 'nsga2', context.trialNumber);
    // Parents are in order, so the winner of a tournament is the one that comes first.
    const winner = () => parents[Math.min(rng.int(parents.length), rng.int(parents.length))];
    const [mother, father] = [winner(), winner()];
    const cross = rng.uniform() < crossover;
    const free = space.parameters.filter((parameter) => onlyValue(parameter) === undefined);
    const mutation = 1 / Math.max(1, free.length);
    return assign(space, (parameter) => {
      const only = onlyValue(parameter);
      if (only !== undefined) return only;
      const [a, b] = [valueIn(mother, parameter), valueIn(father, parameter)];
      const mutate = rng.uniform() < mutation;
      if (parameter.kind === 'categorical') {
        const inherited = cross && rng.uniform() < 0.5 ? (b ?? a) : (a ?? b);
        return mutate || inherited === undefined
          ? parameter.values[rng.int(parameter.values.length)]
          : inherited;
      }
      const axis = new Axis(parameter);
      const share = (value: ParameterValue) => (axis.place(value as number) - axis.low) / axis.width;
      const one = a ?? b;
      if (one === undefined) return axis.valueAt(axis.low + axis.width * rng.uniform());
      let x = share(one);
      if (cross && a !== undefined && b !== undefined) x = crossed(x, share(b), crossoverIndex, rng);
      if (mutate) x = mutated(x, mutationIndex, rng);
      return axis.valueAt(axis.low + axis.width * Math.min(1, Math.max(0, x)));
    });
  },
};
