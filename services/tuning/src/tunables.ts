/** The parameters that a search can tune, and which values training accepts for each. */
import { show, type Violation } from '@emotune/base';
import type { Parameter, ParameterValue } from '@emotune/search';
import { accepts, settings } from '@emotune/training';

interface Tunable {
  /** What the values must be, for people. */
  readonly expects: string;
  accepts(value: ParameterValue): boolean;
  /** A checkpoint made with one value does not fit another, or would mean something else with it. */
  readonly shared: boolean;
}

const architecture: Tunable = {
  expects: 'names of architectures',
  accepts: (value) => typeof value === 'string',
  shared: true,
};

/** Settings of training by their names, and the choice of the base model. */
export const tunables: ReadonlyMap<string, Tunable> = new Map([
  ...[...settings.values()]
    .filter(({ searchable }) => searchable)
    .map((setting): [string, Tunable] => {
      const { name, expects, shared } = setting;
      return [name, { expects, shared, accepts: (value) => accepts(setting, value) }];
    }),
  ['architecture', architecture],
]);

/** What training could not accept of a parameter's range or categories; `path` is the parameter's. */
export function unacceptable(parameter: Parameter, path: string): Violation[] {
  const tunable = tunables.get(parameter.name);
  if (!tunable) return [];
  const wrong = (field: string, value: ParameterValue) =>
    tunable.accepts(value)
      ? []
      : [{ field: `${path}.${field}`, description: `expected ${tunable.expects}, got ${show(value)}` }];
  if (parameter.kind === 'categorical')
    return parameter.values.flatMap((value, i) => wrong(`categorical.values[${i}]`, value));
  const { kind, min, max } = parameter;
  const ends = [...wrong(`${kind}.min`, min), ...wrong(`${kind}.max`, max)];
  // A continuous range holds fractions whatever its ends.
  if (
    ends.length === 0 &&
    kind === 'double' &&
    min < max &&
    !tunable.accepts(min + (max - min) * 0.6180339887)
  )
    return [{ field: `${path}.double`, description: `expected ${tunable.expects}: declare it as integer` }];
  return ends;
}
