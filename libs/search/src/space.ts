/**
 * Search spaces: named parameters with ranges, some of which exist only where another parameter has certain
 * values. Such conditions form a forest, so whether a parameter is active follows from its ancestors alone.
 */
import { fieldPath, InvalidArgument, nearest, own, show, unknownField, Violations } from '@emotune/base';

export type ParameterValue = number | string | boolean;

/** Values by parameter name; of a whole assignment: exactly the active parameters. */
export type Assignment = Readonly<Record<string, ParameterValue>>;

/** Holds when the named parameter is active and has one of the values. */
interface Condition {
  readonly parameter: string;
  readonly values: readonly ParameterValue[];
}

interface Common {
  readonly name: string;
  readonly condition?: Condition;
  /** Tried first. */
  readonly default?: ParameterValue;
}

/** `min`, `min + step`, … up to `max` where there is a step; all doubles of [min, max] otherwise. */
interface DoubleParameter extends Common {
  readonly kind: 'double';
  readonly min: number;
  readonly max: number;
  /** Sampled evenly in the logarithm. */
  readonly log: boolean;
  readonly step?: number;
}

/** `min`, `min + step`, … up to `max`. With `log` the step is 1. */
interface IntegerParameter extends Common {
  readonly kind: 'integer';
  readonly min: number;
  readonly max: number;
  readonly log: boolean;
  readonly step: number;
}

export interface CategoricalParameter extends Common {
  readonly kind: 'categorical';
  readonly values: readonly ParameterValue[];
}

export type NumericParameter = DoubleParameter | IntegerParameter;
export type Parameter = NumericParameter | CategoricalParameter;

/** A checked search space. */
export interface SearchSpace {
  /** Parents before children; otherwise as declared. */
  readonly parameters: readonly Parameter[];
  readonly byName: ReadonlyMap<string, Parameter>;
}

const maxParameters = 1000;
const maxCategories = 1000;
/** Nearest names are looked for in the first so many unknown ones only. */
const maxGuesses = 20;

const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const kinds = ['double', 'integer', 'categorical'] as const;
const fields = ['name', ...kinds, 'condition', 'default'];

type Fields = Record<string, unknown>;
type Path = readonly PropertyKey[];

class Problems extends Violations {
  private guesses = 0;

  expected(path: Path, what: string, got: unknown): void {
    this.add(path, `expected ${what}, got ${show(got)}`);
  }

  unknownName(path: Path, name: string, what: string, known: readonly string[]): void {
    const near = this.guesses++ < maxGuesses ? nearest(name, known) : undefined;
    this.add(path, `no ${what} is called "${name}"${near === undefined ? '' : `, did you mean "${near}"?`}`);
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isValue(value: unknown): value is ParameterValue {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
}

function checkFields(input: Fields, known: readonly string[], path: Path, problems: Problems): void {
  for (const key of Object.keys(input))
    if (!known.includes(key)) problems.add([...path, key], unknownField(key, known));
}

/** A list of distinct values, each a string, a finite number or a boolean. */
function parseValues(input: unknown, path: Path, problems: Problems): ParameterValue[] | undefined {
  if (!Array.isArray(input) || input.length === 0) {
    problems.expected(path, 'a list of at least one value', input);
    return undefined;
  }
  if (input.length > maxCategories) {
    problems.add(path, `expected at most ${maxCategories} values, got ${input.length}`);
    return undefined;
  }
  const before = problems.list.length;
  const seen = new Set<unknown>();
  input.forEach((value, i) => {
    if (!isValue(value)) problems.expected([...path, i], 'a text, a finite number or a boolean', value);
    else if (seen.has(value))
      problems.add([...path, i], `expected distinct values, got ${show(value)} twice`);
    seen.add(value);
  });
  return problems.list.length === before ? input : undefined;
}

type Range = Omit<DoubleParameter | IntegerParameter, 'name' | 'condition' | 'default'>;

function parseRange(
  kind: 'double' | 'integer',
  input: unknown,
  path: Path,
  problems: Problems,
): Range | undefined {
  if (!isFields(input)) {
    problems.expected(path, 'a range {min, max}', input);
    return undefined;
  }
  const before = problems.list.length;
  checkFields(input, ['min', 'max', 'log', 'step'], path, problems);
  const integer = kind === 'integer';
  const right = integer ? Number.isSafeInteger : Number.isFinite;
  const what = integer ? 'a whole number' : 'a finite number';
  for (const key of ['min', 'max'])
    if (!right(input[key])) problems.expected([...path, key], what, input[key]);
  const log = input.log ?? false;
  if (typeof log !== 'boolean') problems.expected([...path, 'log'], 'true or false', log);
  const given = input.step ?? 0;
  if (!right(given) || (given as number) < 0) problems.expected([...path, 'step'], `${what} above 0`, given);
  if (problems.list.length > before) return undefined;

  const min = input.min as number;
  const max = input.max as number;
  const step = given as number;
  if (min > max) problems.add([...path, 'min'], `expected at most max (${max}), got ${min}`);
  else if (!right(max - min)) problems.add(path, `expected a representable width, got ${min} to ${max}`);
  else if (step > 0 && max > min && step > max - min)
    problems.add([...path, 'step'], `expected at most max − min (${max - min}), got ${step}`);
  else if (step > 0 && !((max - min) / step <= Number.MAX_SAFE_INTEGER))
    problems.add([...path, 'step'], `expected at most 2^53 steps from min to max, got ${step}`);
  if (log && min <= 0) problems.add([...path, 'min'], `expected a number above 0 on a log scale, got ${min}`);
  if (log && step > 0 && !(integer && step === 1))
    problems.add([...path, 'step'], `expected no step on a log scale, got ${step}`);
  if (problems.list.length > before) return undefined;
  if (integer) return { kind, min, max, log: log as boolean, step: step || 1 };
  return { kind, min, max, log: log as boolean, ...(step > 0 ? { step } : {}) };
}

function parseCondition(input: unknown, path: Path, problems: Problems): Condition | undefined {
  if (!isFields(input)) {
    problems.expected(path, 'a condition {parameter, values}', input);
    return undefined;
  }
  checkFields(input, ['parameter', 'values'], path, problems);
  const values = parseValues(input.values, [...path, 'values'], problems);
  if (typeof input.parameter !== 'string' || input.parameter === '') {
    problems.expected([...path, 'parameter'], 'the name of a parameter', input.parameter);
    return undefined;
  }
  return { parameter: input.parameter, values: values ?? [] };
}

/** One parameter, as far as it can be told without the others. */
function parseParameter(input: unknown, path: Path, problems: Problems): Parameter | undefined {
  if (!isFields(input)) {
    problems.expected(path, 'a parameter {name, double | integer | categorical}', input);
    return undefined;
  }
  checkFields(input, fields, path, problems);
  const { name } = input;
  const named = typeof name === 'string' && namePattern.test(name);
  if (!named)
    problems.expected(
      [...path, 'name'],
      'a letter, then letters, digits, "_", "." or "-", at most 64 in all',
      name,
    );
  const condition =
    input.condition == null ? undefined : parseCondition(input.condition, [...path, 'condition'], problems);
  const given = kinds.filter((kind) => input[kind] != null);
  if (given.length !== 1) {
    problems.add(
      path,
      `expected one of double, integer, categorical, got ${given.length ? given.join(' and ') : 'none'}`,
    );
    return undefined;
  }
  const [kind] = given;
  const at = [...path, kind];
  let domain: Range | { kind: 'categorical'; values: ParameterValue[] } | undefined;
  if (kind === 'categorical') {
    const body = input.categorical;
    if (!isFields(body)) problems.expected(at, 'categories {values}', body);
    else {
      checkFields(body, ['values'], at, problems);
      const values = parseValues(body.values, [...at, 'values'], problems);
      if (values) domain = { kind, values };
    }
  } else domain = parseRange(kind, input[kind], at, problems);
  if (!domain) return undefined;

  const parameter = {
    name: named ? name : '',
    ...domain,
    ...(condition ? { condition } : {}),
  } as Parameter;
  if (input.default == null) return parameter;
  const value = accept(parameter, input.default);
  if (value === undefined) {
    problems.expected([...path, 'default'], describe(parameter), input.default);
    return parameter;
  }
  return { ...parameter, default: value };
}

/**
 * Checks a list of `{name, double | integer: {min, max, log?, step?} | categorical: {values}, condition?:
 * {parameter, values}, default?}`. Null and undefined count as absent; a step of 0 means none.
 * Time is linear in the input, and a list that is too long is refused unread.
 * @throws InvalidArgument with every violation and its path, which begins with `path`.
 */
export function parseSearchSpace(input: unknown, path: readonly PropertyKey[] = ['parameters']): SearchSpace {
  const problems = new Problems();
  if (!Array.isArray(input)) throw InvalidArgument.at(fieldPath(path), `expected a list, got ${show(input)}`);
  if (input.length === 0) throw InvalidArgument.at(fieldPath(path), 'expected at least one parameter');
  if (input.length > maxParameters)
    throw InvalidArgument.at(
      fieldPath(path),
      `expected at most ${maxParameters} parameters, got ${input.length}`,
    );

  const byName = new Map<string, Parameter>();
  const position = new Map<string, number>();
  const broken = new Set<string>();
  input.forEach((entry, i) => {
    const parameter = parseParameter(entry, [...path, i], problems);
    const name: unknown = isFields(entry) ? entry.name : undefined;
    if (typeof name !== 'string' || !namePattern.test(name)) return;
    const first = position.get(name);
    if (first !== undefined) {
      problems.add(
        [...path, i, 'name'],
        `expected a name of its own, got "${name}" of ${fieldPath([...path, first])}`,
      );
      return;
    }
    position.set(name, i);
    if (parameter) byName.set(name, parameter);
    else broken.add(name);
  });

  const names = [...position.keys()];
  for (const { name, condition } of byName.values()) {
    if (!condition) continue;
    const at = [...path, position.get(name) as number, 'condition'];
    const parent = byName.get(condition.parameter);
    if (!parent) {
      if (!broken.has(condition.parameter))
        problems.unknownName([...at, 'parameter'], condition.parameter, 'parameter', names);
    } else if (parent.kind === 'double')
      problems.add([...at, 'parameter'], `expected a categorical or integer parameter, got a double`);
    else
      condition.values.forEach((value, i) => {
        if (accept(parent, value) === undefined)
          problems.expected([...at, 'values', i], `${describe(parent)} as "${parent.name}" has`, value);
      });
  }

  // Depth-first along the parents: 1 is on the present path, 2 is done.
  const mark = new Map<string, 1 | 2>();
  const ordered: Parameter[] = [];
  for (const start of byName.values()) {
    const chain: Parameter[] = [];
    let parameter: Parameter | undefined = start;
    while (parameter && !mark.has(parameter.name)) {
      mark.set(parameter.name, 1);
      chain.push(parameter);
      parameter = parameter.condition && byName.get(parameter.condition.parameter);
    }
    if (parameter && mark.get(parameter.name) === 1) {
      const cycle = chain.slice(chain.indexOf(parameter)).map((p) => p.name);
      problems.add(
        [...path, position.get(cycle[0]) as number, 'condition'],
        `expected no cycle, got ${abbreviate([...cycle, cycle[0]])}`,
      );
    }
    for (const p of chain.reverse()) {
      mark.set(p.name, 2);
      ordered.push(p);
    }
  }
  problems.throwIfAny();
  return { parameters: ordered, byName };
}

function abbreviate(names: readonly string[]): string {
  return (names.length > 8 ? [...names.slice(0, 6), '…', names[names.length - 1]] : names).join(' → ');
}

/** Number of steps between `min` and the largest grid value, or undefined where the range is continuous. */
export function gridSteps(parameter: NumericParameter): number | undefined {
  const { min, max, step } = parameter;
  // The tolerance lets 0..0.2 by 0.02 reach 0.2 although the quotient is 9.999….
  return step === undefined ? undefined : Math.floor((max - min) / step + 1e-9);
}

/** The grid value number `k` from `min`, without the dust of binary fractions (0.1 · 3 is 0.3). */
export function gridValue(parameter: NumericParameter, k: number): number {
  const value = parameter.min + k * (parameter.step as number);
  return parameter.kind === 'integer' ? value : Number(value.toPrecision(15));
}

/** The value in its canonical form if the parameter can have it, otherwise undefined. */
export function accept(parameter: Parameter, value: unknown): ParameterValue | undefined {
  if (parameter.kind === 'categorical')
    return parameter.values.includes(value as ParameterValue) ? (value as ParameterValue) : undefined;
  if (typeof value !== 'number' || !(value >= parameter.min && value <= parameter.max)) return undefined;
  const steps = gridSteps(parameter);
  if (steps === undefined) return value;
  const k = Math.round((value - parameter.min) / (parameter.step as number));
  if (k > steps) return undefined;
  const onGrid = gridValue(parameter, k);
  return Math.abs(value - onGrid) <= 1e-9 * Math.max(Math.abs(value), parameter.step as number)
    ? onGrid
    : undefined;
}

/** What a parameter can be, for people: "a number from 0 to 1 in steps of 0.1". */
function describe(parameter: Parameter): string {
  if (parameter.kind === 'categorical') {
    const shown = parameter.values.slice(0, 8).map(show).join(', ');
    return `one of ${shown}${parameter.values.length > 8 ? ', …' : ''}`;
  }
  const { min, max, step } = parameter;
  const what = parameter.kind === 'integer' ? 'a whole number' : 'a number';
  const steps =
    step === undefined || (parameter.kind === 'integer' && step === 1) ? '' : ` in steps of ${step}`;
  return `${what} from ${min} to ${max}${steps}`;
}

/** The only value of a parameter that has no choice, otherwise undefined. */
export function onlyValue(parameter: Parameter): ParameterValue | undefined {
  if (parameter.kind === 'categorical')
    return parameter.values.length === 1 ? parameter.values[0] : undefined;
  return parameter.min === parameter.max || gridSteps(parameter) === 0 ? parameter.min : undefined;
}

/** Whether the parameter exists beside these values, which must hold its parent if that is active. */
export function isActive(parameter: Parameter, values: Assignment): boolean {
  const { condition } = parameter;
  return (
    condition === undefined ||
    (Object.hasOwn(values, condition.parameter) && condition.values.includes(values[condition.parameter]))
  );
}

/** The active parameters, parents first, each with the value that `choose` gives it. */
export function assign(space: SearchSpace, choose: (parameter: Parameter) => ParameterValue): Assignment {
  const values: Record<string, ParameterValue> = {};
  for (const parameter of space.parameters)
    if (isActive(parameter, values)) values[parameter.name] = choose(parameter);
  return values;
}

/** Whether the values are exactly those of the active parameters, each in its range; grids are not looked at. */
export function allows(space: SearchSpace, values: Assignment): boolean {
  let fits = true;
  const walked = assign(space, (parameter) => {
    const value = own(values, parameter.name);
    const inside =
      parameter.kind === 'categorical'
        ? parameter.values.includes(value as ParameterValue)
        : typeof value === 'number' && value >= parameter.min && value <= parameter.max;
    if (!inside) fits = false;
    return value as ParameterValue;
  });
  return fits && Object.keys(walked).length === Object.keys(values).length;
}

/**
 * Checks values that come from outside, such as an enqueued trial. Active parameters that are missing take their
 * declared defaults, or else what `missing` gives.
 * @throws InvalidArgument naming unknown, inactive, missing and impossible values.
 */
export function parseAssignment(
  space: SearchSpace,
  input: unknown,
  path: readonly PropertyKey[] = ['parameters'],
  missing: (parameter: Parameter) => ParameterValue | undefined = () => undefined,
): Assignment {
  if (!isFields(input))
    throw InvalidArgument.at(fieldPath(path), `expected values by parameter name, got ${show(input)}`);
  const problems = new Problems();
  const values: Record<string, ParameterValue> = {};
  for (const parameter of space.parameters) {
    const at = [...path, parameter.name];
    const given = Object.hasOwn(input, parameter.name) ? input[parameter.name] : undefined;
    if (!isActive(parameter, values)) {
      const { condition } = parameter;
      // Below a parent that is itself wrong there is nothing more to say.
      const known =
        condition &&
        (Object.hasOwn(values, condition.parameter) || !Object.hasOwn(input, condition.parameter));
      if (given != null && known)
        problems.add(
          at,
          `exists only where ${condition.parameter} is ${condition.values.map(show).join(' or ')}`,
        );
      continue;
    }
    if (given == null) {
      const value = parameter.default ?? missing(parameter);
      if (value === undefined) problems.expected(at, describe(parameter), undefined);
      else values[parameter.name] = value;
      continue;
    }
    const value = accept(parameter, given);
    if (value === undefined) problems.expected(at, describe(parameter), given);
    else values[parameter.name] = value;
  }
  const names = [...space.byName.keys()];
  for (const name of Object.keys(input))
    if (!space.byName.has(name)) problems.unknownName([...path, name], name, 'parameter', names);
  problems.throwIfAny();
  return values;
}
