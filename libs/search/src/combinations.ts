/** The combinations of values that a search space has, counted and numbered. */
import { own } from '@emotune/base';
import { Axis } from './axis.js';
import {
  type Assignment,
  gridSteps,
  gridValue,
  isActive,
  onlyValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from './space.js';

/** Values of a parameter; Infinity where it is continuous. */
function sizeOf(parameter: Parameter): number {
  if (onlyValue(parameter) !== undefined) return 1;
  if (parameter.kind === 'categorical') return parameter.values.length;
  const steps = gridSteps(parameter);
  return steps === undefined ? Infinity : steps + 1;
}

/** How many combinations a space has, inactive parameters multiplying nothing; Infinity where a parameter is continuous. */
export function combinationsOf({ parameters }: SearchSpace): number {
  const counts = new Map<Parameter, number>();
  const product = (some: readonly Parameter[]) =>
    some.reduce((count, parameter) => count * (counts.get(parameter) as number), 1);
  // Children come after their parents.
  for (const parameter of [...parameters].reverse()) {
    const children = parameters.filter(({ condition }) => condition?.parameter === parameter.name);
    const deciding = [...new Set(children.flatMap(({ condition }) => condition!.values))];
    const below = deciding.map((value) =>
      product(children.filter((child) => isActive(child, { [parameter.name]: value }))),
    );
    counts.set(
      parameter,
      below.reduce((sum, count) => sum + count, sizeOf(parameter) - deciding.length),
    );
  }
  return product(parameters.filter(({ condition }) => !condition));
}

/** @param points Values of a numeric parameter at most, evenly on its scale from end to end. */
function valuesOf(parameter: Parameter, points: number): readonly ParameterValue[] {
  const only = onlyValue(parameter);
  if (only !== undefined) return [only];
  if (parameter.kind === 'categorical') return parameter.values;
  const steps = gridSteps(parameter);
  if (steps !== undefined && steps < points)
    return Array.from({ length: steps + 1 }, (_, k) => gridValue(parameter, k));
  const axis = new Axis(parameter);
  const low = axis.place(parameter.min);
  const width = axis.place(steps === undefined ? parameter.max : gridValue(parameter, steps)) - low;
  const values = Array.from({ length: points }, (_, k) => axis.valueAt(low + (width * k) / (points - 1)));
  return [...new Set(values)];
}

/** The combinations of a space's values, numbered from 0. Inactive parameters multiply nothing. */
export class Combinations {
  readonly count: bigint;
  private readonly values = new Map<Parameter, readonly ParameterValue[]>();
  private readonly children = new Map<string, Parameter[]>();
  private readonly counts = new Map<Parameter, readonly bigint[]>();
  private readonly roots: Parameter[];

  constructor(
    private readonly space: SearchSpace,
    points: number,
  ) {
    this.roots = space.parameters.filter(({ condition }) => !condition);
    for (const parameter of space.parameters) {
      this.values.set(parameter, valuesOf(parameter, points));
      const parent = parameter.condition?.parameter;
      if (parent !== undefined) this.children.set(parent, [...(this.children.get(parent) ?? []), parameter]);
    }
    // Children come after their parents.
    for (const parameter of [...space.parameters].reverse())
      this.counts.set(
        parameter,
        this.valuesOf(parameter).map((value) => this.product(this.below(parameter, value))),
      );
    this.count = this.product(this.roots);
  }

  private valuesOf(parameter: Parameter): readonly ParameterValue[] {
    return this.values.get(parameter) as readonly ParameterValue[];
  }

  private below(parameter: Parameter, value: ParameterValue): Parameter[] {
    return (this.children.get(parameter.name) ?? []).filter((child) =>
      child.condition?.values.includes(value),
    );
  }

  private sum(parameter: Parameter): bigint {
    return (this.counts.get(parameter) as bigint[]).reduce((a, b) => a + b, 0n);
  }

  private product(parameters: readonly Parameter[]): bigint {
    return parameters.reduce((count, parameter) => count * this.sum(parameter), 1n);
  }

  has(values: Assignment): boolean {
    return this.space.parameters.every(
      (parameter) =>
        !Object.hasOwn(values, parameter.name) || this.valuesOf(parameter).includes(values[parameter.name]),
    );
  }

  at(index: bigint): Assignment {
    const chosen = new Map<string, ParameterValue>();
    const place = (parameters: readonly Parameter[], number: bigint): void => {
      let rest = number;
      for (const parameter of parameters) {
        const count = this.sum(parameter);
        let i = rest % count;
        rest /= count;
        const counts = this.counts.get(parameter) as bigint[];
        let v = 0;
        while (i >= counts[v]) i -= counts[v++];
        const value = this.valuesOf(parameter)[v];
        chosen.set(parameter.name, value);
        place(this.below(parameter, value), i);
      }
    };
    place(this.roots, index);
    return Object.fromEntries(
      this.space.parameters.flatMap(({ name }) =>
        chosen.has(name) ? [[name, chosen.get(name) as ParameterValue]] : [],
      ),
    );
  }
}

/** Equal for equal values of the active parameters. */
export function keyOf(space: SearchSpace, values: Assignment): string {
  return JSON.stringify(space.parameters.map(({ name }) => own(values, name) ?? null));
}

/** Whether two trials have the same values. */
export function sameValues(space: SearchSpace, a: Assignment, b: Assignment): boolean {
  return keyOf(space, a) === keyOf(space, b);
}
