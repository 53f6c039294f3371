/** What the trials known at some time say for single values. */
import { bestMeasured } from './fronts.js';
import { lessonOf, type TrialRecord } from './history.js';
import { encodingOf, ParzenEstimator } from './parzen.js';
import { type Assignment, onlyValue, type ParameterValue, type SearchSpace } from './space.js';

/** As TPE's defaults: fewer measured trials say nothing, a tenth of them is good, kernels are neighbour-wide. */
const minTrials = 10;
const goodShare = 0.1;
const kernels = { priorWeight: 1, bandwidthFloor: 0 };

export interface Evidence {
  readonly parameter: string;
  readonly value: ParameterValue;
  /** Log of the density of the good trials at the value over that of the others; absent while too few are known. */
  readonly logRatio?: number;
}

/**
 * For each value of a parameter that has a choice: how much denser the good trials lie there than all others, the
 * parameter taken alone (Bergstra et al. 2011, section 4).
 */
export function evidenceFor(
  space: SearchSpace,
  history: readonly TrialRecord[],
  values: Assignment,
): Evidence[] {
  const known = history.filter((record) => lessonOf(record) !== 'nothing');
  return space.parameters.flatMap((parameter): Evidence[] => {
    const { name } = parameter;
    if (!Object.hasOwn(values, name) || onlyValue(parameter) !== undefined) return [];
    const encoding = encodingOf(parameter);
    const having = known.filter(
      ({ parameters }) => Object.hasOwn(parameters, name) && !Number.isNaN(encoding.encode(parameters[name])),
    );
    const measured = having.filter((record) => lessonOf(record) === 'measured');
    if (measured.length < minTrials) return [{ parameter: name, value: values[name] }];
    const good = new Set(bestMeasured(measured, Math.ceil(goodShare * measured.length)));
    const densityOf = (records: readonly TrialRecord[]) =>
      new ParzenEstimator(
        [encoding],
        [Float64Array.from(records, ({ parameters }) => encoding.encode(parameters[name]))],
        kernels,
      ).logDensity([values[name]]);
    const logRatio =
      densityOf(having.filter((record) => good.has(record))) -
      densityOf(having.filter((record) => !good.has(record)));
    return [{ parameter: name, value: values[name], logRatio }];
  });
}
