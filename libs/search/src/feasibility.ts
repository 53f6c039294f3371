/**
 * How likely a trial is to work, by what became of trials, learned in two ways: by a Gaussian process, 1 where they worked and −1
 * where not (least-squares classification, Rasmussen and Williams 2006, section 6.5), squashed; and by a regression whose log odds are
 * linear, for walls that several numbers make together (`linear-feasibility.ts`). Counts what says of each trial without it what is
 * likeliest, weighed against the share of the trials that worked, and only where it says clearly more than that share: a process
 * of a few failures is soon surer than it is right. Beside a wall
 * that is sharper than the process, what lies right beside a trial that did not work, and nearer to it than to one that
 * did, is no likelier to work than not.
 */
import { isTold, lessonOf, type TrialRecord, violationOf } from './history.js';
import { linearFeasibility } from './linear-feasibility.js';
import type { Inputs } from './matern.js';
import { cdf } from './normal.js';
import { type Assignment, allows, type SearchSpace } from './space.js';
import { featuresOf, fittedProcess } from './surrogate.js';

/** Trials of each outcome that are learnt from, at most: the latest. */
const maxPoints = 60;

/** r² below which a kernel is above 0.96, so that the process hardly tells two points apart. */
const beside = 0.05;

/** Probability that a trial of these values works. */
export type Feasibility = (values: Assignment) => number;

function isWorking(record: TrialRecord): boolean {
  return lessonOf(record) === 'measured' && violationOf(record) === 0;
}

/**
 * What a history teaches; trials that violate their constraints count as not working. Undefined where all trials work, or
 * none does.
 */
export function learnedFeasibility(
  space: SearchSpace,
  history: readonly TrialRecord[],
): Feasibility | undefined {
  const latest = (works: boolean): TrialRecord[] => {
    const found: TrialRecord[] = [];
    for (let i = history.length - 1; i >= 0 && found.length < maxPoints; i--) {
      const record = history[i];
      if (isTold(record) && isWorking(record) === works && allows(space, record.parameters))
        found.push(record);
    }
    return found.reverse();
  };
  const failed = latest(false);
  if (failed.length === 0) return undefined;
  const worked = latest(true);
  const { categorical, encode } = featuresOf(space);
  if (worked.length === 0 || categorical.length === 0) return undefined;
  const mean = (worked.length - failed.length) / (worked.length + failed.length);
  const rows = [...worked, ...failed].map(({ parameters }) => encode(parameters));
  const y = Float64Array.from(rows, (_, i) => (i < worked.length ? 1 : -1) - mean);
  const worksAt = (i: number) => i < worked.length;
  const inputs: Inputs = { categorical, rows };
  return evident([...processes(inputs, y, mean, worksAt), ...linear(inputs, worksAt)], worksAt, encode);
}

/** What one way to learn says. */
interface Candidate {
  /** Of each trial [n] without it. */
  readonly withoutEach: Float64Array;
  at(x: Float64Array): number;
}

const slopes = [0.5, 1, 1.5, 2, 3, 4, 6, 8];
const shifts = [-1.5, -1, -0.5, 0, 0.5];

/** The process of `y`, to which `mean` is added, squashed in several ways (equation 6.42). */
function processes(
  inputs: Inputs,
  y: Float64Array,
  mean: number,
  worked: (i: number) => boolean,
): Candidate[] {
  const process = fittedProcess(inputs, y);
  const { means, variances } = process.leaveOneOut(y);
  return slopes.flatMap((slope) =>
    shifts.map((shift): Candidate => {
      const squashed = (above: number, variance: number) =>
        cdf((slope * (above + mean) + shift) / Math.sqrt(1 + slope * slope * variance));
      return {
        withoutEach: means.map((above, i) => squashed(above, variances[i])),
        at: (x) => {
          const { mean: above, variance, nearest, r2 } = process.nearestAt(x);
          const chance = squashed(above, variance);
          return !worked(nearest) && r2 < beside ? Math.min(0.5, chance) : chance;
        },
      };
    }),
  );
}

/** Of the weights' prior: walls that are blurred, and sharp ones. */
const deviations = [1, 4, 16, 64];

function linear(inputs: Inputs, worked: (i: number) => boolean): Candidate[] {
  return deviations.flatMap((deviation) => linearFeasibility(inputs, worked, deviation) ?? []);
}

const weights = [0.25, 0.5, 0.75, 0.9, 0.97];
/** By how many nats something has to say better what became of trials than the share that worked, before it counts. */
const leastEvidence = 1;

/**
 * The candidate under which what is said of each trial without it is likeliest, weighed against the share of the trials that worked,
 * which alone counts where none says more.
 */
function evident(
  candidates: readonly Candidate[],
  worked: (i: number) => boolean,
  encode: (values: Assignment) => Float64Array,
): Feasibility {
  const n = candidates[0].withoutEach.length;
  const all = candidates[0].withoutEach.reduce((count, _, i) => count + Number(worked(i)), 0);
  const rates = Float64Array.from({ length: n }, (_, i) => (all - Number(worked(i)) + 1) / (n + 1));
  const likelihoodOf = (chanceOf: (i: number) => number) =>
    rates.reduce((sum, _, i) => sum + Math.log(worked(i) ? chanceOf(i) : 1 - chanceOf(i)), 0);
  const rate = (all + 1) / (n + 2);
  let best = { candidate: candidates[0], weight: 0 };
  let most = likelihoodOf((i) => rates[i]) + leastEvidence;
  for (const candidate of candidates)
    for (const weight of weights) {
      const likelihood = likelihoodOf((i) => weight * candidate.withoutEach[i] + (1 - weight) * rates[i]);
      if (likelihood > most) [best, most] = [{ candidate, weight }, likelihood];
    }
  const { candidate, weight } = best;
  return weight === 0 ? () => rate : (values) => weight * candidate.at(encode(values)) + (1 - weight) * rate;
}

/** The latest trials that show whether caution was enough. */
const watched = 20;

/** How many of the latest 20 trials that tell something did not work. */
export function lateFailures(history: readonly TrialRecord[]): number {
  return history
    .filter(isTold)
    .slice(-watched)
    .filter((r) => !isWorking(r)).length;
}

/**
 * Least probability to work that a trial has to have: `least`, and nearer to 1 the more of the latest 20 trials that tell
 * something did not work, half of what is missing for each but `spared`.
 */
export function cautionAfter(history: readonly TrialRecord[], least: number, spared = 1): number {
  return 1 - (1 - least) * 0.5 ** Math.max(0, lateFailures(history) - spared);
}
