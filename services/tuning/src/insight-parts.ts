/** What the trials of an experiment teach, from their records alone: pure, and long enough for a thread of its own. */
import { FailedPrecondition } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import {
  hypervolume,
  optimizationHistory,
  ParameterEffects,
  parallelCoordinates,
  paretoSet,
  type SearchSpace,
  slices,
  type TrialRecord,
} from '@emotune/search';

/** Interactions are looked for between so many parameters, and shown from this share on. */
const mostInteracting = 6;
const leastInteraction = 0.01;
/** Beyond the worst value, where a front's volume ends. */
const referenceFactor = 1.1;
/** What an insight is made of: the search trials of an experiment. */
export interface Given {
  readonly experiment: string;
  readonly space: SearchSpace;
  readonly records: readonly TrialRecord[];
  /** The scores of measured trials. */
  readonly scores: readonly SubtaskScores[];
}

function importanceParts({
  space,
  records,
}: Given): Pick<tuning.Insight, 'importance' | 'importanceMissing' | 'interactions' | 'dependence'> {
  const effects = new ParameterEffects(space, records);
  try {
    const importance = effects.importance();
    const names = importance.map(({ parameter }) => parameter);
    const interactions: tuning.ParameterInteraction[] = [];
    names.slice(0, mostInteracting).forEach((first, i) => {
      for (const second of names.slice(i + 1, mostInteracting)) {
        const fanova = interaction(effects, first, second);
        if (fanova >= leastInteraction) interactions.push({ first, second, fanova });
      }
    });
    const dependence = names.map((name) => {
      const parameter = space.byName.get(name)!;
      return {
        parameter: name,
        log: parameter.kind !== 'categorical' && parameter.log,
        points: effects.dependence(name).map(({ value, mean, deviation }) => ({
          value,
          mean,
          standardDeviation: deviation,
        })),
      };
    });
    interactions.sort((a, b) => b.fanova - a.fanova);
    return { importance, importanceMissing: '', interactions, dependence };
  } catch (error) {
    if (!(error instanceof FailedPrecondition)) throw error;
    return { importance: [], importanceMissing: error.message, interactions: [], dependence: [] };
  }
}

/** 0 where too few trials have both parameters. */
function interaction(effects: ParameterEffects, first: string, second: string): number {
  try {
    return effects.interaction(first, second);
  } catch (error) {
    if (error instanceof FailedPrecondition) return 0;
    throw error;
  }
}

/** A trial's objective of each subtask, at its best measurement; with folds the mean over those that have ended. */
export interface SubtaskScores {
  readonly number: number;
  readonly scores: Readonly<Record<string, number>>;
}

/** Over the subtasks that all trials have; undefined where none has any. */
export function frontOf(trials: readonly SubtaskScores[]): tuning.TrialFront | undefined {
  const [first] = trials;
  if (!first) return undefined;
  const objectives = Object.keys(first.scores)
    .filter((name) => trials.every(({ scores }) => Number.isFinite(scores[name])))
    .sort();
  if (objectives.length === 0) return undefined;
  const points = trials.map(({ scores }) => objectives.map((name) => scores[name]));
  const optimal = new Set(paretoSet(points));
  const worst = objectives.map((_, m) => points.reduce((most, point) => Math.max(most, point[m]), -Infinity));
  const reference = worst.map((value) => Math.max(value * referenceFactor, value / referenceFactor));
  return {
    objectives,
    points: points.map((values, i) => ({ trial: trials[i].number, values, optimal: optimal.has(i) })),
    hypervolume: hypervolume(points, reference),
    reference,
  };
}

/** All but the lead of the best. */
export function insightOf(given: Given): Omit<tuning.Insight, 'best'> {
  const { experiment, space, records, scores } = given;
  const { axes, lines } = parallelCoordinates(space, records);
  return {
    experiment,
    ...importanceParts(given),
    history: optimizationHistory(records).map(({ number, objective, best }) => ({
      trial: number,
      objective,
      best,
    })),
    slices: slices(space, records).map(({ parameter, log, points }) => ({
      parameter,
      log,
      points: points.map(({ number, value, objective }) => ({
        trial: number,
        value,
        objective,
      })),
    })),
    parallelCoordinates: {
      axes: [...axes],
      lines: lines.map(({ number, objective, places }) => ({
        trial: number,
        objective,
        places: places.map((place) => ({ place: place ?? undefined })),
      })),
    },
    front: frontOf(scores),
  };
}
