/** From what users write, nested or with dots, to the settings of a run; errors are told by the names that they wrote. */
import { parse, show, unknownField, Violations } from '@emotune/base';
import { z } from 'zod';
import { type TrainingSettings, trainingSettings, usualLearningRate } from './settings.js';
import { absent, type Owner, type Setting, settings } from './settings-table.js';

/** Settings by their names, as they were given: not checked. A group without any (`loss.numberTokens: {}`) is its name and {}. */
type NamedSettings = ReadonlyMap<string, unknown>;

interface Group {
  readonly place: readonly string[];
  /** Of all that is in it. */
  readonly of: Owner | undefined;
}

/** What is in a group says where it lies and whose it is. */
function groupsOf(all: Iterable<Setting>): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const { name, place, of } of all) {
    const words = name.split('.');
    for (let depth = 1; depth < words.length; depth++) {
      const group = words.slice(0, depth).join('.');
      const within = of?.setting.startsWith(`${group}.`) ? undefined : of;
      groups.set(group, { place: place.slice(0, place.length - words.length + depth), of: within });
    }
  }
  return groups;
}

const groups = groupsOf(settings.values());
/** Settings that are mappings themselves: a dot behind their names leads to a key. */
const mappings = [...settings.keys()].filter((name) => settings.get(name)!.expects.startsWith('mappings'));

function isMapping(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/**
 * @param known What else may be said beside the settings, for the nearest name.
 * @param violations Gets what is no setting, or said twice.
 */
export function namedSettings(
  given: Readonly<Record<string, unknown>>,
  violations: Violations,
  { known = [...settings.keys()], at = '' }: { known?: readonly string[]; at?: string } = {},
): NamedSettings {
  const found = new Map<string, unknown>();
  const wrong = (name: string, description: string) => violations.add(at + name, description);
  const add = (name: string, value: unknown) => {
    if (found.has(name)) wrong(name, 'expected once, got it nested and with dots');
    found.set(name, value);
  };
  const read = (name: string, value: unknown): void => {
    const mapping = mappings.find((other) => name.startsWith(`${other}.`));
    if (settings.has(name)) add(name, value);
    else if (mapping !== undefined) {
      const before = found.get(mapping);
      found.set(mapping, { ...(isMapping(before) ? before : {}), [name.slice(mapping.length + 1)]: value });
    } else if (!groups.has(name)) wrong(name, unknownField(name, known));
    else if (!isMapping(value)) wrong(name, `expected a mapping, got ${show(value)}`);
    else if (Object.keys(value).length === 0) add(name, {});
    else for (const [key, item] of Object.entries(value)) read(`${name}.${key}`, item);
  };
  for (const [name, value] of Object.entries(given)) if (value !== undefined) read(name, value);
  return found;
}

/** What is chosen of the names of a setting: what is given, else its default. */
function chosen(named: NamedSettings, setting: string): unknown {
  return named.get(setting) ?? settings.get(setting)!.default ?? absent;
}

/** Whose a setting or group is, where that is not chosen. */
function foreign(named: NamedSettings, name: string): Owner | undefined {
  const of = (settings.get(name) ?? groups.get(name))?.of;
  return of && !of.names.some((other) => other === chosen(named, of.setting)) ? of : undefined;
}

/** Those that belong to what is chosen; of the others too, where `keeps` says so. */
function applicable(named: NamedSettings, keeps: (name: string) => boolean): NamedSettings {
  return new Map([...named].filter(([name]) => keeps(name) || foreign(named, name) === undefined));
}

/** Whether a value is one of the setting, whatever else is chosen. */
export function accepts({ variants }: Setting, value: unknown): boolean {
  return variants.some(({ type }) => type.safeParse(value).success);
}

/** Settings that others belong to. */
const choices = new Set([...settings.values()].flatMap(({ of }) => of?.setting ?? []));

/** Choices of which no such name is known. */
function unknownChoices(named: NamedSettings): string[] {
  return [...choices].filter((name) => named.has(name) && !accepts(settings.get(name)!, named.get(name)));
}

const nameAt = new Map([...settings.values()].map(({ name, place }) => [place.join('.'), name]));

/** A path in `TrainingSettings` in the words of users. */
function wordsOf(path: string): string {
  const place = path.replace(/\[\d+\].*$/, '');
  return (nameAt.get(place) ?? place) + path.slice(place.length);
}

function put(root: Record<string, unknown>, place: readonly string[], value: unknown): void {
  let at = root;
  for (const key of place.slice(0, -1)) {
    at[key] ??= {};
    at = at[key] as Record<string, unknown>;
  }
  const last = place[place.length - 1];
  at[last] = isMapping(value) && isMapping(at[last]) ? { ...value, ...at[last] } : value;
}

/**
 * @param violations What was found before.
 * @param pathOf Where the user wrote what has this name.
 * @throws InvalidArgument with `violations`, every value that cannot be, and what contradicts another.
 */
function settingsOf(
  given: NamedSettings,
  violations: Violations,
  pathOf: (name: string) => string = (name) => name,
): TrainingSettings {
  const refuse = (name: string, description: string) => violations.add(pathOf(name), description);
  const unknown = unknownChoices(given);
  for (const name of unknown)
    refuse(name, `expected ${settings.get(name)!.expects}, got ${show(given.get(name))}`);
  const root: Record<string, unknown> = {};
  for (const [name, value] of given) {
    const setting = settings.get(name);
    const { of, place } = (setting ?? groups.get(name))!;
    if (unknown.includes(of?.setting ?? name)) continue;
    if (foreign(given, name)) {
      if (setting?.idle) {
        violations.collect(
          () => parse(setting.variants[0].type, value),
          () => pathOf(name),
        );
        continue;
      }
      const choice = `${of!.setting}: ${chosen(given, of!.setting)}`;
      const unsaid = given.has(of!.setting) ? '' : `, and ${of!.setting} is not given`;
      refuse(name, `expected none with ${choice}; it is of ${of!.names.join(' and ')}${unsaid}`);
    } else if (!choices.has(name) || value !== absent) put(root, place, value);
  }
  // What belongs to a choice has to stand beside it.
  for (const name of choices) {
    const { place, default: usual } = settings.get(name)!;
    if (usual !== undefined && (!given.has(name) || unknown.includes(name))) put(root, place, usual);
  }
  if (!given.has('learningRate')) {
    const usual = usualLearningRate(chosen(given, 'method'), chosen(given, 'optimizer'));
    put(root, settings.get('learningRate')!.place, usual);
  }
  const parsed = violations.collect(
    () => parse(trainingSettings, root),
    (path) => pathOf(wordsOf(path)),
  );
  violations.throwIfAny();
  return parsed!;
}

/** @throws InvalidArgument naming everything that is wrong. */
export function parseSettings(given: Readonly<Record<string, unknown>>): TrainingSettings {
  const violations = new Violations();
  return settingsOf(namedSettings(given, violations), violations);
}

/**
 * A file of settings with other fields beside them, such as `train.yaml`.
 * @throws InvalidArgument naming everything that is wrong.
 */
export function parseSettingsFile<T extends z.ZodObject>(
  given: unknown,
  fields: T,
): { beside: z.output<T>; settings: TrainingSettings } {
  const violations = new Violations();
  const others = Object.keys(fields.shape);
  const isOther = ([name]: [string, unknown]) => others.includes(name);
  const entries = Object.entries(parse(z.record(z.string(), z.unknown()), given));
  const beside = violations.collect(() => parse(fields, Object.fromEntries(entries.filter(isOther))));
  const rest = Object.fromEntries(entries.filter((entry) => !isOther(entry)));
  const named = namedSettings(rest, violations, { known: [...settings.keys(), ...others] });
  // Throws where there are violations.
  return { settings: settingsOf(named, violations), beside: beside! };
}

/**
 * What one trial of a search is told: a tuned parameter comes before a fixed setting, and a fixed setting of what the trial
 * does not choose says nothing to it.
 * @param own Of this run.
 * @throws InvalidArgument naming every parameter or setting that training does not accept.
 */
export function trialSettings(
  parameters: Readonly<Record<string, unknown>>,
  training: Readonly<Record<string, unknown>>,
  own: Partial<Pick<TrainingSettings, 'threads' | 'tokens' | 'until' | 'seed' | 'memoryLimitMiB'>>,
): TrainingSettings {
  const violations = new Violations();
  // The architecture chooses the base model, which training is given.
  const { architecture: _, ...values } = parameters;
  const tuned = namedSettings(values, violations, { at: 'parameters.' });
  const fixed = namedSettings(training, violations, { at: 'training.' });
  const all = new Map([...fixed, ...tuned, ...namedSettings(own, violations)]);
  const isValue = (name: string) => settings.has(name) && !accepts(settings.get(name)!, all.get(name));
  return settingsOf(
    applicable(all, (name) => tuned.has(name)),
    violations,
    // What contradicts another is told by its name alone: the other may stand elsewhere.
    (path) => {
      const name = path.replace(/\[.*$/, '');
      if (!isValue(name)) return path;
      return tuned.has(name) ? `parameters.${path}` : fixed.has(name) ? `training.${path}` : path;
    },
  );
}
