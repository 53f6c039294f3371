/** From predictions to what is reported of a task: metrics with intervals, baselines, calibration, slices, hardest examples. */
import {
  bootstrapIntervals,
  type ConstantBaseline,
  confusionsOf,
  correlationPermutation,
  inquiryKey,
  intensityBins,
  isRegression,
  labelCalibration,
  labelRows,
  type Meaning,
  numberCalibration,
  pairedPermutation,
  splitHalf,
  type Task,
  vaderAnswer,
} from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import type { Prediction } from '@emotune/records';
import { skillMessage, taskMessage } from '@emotune/service/words';
import type { OtherwisePrediction } from './asking-otherwise.js';
import { mistakesOf } from './mistakes.js';
import { isValid, labelOutcome, losses, measureOf, numberOutcome, present } from './outcomes.js';
import { sliceResults } from './slices.js';

/** What VADER and AFINN say about an English text. */
export interface LexiconView {
  /** VADER's compound score, −1..1. */
  readonly vader: number;
  /** What they know of it, in lower case; none where they know nothing. */
  readonly words: readonly string[];
}

export interface AnalysisOptions {
  /** Learnt from the train rows; empty where there are none. */
  readonly constant: ConstantBaseline;
  /** Undefined for a language that is not theirs; with such texts there is nothing of VADER to compare with. */
  readonly lexicon: (text: string, language: string) => LexiconView | undefined;
  readonly seed: number;
  /** What the model says to the same examples without calibration; empty where it is not calibrated. */
  readonly raw?: readonly Prediction[];
  /** Some of the examples asked as training never does. */
  readonly otherwise?: readonly OtherwisePrediction[];
  /** How many of the hardest examples are shown. Default 10. */
  readonly hardestShown?: number;
}

export interface TaskAnalysis {
  readonly result: evaluation.TaskResult;
  readonly slices: evaluation.SliceResult[];
  readonly hardest: evaluation.HardExample[];
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

/** What is reported of one task. The same predictions, constant and seed give the same numbers. */
export function analyseTask(
  task: Task,
  predictions: readonly Prediction[],
  { constant, lexicon, seed, raw = [], otherwise = [], hardestShown = 10 }: AnalysisOptions,
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
  const sets = predictions.map((p) => ({ ...labelOutcome(p), labelSet: p.labelSet }));
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
    confusions: regression
      ? []
      : confusionsOf(sets).map(({ labels, counts }) => ({ labels: [...labels], counts: [...counts] })),
    intensity: regression ? [...intensityBins(predictions.map(numberOutcome), rng.child('intensity'))] : [],
    otherwise: otherwiseResults(task, predictions, otherwise),
    clusters: [],
    calibration: [
      ...(regression ? numberCalibration(predictions.map(numberOutcome)) : labelCalibration(sets)),
    ],
    labels: regression ? [] : labelRows(sets).map((row) => ({ ...row, labelSet: [...row.labelSet] })),
  };

  const slices = sliceResults(task, { predictions, raw, views, constant, rng: rng.child('slices') });
  const mistakes = mistakesOf(task, predictions, { views, hardestShown });
  return { result: { ...result, clusters: mistakes.clusters }, slices, hardest: mistakes.hardest };
}

/** Each held-out way to ask by itself, beside the answers to the same examples as usual. */
function otherwiseResults(
  task: Task,
  predictions: readonly Prediction[],
  otherwise: readonly OtherwisePrediction[],
): evaluation.OtherwiseResult[] {
  const usual = new Map(predictions.map((p) => [p.id, p]));
  return [...new Set(otherwise.map(({ kind }) => kind))].sort().map((kind) => {
    const asked = otherwise.filter((one) => one.kind === kind).map(({ prediction }) => prediction);
    return {
      kind,
      n: asked.length,
      metrics: present(measureOf(task, asked).of()),
      usual: present(
        measureOf(
          task,
          asked.map(({ id }) => usual.get(id)!),
        ).of(),
      ),
      valid: asked.filter(isValid).length / asked.length,
    };
  });
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
