/** From predictions to what is reported of a task: metrics with intervals, baselines, calibration, slices, hardest examples. */
import {
  bootstrapIntervals,
  type ConstantBaseline,
  classificationMeasure,
  confusionOf,
  correlationPermutation,
  hardest,
  holm,
  inquiryKey,
  isRegression,
  type LabelOutcome,
  labelCalibration,
  labelError,
  labelRows,
  type Meaning,
  type Measure,
  type Metrics,
  type NumberOutcome,
  numberCalibration,
  pairedPermutation,
  regressionMeasure,
  slicesOf,
  splitHalf,
  squaredError,
  type Task,
  vaderAnswer,
} from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import type { Prediction } from '@emotune/records';
import { skillMessage, taskMessage } from '@emotune/service/words';

/** What VADER and AFINN say about an English text. */
interface LexiconView {
  /** VADER's compound score, −1..1. */
  readonly vader: number;
  /** Some word of the text is known. */
  readonly covered: boolean;
}

export interface AnalysisOptions {
  /** Learnt from the train rows; empty where there are none. */
  readonly constant: ConstantBaseline;
  /** Undefined for a language that is not theirs; with such texts there is nothing of VADER to compare with. */
  readonly lexicon: (text: string, language: string) => LexiconView | undefined;
  readonly seed: number;
  /** What the model says to the same examples without calibration; empty where it is not calibrated. */
  readonly raw?: readonly Prediction[];
  /** How many of the hardest examples are shown. Default 10. */
  readonly hardestShown?: number;
}

export interface TaskAnalysis {
  readonly result: evaluation.TaskResult;
  readonly slices: evaluation.SliceResult[];
  readonly hardest: evaluation.HardExample[];
}

/** The answer is on the asked scale or label set. */
export function isValid({ task, value, labels, labelSet, multiLabel }: Prediction): boolean {
  if (isRegression(task)) return value !== null && value >= 0 && value <= 1;
  const count = multiLabel ? labels.length >= 1 : labels.length === 1;
  return count && labels.every((label) => labelSet.includes(label));
}

/** An answer that is no number counts as the middle of the scale. */
function numberOutcome({ gold, value, low, high, crps, nll }: Prediction): NumberOutcome {
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

function labelOutcome({ gold, labels, confidence, within, nll }: Prediction): LabelOutcome {
  return {
    within: within.length === 0 ? undefined : within,
    gold: gold.labels,
    answer: labels,
    confidence: confidence ?? undefined,
    nll: nll ?? undefined,
  };
}

/** What a baseline does not say. */
const unsaid = { low: null, high: null, confidence: null, within: [], crps: null, nll: null };

/** The same examples with the answers of a baseline; undefined unless it has one for each. */
function answeredBy(
  predictions: readonly Prediction[],
  answerOf: (prediction: Prediction) => Meaning | undefined,
): Prediction[] | undefined {
  const answered: Prediction[] = [];
  for (const prediction of predictions) {
    const answer = answerOf(prediction);
    if (!answer) return undefined;
    answered.push({ ...prediction, ...answer, ...unsaid });
  }
  return answered;
}

/** Squared error, or 1 − Jaccard (0/1 where one label is right), by example. */
function losses(predictions: readonly Prediction[]): number[] {
  return predictions.map((p) =>
    isRegression(p.task) ? squaredError(numberOutcome(p)) : labelError(labelOutcome(p)),
  );
}

/** Of the examples of which each rater's answer is known, where these are half of them at least. */
function ceilingOf(predictions: readonly Prediction[], rng: Rng): number | undefined {
  const rated = predictions.map(({ gold }) => gold.ratings).filter((ratings) => ratings.length > 1);
  return 2 * rated.length < predictions.length ? undefined : splitHalf(rated, rng);
}

/** p-value that the predictions are not better than VADER's answers to the same examples. */
function vaderTest(
  task: Task,
  predictions: readonly Prediction[],
  byVader: readonly Prediction[],
  rng: Rng,
): number | undefined {
  if (!isRegression(task)) return pairedPermutation(losses(predictions), losses(byVader), rng)?.notBetter;
  const answers = (rows: readonly Prediction[]) => rows.map((p) => numberOutcome(p).answer);
  const golds = predictions.map((p) => numberOutcome(p).gold);
  return correlationPermutation(answers(predictions), answers(byVader), golds, rng)?.notBetter;
}

/** The metrics of predictions of one task. */
function measureOf(task: Task, predictions: readonly Prediction[], constant?: ConstantBaseline): Measure {
  return isRegression(task)
    ? regressionMeasure(predictions.map(constant ? besideConstant(constant) : numberOutcome))
    : classificationMeasure(predictions.map(labelOutcome));
}

/** "joy 0.75" on the declared scale, or "anger, fear". */
function shown({ scale, decimals, emotion }: Prediction, { value, labels }: Meaning): string {
  if (value === null) return labels.join(', ') || 'none';
  const { low, high } = scale ?? { low: 0, high: 1 };
  const number = (low + value * (high - low)).toFixed(decimals);
  return emotion === null ? number : `${emotion} ${number}`;
}

function present(metrics: Metrics): Record<string, number> {
  return { ...metrics } as Record<string, number>;
}

/** What is reported of one task. The same predictions, constant and seed give the same numbers. */
export function analyseTask(
  task: Task,
  predictions: readonly Prediction[],
  { constant, lexicon, seed, raw = [], hardestShown = 10 }: AnalysisOptions,
): TaskAnalysis {
  const rng = Rng.of(seed, 'evaluation', task);
  const views = predictions.map(({ text, language }) => lexicon(text, language));
  const byConstant = answeredBy(predictions, (p) => constant.answer(p));
  const viewOf = new Map(predictions.map((p, i) => [p, views[i]]));
  const byVader = answeredBy(predictions, (p) => {
    const view = viewOf.get(p);
    return view && vaderAnswer(p, view.vader);
  });
  const measure = measureOf(task, predictions, constant);
  const outcomes = predictions.map(labelOutcome);
  const regression = isRegression(task);
  const pConstant =
    byConstant &&
    pairedPermutation(losses(predictions), losses(byConstant), rng.child('constant'))?.notBetter;
  const metricsOf = (answered: readonly Prediction[] | undefined) =>
    answered ? present(measureOf(task, answered, constant).of()) : {};
  const result: evaluation.TaskResult = {
    task: taskMessage(task),
    n: predictions.length,
    cut: predictions.filter(({ cut }) => cut).length,
    valid: predictions.filter(isValid).length / Math.max(1, predictions.length),
    metrics: present(measure.of()),
    intervals: { ...bootstrapIntervals(measure, rng.child('intervals')) } as Record<
      string,
      evaluation.Interval
    >,
    raw: raw.length > 0 ? metricsOf(raw) : {},
    questions: questionsOf(predictions, constant, rng.child('questions')),
    constant: metricsOf(byConstant),
    vader: metricsOf(byVader),
    humanCeiling: ceilingOf(predictions, rng.child('ceiling')),
    pConstant,
    pVader: byVader && vaderTest(task, predictions, byVader, rng.child('vader')),
    confusion: regression ? undefined : asMessage(confusionOf(outcomes)),
    calibration: [
      ...(regression ? numberCalibration(predictions.map(numberOutcome)) : labelCalibration(outcomes)),
    ],
    labels: regression
      ? []
      : labelRows(predictions.map((p) => ({ ...labelOutcome(p), labelSet: p.labelSet }))).map((row) => ({
          ...row,
          labelSet: [...row.labelSet],
        })),
  };

  const members = new Map<string, number[]>();
  predictions.forEach((p, i) => {
    for (const slice of slicesOf({ ...p, covered: views[i]?.covered })) {
      const list = members.get(slice);
      if (list) list.push(i);
      else members.set(slice, [i]);
    }
  });
  const of = (all: readonly Prediction[], rows: readonly number[]) => metricsOf(rows.map((i) => all[i]));
  const slices = [...members]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([slice, rows]) => ({
      task: taskMessage(task),
      slice,
      n: rows.length,
      metrics: of(predictions, rows),
      raw: raw.length > 0 ? of(raw, rows) : {},
    }));

  const errors = losses(predictions);
  const wrong = hardest(
    predictions.map((prediction, i) => ({
      id: prediction.id,
      error: regression ? Math.sqrt(errors[i]) : errors[i],
      nll: prediction.nll ?? undefined,
      prediction,
    })),
    hardestShown,
  );
  return {
    result,
    slices,
    hardest: wrong.map(({ id, error, prediction: p }) => ({
      task: taskMessage(task),
      id,
      text: p.text,
      gold: shown(p, p.gold),
      answer: shown(p, p),
      error,
    })),
  };
}

/** Answers are better than a constant where chance would do as well this rarely. */
const significance = 0.05;

/** Each kind of question by itself, in the order of its first example. */
function questionsOf(
  predictions: readonly Prediction[],
  constant: ConstantBaseline,
  rng: Rng,
): evaluation.QuestionResult[] {
  return [...Map.groupBy(predictions, inquiryKey)].map(([key, rows]) => {
    const [{ task, emotion, scale, labelSet, multiLabel }] = rows;
    const byConstant = answeredBy(rows, (p) => constant.answer(p));
    const pConstant =
      byConstant && pairedPermutation(losses(rows), losses(byConstant), rng.child(key))?.notBetter;
    const skill = pConstant === undefined ? 'unknown' : pConstant < significance ? 'better' : 'none';
    return {
      task: taskMessage(task),
      emotion: emotion ?? '',
      scale: scale ?? undefined,
      labels: [...labelSet].sort(),
      multiLabel,
      n: rows.length,
      pConstant,
      skill: skillMessage(skill),
      coverage: measureOf(task, rows).of().coverage,
    };
  });
}

function asMessage({ labels, counts }: ReturnType<typeof confusionOf>): evaluation.Confusion {
  return { labels: [...labels], counts: [...counts] };
}

/**
 * Two evaluations on the examples that both asked, task by task: rmse, accuracy, or jaccard where labels are several; p-values
 * by paired permutation, and corrected for the number of tasks. Empty where they share none.
 */
export function compare(
  first: readonly Prediction[],
  second: readonly Prediction[],
  seed: number,
): evaluation.TaskComparison[] {
  const keyOf = (p: Prediction) => `${p.task}\u0000${p.id}`;
  const other = new Map(second.map((p) => [keyOf(p), p]));
  const pairs = first.flatMap((p): [Prediction, Prediction][] => {
    const match = other.get(keyOf(p));
    return match ? [[p, match]] : [];
  });
  const compared = [...Map.groupBy(pairs, ([{ task }]) => task)].map(([task, list]) => {
    const [a, b] = [list.map(([p]) => p), list.map(([, p]) => p)];
    const metric = isRegression(task) ? 'rmse' : list.some(([p]) => p.multiLabel) ? 'jaccard' : 'accuracy';
    // Without several labels Jaccard is accuracy, so a measure that leaves it out has the same value there.
    const value = (rows: Prediction[]) => {
      const metrics = measureOf(task, rows).of();
      return metrics[metric] ?? metrics.accuracy ?? 0;
    };
    const [lossA, lossB] = [losses(a), losses(b)];
    const total = (loss: readonly number[]) => loss.reduce((sum, l) => sum + l, 0);
    return {
      task: taskMessage(task),
      metric,
      first: value(a),
      second: value(b),
      pValue: pairedPermutation(lossA, lossB, Rng.of(seed, 'compare', task))!.twoSided,
      n: list.length,
      firstBetter: total(lossA) < total(lossB),
    };
  });
  const adjusted = holm(compared.map(({ pValue }) => pValue));
  return compared.map((comparison, i) => ({ ...comparison, pAdjusted: adjusted[i] }));
}
