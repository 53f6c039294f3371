/** What the parameters of an experiment did to its objective, from forests over its measured trials. */

import { FailedPrecondition, own, Rng } from '@emotune/base';
import { Axis } from './axis.js';
import { growForest, type Tree } from './forest.js';
import { lessonOf, type TrialRecord } from './history.js';
import { mean } from './mean.js';
import { encodingOf } from './parzen.js';
import { onlyValue, type Parameter, type ParameterValue, type SearchSpace } from './space.js';

/** Measured trials, below which a forest says nothing. */
const minTrials = 4;

/** Unseen rows of a tree that are shuffled, at most. */
const mostShuffled = 1000;

/** A coordinate of the forest: numbers on the parameter's axis from 0 to 1, or indexes of categories. */
interface Coordinate {
  readonly parameter: Parameter;
  readonly categories: number;
  encode(value: ParameterValue | undefined): number;
}

function coordinateOf(parameter: Parameter): Coordinate {
  const { encode } = encodingOf(parameter);
  if (parameter.kind === 'categorical') return { parameter, categories: parameter.values.length, encode };
  const axis = new Axis(parameter);
  return { parameter, categories: 0, encode: (value) => (encode(value) - axis.low) / axis.width };
}

interface Model {
  readonly coordinates: readonly Coordinate[];
  readonly points: readonly (readonly number[])[];
  readonly values: readonly number[];
  readonly trees: readonly Tree[];
}

/** Mean over the trees of the share of their variance that is of the marginal over one or two coordinates. */
function shareOf(trees: readonly Tree[], first: number, second?: number): number {
  const shares = trees
    .map((tree) => ({ all: tree.variance(), own: tree.marginalVariance(first, second) }))
    .filter(({ all }) => all > 0);
  return shares.length === 0 ? 0 : mean(shares.map(({ own, all }) => own / all));
}

/** Breiman 2001, section 10: half of what shuffling a coordinate adds to the squared error on unseen rows, over the variance. */
function permutationOf({ points, values, trees }: Model, d: number, rng: Rng): number {
  let added = 0;
  let count = 0;
  trees.forEach((tree, t) => {
    const rows = rng.child(t).shuffle(tree.unseen).slice(0, mostShuffled);
    rows.forEach((row, i) => {
      const point = [...points[row]];
      const before = (tree.predict(point) - values[row]) ** 2;
      point[d] = points[rows[(i + 1) % rows.length]][d];
      added += (tree.predict(point) - values[row]) ** 2 - before;
      count++;
    });
  });
  const middle = mean(values);
  return count === 0 ? 0 : added / count / 2 / mean(values.map((value) => (value - middle) ** 2));
}

export interface ParameterImportance {
  readonly parameter: string;
  /** fANOVA: share of the objective's variance over the space that the parameter explains alone, 0 to 1. */
  readonly fanova: number;
  /** The same by shuffling it among the trials, interactions included; about 0, also below, if it has no part. */
  readonly permutation: number;
  /** Measured trials that have it. */
  readonly trials: number;
}

export interface DependencePoint {
  readonly value: ParameterValue;
  /** Mean of the objective over the whole space of the other parameters. */
  readonly mean: number;
  /** Standard deviation between the trees. */
  readonly deviation: number;
}

/**
 * The effects of the parameters that have a choice. One that exists under a condition is looked at among the trials that
 * have it, beside the parameters that all of those have.
 */
export class ParameterEffects {
  private readonly models = new Map<string, Model>();

  constructor(
    private readonly space: SearchSpace,
    private readonly history: readonly TrialRecord[],
    private readonly seed = 0,
  ) {}

  /** @throws FailedPrecondition when fewer than 4 trials that have all of them are measured, or all have one objective. */
  private modelOf(...parameters: readonly Parameter[]): Model {
    const conditional = parameters.filter(({ condition }) => condition !== undefined);
    const key = conditional.map(({ name }) => name).join(' ');
    const known = this.models.get(key);
    if (known) return known;
    const has = (record: TrialRecord, { name }: Parameter) => Object.hasOwn(record.parameters, name);
    const measured = this.history.filter(
      (record) => lessonOf(record) === 'measured' && parameters.every((parameter) => has(record, parameter)),
    );
    const coordinates = this.space.parameters
      .filter((p) => onlyValue(p) === undefined && measured.every((record) => has(record, p)))
      .map(coordinateOf);
    const points: number[][] = [];
    const values: number[] = [];
    for (const record of measured) {
      const point = coordinates.map((c) => c.encode(own(record.parameters, c.parameter.name)));
      // A trial of another space, as imported ones can be.
      if (point.some(Number.isNaN)) continue;
      points.push(point);
      values.push(record.objective as number);
    }
    const what = parameters.map(({ name }) => name).join(' and ');
    if (points.length < minTrials)
      throw new FailedPrecondition(
        `importance of ${what}: expected at least ${minTrials} measured trials that have it, got ${points.length}`,
      );
    if (values.every((value) => value === values[0]))
      throw new FailedPrecondition(
        `importance of ${what}: all ${points.length} trials have the objective ${values[0]}`,
      );
    const rng = Rng.of(this.seed, 'importance', key);
    const trees = growForest(
      points,
      values,
      coordinates.map((c) => c.categories),
      rng,
    );
    const model = { coordinates, points, values, trees };
    this.models.set(key, model);
    return model;
  }

  private chosen(name: string): Parameter {
    const parameter = this.space.byName.get(name);
    if (!parameter || onlyValue(parameter) !== undefined)
      throw new FailedPrecondition(`parameter ${name}: expected one of the space that has a choice`);
    return parameter;
  }

  /**
   * The most important first. Conditional parameters that too few trials have are left out.
   * @throws FailedPrecondition when fewer than 4 trials are measured or all have one objective.
   */
  importance(): ParameterImportance[] {
    const found: ParameterImportance[] = [];
    for (const parameter of this.space.parameters) {
      if (onlyValue(parameter) !== undefined) continue;
      let model: Model;
      try {
        model = this.modelOf(parameter);
      } catch (error) {
        if (parameter.condition && error instanceof FailedPrecondition) continue;
        throw error;
      }
      const d = model.coordinates.findIndex((c) => c.parameter === parameter);
      found.push({
        parameter: parameter.name,
        fanova: shareOf(model.trees, d),
        permutation: permutationOf(model, d, Rng.of(this.seed, 'permutation', parameter.name)),
        trials: model.points.length,
      });
    }
    return found.sort((a, b) => b.fanova - a.fanova || (a.parameter < b.parameter ? -1 : 1));
  }

  /**
   * fANOVA of two parameters: the share of variance that they explain together and neither alone.
   * @throws FailedPrecondition naming one that is unknown or has no choice, or when too few trials have both.
   */
  interaction(first: string, second: string): number {
    const [a, b] = [this.chosen(first), this.chosen(second)];
    const { coordinates, trees } = this.modelOf(a, b);
    const [i, j] = [a, b].map((parameter) => coordinates.findIndex((c) => c.parameter === parameter));
    return Math.max(0, shareOf(trees, i, j) - shareOf(trees, i) - shareOf(trees, j));
  }

  /**
   * Partial dependence of the objective on a parameter: at each category, or at `count` values evenly on its scale.
   * @throws FailedPrecondition naming one that is unknown or has no choice, or when too few trials have it.
   */
  dependence(name: string, count = 20): DependencePoint[] {
    const parameter = this.chosen(name);
    const { coordinates, trees } = this.modelOf(parameter);
    const d = coordinates.findIndex((c) => c.parameter === parameter);
    const values = parameter.kind === 'categorical' ? parameter.values : evenly(new Axis(parameter), count);
    return values.map((value) => {
      const means = trees.map((tree) => tree.marginal([d], [coordinates[d].encode(value)]));
      const middle = mean(means);
      return { value, mean: middle, deviation: Math.sqrt(mean(means.map((m) => (m - middle) ** 2))) };
    });
  }
}

/** The middles of `count` stretches of the axis, on the grid where there is one. */
function evenly(axis: Axis, count: number): number[] {
  const values = Array.from({ length: count }, (_, i) =>
    axis.valueAt(axis.low + (axis.width * (i + 0.5)) / count),
  );
  return [...new Set(values)];
}
