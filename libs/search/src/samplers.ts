/** The search algorithms by name. A new one is a file in `samplers/` and a row here. */
import { fieldPath, InvalidArgument, nearest, own, parse } from '@emotune/base';
import type { TrialRecord } from './history.js';
import type { Choice, LineageRules, Sampler, SamplerSettings, SuggestContext } from './sampler.js';
import { auto } from './samplers/auto.js';
import { cmaEs } from './samplers/cma-es.js';
import { gp } from './samplers/gp.js';
import { grid } from './samplers/grid.js';
import { nsga2 } from './samplers/nsga2.js';
import { pbt } from './samplers/pbt.js';
import { random } from './samplers/random.js';
import { sobol } from './samplers/sobol.js';
import { tpe } from './samplers/tpe.js';
import {
  type Assignment,
  accept,
  type Parameter,
  type ParameterValue,
  parseAssignment,
  type SearchSpace,
} from './space.js';

const samplers: ReadonlyMap<string, Sampler> = new Map<string, Sampler>([
  ['auto', auto],
  ['random', random],
  ['grid', grid],
  ['sobol', sobol],
  ['tpe', tpe],
  ['gp', gp],
  ['cma-es', cmaEs],
  ['nsga2', nsga2],
  ['pbt', pbt],
]);

const defaultSampler = 'auto';

/** The name of every sampler. */
export const samplerNames: readonly string[] = [...samplers.keys()];

/** A sampler by name with its settings. */
export interface SearchAlgorithm {
  readonly name: string;
  readonly settings: SamplerSettings;
}

/**
 * Checks a sampler's name and settings; an empty or absent name means auto. Settings that are left out get their
 * defaults.
 * @throws InvalidArgument naming the unknown sampler with its nearest, or every wrong setting.
 */
export function parseSearchAlgorithm(
  input: { readonly name?: string; readonly settings?: unknown },
  path: readonly PropertyKey[] = ['searchAlgorithm'],
): SearchAlgorithm {
  const name = input.name || defaultSampler;
  const sampler = samplers.get(name);
  if (!sampler) {
    const near = nearest(name, samplerNames);
    const hint =
      near === undefined ? `, expected one of ${samplerNames.join(', ')}` : `, did you mean "${near}"?`;
    throw InvalidArgument.at(fieldPath([...path, 'name']), `no sampler is called "${name}"${hint}`);
  }
  return { name, settings: parse(sampler.settings, input.settings ?? {}, [...path, 'settings']) };
}

/** Draws that a prior of feasibility refuses before the likeliest of them is taken. */
const priorDraws = 64;
/** Least prior probability to work. */
const priorLeast = 0.5;

/** What the next trial is to be. */
export interface Suggestion {
  readonly values: Assignment;
  /** Number of the trial from whose last checkpoint it goes on; undefined where it begins anew. */
  readonly origin: number | undefined;
}

/**
 * The next trial; see `Sampler.suggest`. Where the context says beforehand what works, values that are less likely to than
 * not are drawn again; of 64 draws that are all unlikely, the likeliest counts.
 * @throws InvalidArgument when the algorithm is unknown or its settings are wrong.
 */
export function suggestion(
  algorithm: { readonly name?: string; readonly settings?: unknown },
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
): Suggestion {
  const { name, settings } = parseSearchAlgorithm(algorithm);
  const chosen = samplers.get(name) as Sampler;
  const by = (sampler: Sampler, own: SuggestContext): Suggestion => ({
    values: sampler.suggest(space, history, own, settings),
    origin: sampler.lineage?.origin(space, history, own, settings),
  });
  const first = by(chosen, context);
  const { feasibility, seed } = context;
  if (!feasibility) return first;
  let likeliest = { ...first, chance: feasibility(first.values) };
  for (let i = 1; i < priorDraws && likeliest.chance < priorLeast; i++) {
    // What a sampler holds to be best may be refused again and again; random values are not.
    const sampler = i < priorDraws / 4 ? chosen : random;
    const other = by(sampler, { ...context, seed: JSON.stringify([seed, 'draw', i]) });
    const chance = feasibility(other.values);
    if (chance > likeliest.chance) likeliest = { ...other, chance };
  }
  return likeliest;
}

/** Values for the next trial alone: `suggestion`. */
export function suggest(
  algorithm: { readonly name?: string; readonly settings?: unknown },
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
): Assignment {
  return suggestion(algorithm, space, history, context).values;
}

/** Which sampler a trial's values are from and why; undefined where the algorithm leaves that to no other. */
export function samplerChoice(
  algorithm: SearchAlgorithm,
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
): Choice | undefined {
  return samplers.get(algorithm.name)?.choice?.(space, history, context, algorithm.settings);
}

/** How an algorithm's trials go on from each other; undefined where each begins anew. */
export function lineageOf({ name }: Pick<SearchAlgorithm, 'name'>): LineageRules | undefined {
  return samplers.get(name)?.lineage;
}

/**
 * Values for the trial that comes first: declared defaults, with what has none drawn at random. Undefined where no
 * parameter declares a default, and where the context holds them to be unlikely to work.
 */
export function suggestDefaults(space: SearchSpace, context: SuggestContext): Assignment | undefined {
  if (space.parameters.every((parameter) => parameter.default === undefined)) return undefined;
  const values = random.suggest(
    narrowed(space, (parameter) => parameter.default),
    [],
    context,
    {},
  );
  return (context.feasibility?.(values) ?? 1) < priorLeast ? undefined : values;
}

/** The space with one value of each parameter of which `only` gives one. */
function narrowed(
  space: SearchSpace,
  only: (parameter: Parameter) => ParameterValue | undefined,
): SearchSpace {
  const parameters = space.parameters.map((parameter): Parameter => {
    const value = only(parameter);
    if (value === undefined) return parameter;
    const { name, condition } = parameter;
    return { name, ...(condition ? { condition } : {}), kind: 'categorical', values: [value] };
  });
  return { parameters, byName: new Map(parameters.map((parameter) => [parameter.name, parameter])) };
}

/**
 * Values for a trial of which some are given, as Optuna completes an enqueued one: a missing parameter takes its declared
 * default, or what the sampler suggests beside the given categories.
 * @throws InvalidArgument as `parseAssignment`.
 */
export function completed(
  algorithm: SearchAlgorithm,
  space: SearchSpace,
  given: Readonly<Record<string, unknown>>,
  history: readonly TrialRecord[],
  context: SuggestContext,
): Assignment {
  let suggested: Assignment | undefined;
  return parseAssignment(space, given, ['parameters'], ({ name }) => {
    // What decides which parameters there are is kept to; numbers of other trials still teach.
    suggested ??= suggest(algorithm, narrowed(space, choiceOf), history, context);
    return own(suggested, name);
  });

  function choiceOf(parameter: Parameter): ParameterValue | undefined {
    const { name, kind } = parameter;
    const decides = space.parameters.some(({ condition }) => condition?.parameter === name);
    if (kind !== 'categorical' && !decides) return undefined;
    return accept(parameter, own(given, name) ?? parameter.default);
  }
}
