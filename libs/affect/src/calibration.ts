/**
 * How the answers of a model version are calibrated: fitted on held-out texts, kept with the model, applied to what it says.
 * Probabilities are tempered; labels answer by thresholds of their own; numbers are moved by a monotone curve; intervals and
 * sets are as wide as split-conformal prediction asks.
 */

import { conformalQuantile, coverage, labelsWithin, massToHold, overshoot, widened } from './conformal.js';
import { type Curve, chooseCurve, curveFolds, identity, valueAt } from './curve.js';
import {
  crpsOf,
  type Distribution,
  intervalOf,
  likeliest,
  type Marginal,
  marginalsOf,
  meanOf,
  tempered,
  withMean,
} from './distribution.js';
import {
  type Inquiry,
  isRegression,
  type Meaning,
  multiLabelThreshold,
  type Scale,
  type Task,
} from './tasks.js';
import { fitThresholds, leading, severalLabels, type Thresholds } from './thresholds.js';

/** With fewer held-out rows nothing is fitted. */
export const fewestRows = 30;
/** A scale of its own has intervals of its own from so many rows on. */
const fewestOfScale = 60;

interface NumberCalibration {
  /** Above 0: what its log-probabilities are divided by. */
  readonly temperature: number;
  /** From the mean of what it says to the value, both on 0..1. */
  readonly curve: Curve;
  /** What its central interval lacks, on 0..1, to hold 80 % of golds; negative where it is too wide. */
  readonly margin: number;
  /** The same for the scales that have enough rows. */
  readonly margins: readonly { readonly scale: Scale; readonly n: number; readonly margin: number }[];
}

interface LabelCalibration {
  readonly temperature: number;
  readonly thresholds: Thresholds;
  /** From the probability of the answer to how often it is right. */
  readonly confidence: Curve;
  /** Share of probability that a set of labels has to reach to hold 80 % of golds. */
  readonly mass: number;
}

/** Of one kind of question: a subtask's numbers of one emotion on every scale, or a set of labels. */
export interface Calibration {
  readonly task: Task;
  /** Of which the intensity is asked; null elsewhere. */
  readonly emotion: string | null;
  /** Classification: in alphabetical order. */
  readonly labelSet: readonly string[];
  readonly multiLabel: boolean;
  /** Held-out rows. */
  readonly n: number;
  /** Null where there were too few rows. */
  readonly numbers: NumberCalibration | null;
  readonly labels: LabelCalibration | null;
}

type Kind = Pick<Inquiry, 'task' | 'emotion' | 'labelSet' | 'multiLabel'>;

/** Equal for questions that are calibrated together. */
function kindOf({ task, emotion, labelSet, multiLabel }: Kind): Kind {
  return isRegression(task)
    ? { task, emotion, labelSet: [], multiLabel: false }
    : { task, emotion, labelSet: [...labelSet].sort(), multiLabel };
}

/** That of the question's kind, fitted or not; undefined where no held-out row asked so. */
export function calibrationOf(calibrations: readonly Calibration[], question: Kind): Calibration | undefined {
  const key = JSON.stringify(kindOf(question));
  return calibrations.find((calibration) => JSON.stringify(kindOf(calibration)) === key);
}

/** What a model answers. */
export interface Answered extends Meaning {
  /** Regression: bounds of the 80 % interval on 0..1. */
  readonly low: number | null;
  readonly high: number | null;
  /** What the model holds of each allowed answer; adds up to 1. Of numbers `value` is its mean. */
  readonly distribution: Distribution;
  /** Classification: probability that a label is part of the answer, in alphabetical order. */
  readonly marginals: readonly Marginal[];
  /** Classification: the one label to answer where one is wanted. */
  readonly leading: string | null;
  /** Classification: probability that the answer is right as a whole. */
  readonly confidence: number | null;
  /** Classification, calibrated: labels that hold all right ones with a probability of 80 %, in alphabetical order. */
  readonly within: readonly string[];
}

/** Probability of a whole set of labels; of one that was not scored, that of its weakest label. */
function probabilityOf(
  labels: readonly string[],
  distribution: Distribution,
  marginals: readonly Marginal[],
): number {
  const whole = distribution.find(
    (candidate) =>
      candidate.labels.length === labels.length && candidate.labels.every((label) => labels.includes(label)),
  );
  if (whole) return whole.probability;
  return marginals
    .filter(({ label }) => labels.includes(label))
    .reduce((least, { probability }) => Math.min(least, probability), 1);
}

const noLabels = { marginals: [], labels: [], leading: null, confidence: null, within: [] };

function numberAnswer(said: Distribution, scale: Scale, calibration: NumberCalibration | null): Answered {
  if (calibration === null) {
    const [low, high] = intervalOf(said, coverage);
    return { ...noLabels, value: meanOf(said), low, high, distribution: said };
  }
  const { margin, margins } = calibration;
  const own = margins.find((m) => m.scale.low === scale.low && m.scale.high === scale.high);
  const distribution = moved(said, calibration);
  const value = meanOf(distribution);
  const [low, high] = widened(intervalOf(distribution, coverage), own?.margin ?? margin, value);
  return { ...noLabels, value, low, high, distribution };
}

/** Tempered, with the mean that the curve says. */
function moved(
  said: Distribution,
  { temperature, curve }: Pick<NumberCalibration, 'temperature' | 'curve'>,
  mean = valueAt(curve, meanOf(said)),
): Distribution {
  const spread = tempered(said, temperature);
  return curve.method === 'none' && temperature === 1 ? said : withMean(spread, mean);
}

function labelAnswer(
  said: Distribution,
  { multiLabel, threshold }: { readonly multiLabel: boolean; readonly threshold: number },
  calibration: LabelCalibration | null,
): Answered {
  const none = { value: null, low: null, high: null };
  if (calibration === null) {
    const marginals = marginalsOf(said);
    const held = multiLabel ? marginals.filter(({ probability }) => probability >= threshold) : [];
    const labels = held.length > 0 ? held.map(({ label }) => label) : likeliest(said).labels;
    const confidence = probabilityOf(labels, said, marginals);
    return {
      ...none,
      labels,
      distribution: said,
      marginals,
      leading: leading(marginals),
      confidence,
      within: [],
    };
  }
  const { temperature, thresholds, confidence: curve, mass } = calibration;
  const distribution = tempered(said, temperature);
  const marginals = marginalsOf(distribution);
  const first = leading(marginals, thresholds);
  const labels = multiLabel ? severalLabels(marginals, thresholds) : [first];
  const confidence = valueAt(curve, probabilityOf(labels, distribution, marginals));
  const within = labelsWithin(marginals, mass);
  return { ...none, labels, distribution, marginals, leading: first, confidence, within };
}

/** What is answered where the model says `said`. */
export function answered(
  question: Kind & {
    readonly scale: Scale | null;
    readonly threshold?: number;
    readonly calibration?: Calibration | undefined;
  },
  said: Distribution,
): Answered {
  const { scale, multiLabel, threshold = multiLabelThreshold, calibration } = question;
  return scale === null
    ? labelAnswer(said, { multiLabel, threshold }, calibration?.labels ?? null)
    : numberAnswer(said, scale, calibration?.numbers ?? null);
}

/** What a model said to a held-out row. */
export interface HeldAnswer extends Kind {
  readonly scale: Scale | null;
  readonly said: Distribution;
  readonly gold: Meaning;
  /** Equal for rows of one text: what is chosen on folds holds them out together. */
  readonly text: string;
}

const temperatures = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 6];
/** Logarithms of probabilities that a model holds to be none. */
const least = 1e-9;

/** The temperature with the least loss; the nearest to 1 among equals. */
function bestTemperature(loss: (temperature: number) => number): number {
  const nearest = [...temperatures].sort((a, b) => Math.abs(Math.log(a)) - Math.abs(Math.log(b)));
  let best = { temperature: 1, loss: Number.POSITIVE_INFINITY };
  for (const temperature of nearest) {
    const its = loss(temperature);
    if (its < best.loss - 1e-12) best = { temperature, loss: its };
  }
  return best.temperature;
}

/** Rows of one text are of one fold; texts are dealt out in their order. */
function foldsOf(rows: readonly HeldAnswer[]): number[] {
  const texts = new Map<string, number>();
  for (const { text } of rows) if (!texts.has(text)) texts.set(text, texts.size % curveFolds);
  return rows.map(({ text }) => texts.get(text)!);
}

function fitNumbers(rows: readonly HeldAnswer[]): NumberCalibration {
  const folds = foldsOf(rows);
  const golds = rows.map(({ gold }) => gold.value!);
  const { curve, held } = chooseCurve(
    rows.map(({ said }, i) => ({ x: meanOf(said), y: golds[i], fold: folds[i] })),
  );
  // What the curve of the other texts says: intervals would be too narrow for golds that the curve has seen.
  const at = (temperature: number) => rows.map(({ said }, i) => moved(said, { temperature, curve }, held[i]));
  const temperature = bestTemperature((t) =>
    at(t).reduce((sum, distribution, i) => sum + crpsOf(distribution, golds[i]), 0),
  );
  const beyond = at(temperature).map((distribution, i) =>
    overshoot(intervalOf(distribution, coverage), golds[i]),
  );
  const scales = new Map<string, { scale: Scale; scores: number[] }>();
  rows.forEach(({ scale }, i) => {
    const { low, high } = scale!;
    const known = scales.get(`${low}..${high}`) ?? { scale: { low, high }, scores: [] };
    scales.set(`${low}..${high}`, known);
    known.scores.push(beyond[i]);
  });
  const margins = [...scales.values()]
    .filter(({ scores }) => scores.length >= fewestOfScale)
    .map(({ scale, scores }) => ({ scale, n: scores.length, margin: conformalQuantile(scores, 1) }));
  return { temperature, curve, margin: conformalQuantile(beyond, 1), margins };
}

/** −log p of every label's being part of the answer, or not; where one label is right, of that one. */
function logLoss(marginals: readonly Marginal[], gold: readonly string[], multiLabel: boolean): number {
  return marginals.reduce((sum, { label, probability }) => {
    if (gold.includes(label)) return sum - Math.log(Math.max(least, probability));
    return multiLabel ? sum - Math.log(Math.max(least, 1 - probability)) : sum;
  }, 0);
}

function fitLabels(rows: readonly HeldAnswer[]): LabelCalibration {
  const [{ multiLabel }] = rows;
  const folds = foldsOf(rows);
  const temperature = bestTemperature((t) =>
    rows.reduce(
      (sum, { said, gold }) => sum + logLoss(marginalsOf(tempered(said, t)), gold.labels, multiLabel),
      0,
    ),
  );
  const marginals = rows.map(({ said }) => marginalsOf(tempered(said, temperature)));
  const thresholds = fitThresholds(
    rows.map(({ gold }, i) => ({ marginals: marginals[i], gold: gold.labels })),
    multiLabel,
  );
  const sure = { temperature, thresholds, confidence: identity, mass: 1 };
  const answers = rows.map(({ said }) =>
    labelAnswer(said, { multiLabel, threshold: multiLabelThreshold }, sure),
  );
  const { curve: confidence } = chooseCurve(
    answers.map(({ labels, confidence: x }, i) => {
      const gold = rows[i].gold.labels;
      const right = labels.length === gold.length && gold.every((label) => labels.includes(label));
      return { x: x!, y: right ? 1 : 0, fold: folds[i] };
    }),
  );
  const mass = conformalQuantile(
    rows.map(({ gold }, i) => massToHold(marginals[i], gold.labels)),
    1,
  );
  return { temperature, thresholds, confidence, mass };
}

function byKind<Row extends Kind>(rows: readonly Row[]): Row[][] {
  return [...Map.groupBy(rows, (row) => JSON.stringify(kindOf(row))).values()];
}

/** Whether there are rows enough of some kind of question. */
export function calibratable(rows: readonly Kind[]): boolean {
  return byKind(rows).some(({ length }) => length >= fewestRows);
}

/** Calibrations of every kind of question among held-out rows, in the order of their first row. The same rows give the same ones. */
export function fitCalibrations(rows: readonly HeldAnswer[]): Calibration[] {
  return byKind(rows).map((group) => {
    const enough = group.length >= fewestRows;
    const regression = isRegression(group[0].task);
    return {
      ...kindOf(group[0]),
      n: group.length,
      numbers: enough && regression ? fitNumbers(group) : null,
      labels: enough && !regression ? fitLabels(group) : null,
    };
  });
}
