/**
 * Grid search: every combination of values once, then every one a second time. The order strides over the grid by
 * its golden section, so that a search that ends early has seen all of it coarsely. Trials that a machine lost are
 * suggested again.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import { lessonOf } from '../history.js';
import type { Sampler } from '../sampler.js';
import {
  type Assignment,
  gridSteps,
  gridValue,
  onlyValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from '../space.js';

const settings = z.strictObject({
  /** Values of a numeric parameter at most, evenly on its scale from end to end. */
  points: z.number().int().min(2).max(1000).default(10),
});

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
class Combinations {
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

function keyOf(space: SearchSpace, values: Assignment): string {
  return JSON.stringify(
    space.parameters.map(({ name }) => (Object.hasOwn(values, name) ? values[name] : null)),
  );
}

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b);
}

export const grid: Sampler<z.output<typeof settings>> = {
  settings,
  suggest: (space, history, { seed }, { points }) => {
    const combinations = new Combinations(space, points);
    const { count } = combinations;
    const times = new Map<string, number>();
    for (const record of history) {
      if (lessonOf(record) === 'nothing') continue;
      const key = keyOf(space, record.parameters);
      times.set(key, (times.get(key) ?? 0) + 1);
    }
    let stride = (count * 618_034n) / 1_000_000n || 1n;
    while (gcd(stride, count) !== 1n) stride++;
    const offset = BigInt(Rng.of(seed, 'grid').uint32());
    let rarest: { values: Assignment; seen: number } | undefined;
    for (let i = 0n; i < count; i++) {
      const values = combinations.at((offset + i * stride) % count);
      const seen = times.get(keyOf(space, values)) ?? 0;
      if (seen === 0) return values;
      if (!rarest || seen < rarest.seen) rarest = { values, seen };
    }
    return (rarest as { values: Assignment }).values;
  },
};
