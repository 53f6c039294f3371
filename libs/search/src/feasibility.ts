/**
 * How likely a trial is to work: a Gaussian process on what became of trials, 1 where they worked and −1 where not
 * (least-squares classification, Rasmussen and Williams 2006, section 6.5), squashed so that what it says of each trial
 * without it is likeliest. It learns which parameters decide, and how near the edge of what works one may go. Beside a wall
 * that is sharper than the process, what lies right beside a trial that did not work, and nearer to it than to one that
 * did, is no likelier to work than not.
 */
import { isTold, lessonOf, type TrialRecord, violationOf } from './history.js';
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
  const process = fittedProcess({ categorical, rows }, y);
  const { means, variances } = process.leaveOneOut(y);
  const { slope, shift } = calibrated(
    means.map((m) => m + mean),
    variances,
    (i) => i < worked.length,
  );
  return (values) => {
    const x = encode(values);
    const { mean: above, variance } = process.at(x);
    const chance = squashed(above + mean, variance, slope, shift);
    const { index, r2 } = process.nearest(x);
    return index >= worked.length && r2 < beside ? Math.min(0.5, chance) : chance;
  };
}

function squashed(mean: number, variance: number, slope: number, shift: number): number {
  return cdf((slope * mean + shift) / Math.sqrt(1 + slope * slope * variance));
}

const slopes = [0.5, 1, 1.5, 2, 3, 4, 6, 8];
const shifts = [-1.5, -1, -0.5, 0, 0.5];

/** Slope and shift under which what is said of each trial without it is likeliest (equation 6.42). */
function calibrated(means: Float64Array, variances: Float64Array, worked: (i: number) => boolean) {
  let best = { slope: 1, shift: 0, likelihood: -Infinity };
  for (const slope of slopes)
    for (const shift of shifts) {
      let likelihood = 0;
      for (let i = 0; i < means.length; i++) {
        const p = squashed(means[i], variances[i], slope, shift);
        likelihood += Math.log(Math.max(1e-12, worked(i) ? p : 1 - p));
      }
      if (likelihood > best.likelihood) best = { slope, shift, likelihood };
    }
  return best;
}

/** The latest trials that show whether caution was enough. */
const watched = 20;

/**
 * Least probability to work that a trial has to have: `least`, and nearer to 1 the more of the latest 20 trials that tell
 * something did not work, half of what is missing for each but one.
 */
export function cautionAfter(history: readonly TrialRecord[], least: number): number {
  const failed = history
    .filter(isTold)
    .slice(-watched)
    .filter((r) => !isWorking(r)).length;
  return 1 - (1 - least) * 0.5 ** Math.max(0, failed - 1);
}
