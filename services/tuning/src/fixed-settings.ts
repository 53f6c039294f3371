/** What an experiment fixes of training, in full, and whether its search can live with it. Pure. */
import { fieldPath, nearest, show, type Violation, Violations } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import type { SearchSpace } from '@emotune/search';
import { accepts, namedSettings, settings, trialSettings } from '@emotune/training';
import { corners } from './corners.js';

/** By their names; {} turns on what the name is a group of. */
export type FixedSettings = tuning.TrainingSpec['settings'];

const at = 'training.';
/** Those that an experiment has no other word for. */
const fixable = [...settings.values()].filter(({ ofRun }) => !ofRun).map(({ name }) => name);

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
        description: `expected none with ${of.setting}: ${possible.map((value) => value ?? 'none').join(' or ')}; it is of ${of.names.join(' and ')}${parameter || given.has(of.setting) ? '' : `, and ${of.setting} is not given`}`,
      });
  }
  if (violations.length > 0) return violations;
  const found = [...corners(space, 'min'), ...corners(space, 'max')].map((values) => {
    const refused = new Violations();
    refused.collect(() => trialSettings(values, fixed, {}));
    return refused.list;
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
  given: FixedSettings | undefined,
  {
    known,
    parameters,
    space,
  }: { known: readonly string[]; parameters: readonly string[]; space: SearchSpace | undefined },
): { readonly fixed: FixedSettings; readonly violations: readonly Violation[] } {
  const violations = new Violations();
  const names = [...known, ...fixable];
  const named = namedSettings(given ?? {}, violations, { known: names, at });
  const refuse = (name: string, description: string) => violations.add(at + name, description);
  const taken = new Set<string>();
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
    else taken.add(name);
  }
  const usual = [...settings.values()].flatMap(({ name, ofRun, default: value }) =>
    value === undefined || ofRun || parameters.includes(name) || taken.has(name)
      ? []
      : [[name, value] as const],
  );
  const fixed = Object.fromEntries([
    ...[...taken].map((name) => [name, named.get(name)] as const),
    ...usual,
  ]) as FixedSettings;
  if (violations.list.length === 0 && space) violations.addAll(contradictions(fixed, taken, space));
  return { fixed, violations: violations.list };
}
