/** What an experiment fixes of training, in full, and whether its search can live with it. Pure. */
import { fieldPath, InvalidArgument, nearest, show, type Violation } from '@emotune/base';
import { type PlainValue, plainSettings, type tuning, valueMessage } from '@emotune/proto';
import type { SearchSpace } from '@emotune/search';
import { accepts, namedSettings, settings, trialSettings } from '@emotune/training';
import { corners } from './corners.js';

/** By their names; {} turns on what the name is a group of. */
export type FixedSettings = Readonly<Record<string, unknown>>;

const at = 'training.';
/** Those that an experiment has no other word for. */
const fixable = [...settings.values()].filter(({ ofRun }) => !ofRun).map(({ name }) => name);

function isMapping(value: unknown): value is Record<string, PlainValue> {
  return typeof value === 'object' && !Array.isArray(value);
}

/** The message of which `plainSettings` makes the same again. */
export function settingMessages(fixed: FixedSettings): tuning.TrainingSpec['settings'] {
  return Object.fromEntries(
    Object.entries(fixed).flatMap(([name, value]) => {
      if (!isMapping(value)) return [[name, valueMessage(value as PlainValue)]];
      const keys = Object.entries(value).map(([key, item]) => [`${name}.${key}`, valueMessage(item)]);
      return keys.length === 0 ? [[name, {}]] : keys;
    }),
  );
}

/** What no trial of the search could be told together with what is fixed. */
function contradictions(fixed: FixedSettings, given: ReadonlySet<string>, space: SearchSpace): Violation[] {
  const violations: Violation[] = [];
  for (const name of given) {
    const { of, idle } = settings.get(name) ?? {};
    if (!of || idle) continue;
    const parameter = space.byName.get(of.setting);
    const possible = [
      ...(parameter?.kind === 'categorical' ? parameter.values : []),
      ...(!parameter || parameter.condition ? [fixed[of.setting] ?? settings.get(of.setting)!.default] : []),
    ];
    if (!possible.some((value) => of.names.some((other) => other === value)))
      violations.push({
        field: at + name,
        description: `expected none with ${of.setting}: ${possible.map((value) => value ?? 'none').join(' or ')}; it is of ${of.names.join(' and ')}`,
      });
  }
  if (violations.length > 0) return violations;
  const found = [...corners(space, 'min'), ...corners(space, 'max')].map((values) => {
    try {
      trialSettings(values, fixed, {});
      return [];
    } catch (error) {
      if (!(error instanceof InvalidArgument)) throw error;
      return error.violations;
    }
  });
  const [first = [], ...others] = found;
  return first
    .filter(
      ({ field }) =>
        [...given].some((name) => name === field || name.startsWith(`${field}.`)) &&
        others.every((other) => other.some((violation) => violation.field === field)),
    )
    .map(({ field, description }) => ({ field: at + field, description }));
}

/**
 * @param known Names of the message's other fields, for the nearest one.
 * @param parameters Names of the search's parameters, in their order.
 * @param space Undefined where it could not be read.
 */
export function fixedSettings(
  messages: tuning.TrainingSpec['settings'] | undefined,
  {
    known,
    parameters,
    space,
  }: { known: readonly string[]; parameters: readonly string[]; space: SearchSpace | undefined },
): { readonly fixed: FixedSettings; readonly violations: readonly Violation[] } {
  const violations: Violation[] = [];
  const names = [...known, ...fixable];
  const named = namedSettings(plainSettings(messages ?? {}), violations, { known: names, at });
  const refuse = (name: string, description: string) => violations.push({ field: at + name, description });
  const given = new Set<string>();
  for (const [name, value] of named) {
    const setting = settings.get(name);
    const i = parameters.indexOf(name);
    if (i >= 0) refuse(name, `expected none beside ${fieldPath(['parameters', i])}, which searches over it`);
    else if (setting?.ofRun) {
      const near = nearest(name, names);
      refuse(
        name,
        near
          ? `unknown field, did you mean "${near}"?`
          : 'expected none: it is of one run, not of all trials',
      );
    } else if (setting && !accepts(setting, value))
      refuse(name, `expected ${setting.expects}, got ${show(value)}`);
    else given.add(name);
  }
  const usual = [...settings.values()].flatMap(({ name, ofRun, default: value }) =>
    value === undefined || ofRun || parameters.includes(name) || given.has(name)
      ? []
      : [[name, value] as const],
  );
  const fixed = Object.fromEntries([...[...given].map((name) => [name, named.get(name)] as const), ...usual]);
  if (violations.length === 0 && space) violations.push(...contradictions(fixed, given, space));
  return { fixed, violations };
}
