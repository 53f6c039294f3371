/** What trials cost, predicted from the costs of earlier ones by a Gaussian process on their logarithms. */
import { lessonOf, type TrialRecord } from './history.js';
import { type Assignment, allows, type SearchSpace } from './space.js';
import { featuresOf, fittedProcess } from './surrogate.js';

const leastTrials = 5;
const maxPoints = 200;

interface CostModel {
  /** log of the cost of a trial of these values, in the records' unit. */
  logOf(values: Assignment): number;
}

/** Undefined before 5 whole trials have told their cost. Stopped trials say little of what a whole one costs. */
export function learnedCost(space: SearchSpace, history: readonly TrialRecord[]): CostModel | undefined {
  const { categorical, encode } = featuresOf(space);
  const known = history
    .filter(
      (r) =>
        r.state === 'succeeded' &&
        lessonOf(r) === 'measured' &&
        Number.isFinite(r.cost) &&
        (r.cost as number) > 0 &&
        allows(space, r.parameters),
    )
    .slice(-maxPoints);
  if (known.length < leastTrials || categorical.length === 0) return undefined;
  const logs = known.map(({ cost }) => Math.log(cost as number));
  const mean = logs.reduce((sum, log) => sum + log / logs.length, 0);
  const rows = known.map(({ parameters }) => encode(parameters));
  const process = fittedProcess(
    { categorical, rows },
    Float64Array.from(logs, (log) => log - mean),
  );
  return { logOf: (values) => mean + process.at(encode(values)).mean };
}
