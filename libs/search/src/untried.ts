/**
 * Suggestions of which none is tried twice: the trials of an experiment have one seed, so the same values would give the same
 * result to the last bit. Trials that run or wait count as tried, and so do those that their values failed; what a machine
 * lost may come again.
 */
import { Rng } from '@emotune/base';
import { Combinations, combinationsOf, keyOf } from './combinations.js';
import { type TrialRecord, triedIn } from './history.js';
import type { SuggestContext } from './sampler.js';
import { lineageOf, type SearchAlgorithm, type Suggestion, suggestion } from './samplers.js';
import type { Assignment, SearchSpace } from './space.js';

/** A space of more combinations is not looked through: no search has so many trials. */
const mostCombinations = 20_000;
/** Other suggestions of a sampler whose first one was tried, before one is drawn at random. */
const samplerDraws = 4;
const randomDraws = 4_096;
/** Untried combinations that a prior of feasibility is asked about. */
const weighed = 64;

const known = new WeakMap<SearchSpace, number>();

function countOf(space: SearchSpace): number {
  const count = known.get(space) ?? combinationsOf(space);
  known.set(space, count);
  return count;
}

/** What a search can try at all; undefined where it is not looked through. */
function within({ name, settings }: SearchAlgorithm, space: SearchSpace): Combinations | undefined {
  if (lineageOf({ name })) return undefined;
  const points = name === 'grid' ? settings['points'] : undefined;
  if (points === undefined && countOf(space) > mostCombinations) return undefined;
  return new Combinations(space, points ?? Infinity);
}

/** How many combinations a search has, and how many of them are left to try; both Infinity where there is no end of them. */
export function untried(
  algorithm: SearchAlgorithm,
  space: SearchSpace,
  history: readonly TrialRecord[],
): { readonly of: number; readonly left: number } {
  const all = within(algorithm, space);
  if (!all) return { of: Infinity, left: Infinity };
  const tried = new Set(
    triedIn(history)
      .filter(({ parameters }) => all.has(parameters))
      .map(({ parameters }) => keyOf(space, parameters)),
  );
  return { of: Number(all.count), left: Number(all.count) - tried.size };
}

/** An untried combination, by chance among those that are left, and one that is likely to work where there is such. */
function anyOf(
  all: Combinations,
  tried: (values: Assignment) => boolean,
  { seed, trialNumber, feasibility }: SuggestContext,
): Assignment | undefined {
  const start = BigInt(Rng.of(seed, 'untried', trialNumber).uint32());
  let likeliest: { values: Assignment; chance: number } | undefined;
  for (let [i, asked] = [0n, 0]; i < all.count && asked < weighed; i++) {
    const values = all.at((start + i) % all.count);
    if (tried(values)) continue;
    const chance = feasibility?.(values) ?? 1;
    asked++;
    if (!likeliest || chance > likeliest.chance) likeliest = { values, chance };
    if (chance >= 0.5) break;
  }
  return likeliest?.values;
}

/** The next trial (`suggestion`) with values that were not tried; undefined where there are none. */
export function untriedSuggestion(
  algorithm: SearchAlgorithm,
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
): Suggestion | undefined {
  const first = suggestion(algorithm, space, history, context);
  if (lineageOf(algorithm)) return first;
  const keys = new Set(triedIn(history).map(({ parameters }) => keyOf(space, parameters)));
  const tried = (values: Assignment) => keys.has(keyOf(space, values));
  if (!tried(first.values)) return first;
  const drawn = (by: SearchAlgorithm, draw: number) => {
    const seed = JSON.stringify([context.seed, 'again', by.name, draw]);
    return suggestion(by, space, history, { ...context, seed });
  };
  const all = within(algorithm, space);
  for (let i = 0; i < samplerDraws && algorithm.name !== 'grid'; i++) {
    const other = drawn(algorithm, i);
    if (!tried(other.values)) return other;
  }
  if (all) {
    const values = anyOf(all, tried, context);
    return values && { values, origin: undefined };
  }
  for (let i = 0; i < randomDraws; i++) {
    const other = drawn({ name: 'random', settings: {} }, i);
    if (!tried(other.values)) return other;
  }
  return first;
}
