/** Predictions as what metrics and tests read. Pure. */
import {
  type ConstantBaseline,
  classificationMeasure,
  isRegression,
  type LabelOutcome,
  labelError,
  type Meaning,
  type Measure,
  type Metrics,
  type NumberOutcome,
  regressionMeasure,
  squaredError,
  type Task,
} from '@emotune/affect';
import type { Prediction } from '@emotune/records';

/** The answer is on the asked scale or label set. */
export function isValid({ task, value, labels, labelSet, multiLabel }: Prediction): boolean {
  if (isRegression(task)) return value !== null && value >= 0 && value <= 1;
  const count = multiLabel ? labels.length >= 1 : labels.length === 1;
  return count && labels.every((label) => labelSet.includes(label));
}

/** An answer that is no number counts as the middle of the scale. */
export function numberOutcome({ gold, value, low, high, crps, nll }: Prediction): NumberOutcome {
  return {
    gold: gold.value ?? 0.5,
    answer: value ?? 0.5,
    nll: nll ?? undefined,
    interval: low === null || high === null ? undefined : [low, high],
    crps: crps ?? undefined,
  };
}

/** The same with what the constant answers to each question. */
function besideConstant(constant: ConstantBaseline): (prediction: Prediction) => NumberOutcome {
  return (p) => ({ ...numberOutcome(p), constant: constant.answer(p)?.value ?? undefined });
}

export function labelOutcome({ gold, labels, confidence, within, nll }: Prediction): LabelOutcome {
  return {
    within: within.length === 0 ? undefined : within,
    gold: gold.labels,
    answer: labels,
    confidence: confidence ?? undefined,
    nll: nll ?? undefined,
  };
}

/** Squared error, or 1 − Jaccard (0/1 where one label is right), by example. */
export function losses(predictions: readonly Prediction[]): number[] {
  return predictions.map((p) =>
    isRegression(p.task) ? squaredError(numberOutcome(p)) : labelError(labelOutcome(p)),
  );
}

/** The metrics of predictions of one task. */
export function measureOf(
  task: Task,
  predictions: readonly Prediction[],
  constant?: ConstantBaseline,
): Measure {
  return isRegression(task)
    ? regressionMeasure(predictions.map(constant ? besideConstant(constant) : numberOutcome))
    : classificationMeasure(predictions.map(labelOutcome));
}

/** As a message has them. */
export function present(metrics: Metrics): Record<string, number> {
  return { ...metrics } as Record<string, number>;
}

/** "joy 0.75" on the declared scale, or "anger, fear". */
export function shown({ scale, decimals, emotion }: Prediction, { value, labels }: Meaning): string {
  if (value === null) return labels.join(', ') || 'none';
  const { low, high } = scale ?? { low: 0, high: 1 };
  const number = (low + value * (high - low)).toFixed(decimals);
  return emotion === null ? number : `${emotion} ${number}`;
}

/** How sure an answer is: the probability that its labels are right, or 1 less the width of its 80 % interval. */
export function sureness({ task, confidence, low, high }: Prediction): number | undefined {
  if (!isRegression(task)) return confidence ?? undefined;
  return low === null || high === null ? undefined : 1 - (high - low);
}
