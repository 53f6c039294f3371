/**
 * How good answers are. Every metric is a function of weighted rows, so that a bootstrap resample is a vector of counts
 * and costs one pass. A metric that is not defined (a correlation of constants, anything of no rows) is left out.
 *
 * Legend: w weight of a row, W their sum, x answer, y gold.
 */

export const metricNames = [
  'pearson',
  'spearman',
  'ccc',
  'rmse',
  'mae',
  'skill',
  'crps',
  'accuracy',
  'macroF1',
  'microF1',
  'jaccard',
  'ece',
  'brier',
  'coverage',
  'width',
  'nll',
] as const;

export type MetricName = (typeof metricNames)[number];
export type Metrics = Readonly<Partial<Record<MetricName, number>>>;

/** Gold and answer of one regression example, both on 0..1. */
export interface NumberOutcome {
  readonly gold: number;
  readonly answer: number;
  /** −log p(gold answer), nats. */
  readonly nll?: number | undefined;
  /** What the constant answers, 0..1. */
  readonly constant?: number | undefined;
  /** Where 80 % of golds should lie, 0..1. */
  readonly interval?: readonly [low: number, high: number] | undefined;
  readonly crps?: number | undefined;
}

/** Gold and answer of one classification example. */
export interface LabelOutcome {
  readonly gold: readonly string[];
  readonly answer: readonly string[];
  /** Probability that the model gave its answer, 0..1. */
  readonly confidence?: number | undefined;
  readonly nll?: number | undefined;
  /** Labels that should hold all golds of 80 % of examples. */
  readonly within?: readonly string[] | undefined;
}

/** Metrics of rows that occur any number of times. */
export interface Measure {
  readonly n: number;
  /** `weights` [n]: how often each row occurs, whole numbers; absent means once. */
  of(weights?: ArrayLike<number>): Metrics;
}

/** Bins of confidence or predicted value over 0..1. */
export const calibrationBins = 10;

/** The bin (lower, upper] that holds p; 0 falls into the first. */
export function binOf(p: number): number {
  return Math.min(calibrationBins - 1, Math.max(0, Math.ceil(p * calibrationBins) - 1));
}

/** Rows in ascending order of value; `end[k]` is one past the last place of the group of ties that begins at k. */
function tied(values: Float64Array): { order: Int32Array; end: Int32Array } {
  const order = Int32Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  const end = new Int32Array(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to]] === values[order[from]]) to++;
    end[from] = to;
    from = to;
  }
  return { order, end };
}

/** Mid-ranks from 1 of the weighted rows, into `ranks`. */
function rank(
  { order, end }: { order: Int32Array; end: Int32Array },
  w: ArrayLike<number>,
  ranks: Float64Array,
): void {
  let before = 0;
  for (let from = 0; from < order.length; from = end[from]) {
    let weight = 0;
    for (let k = from; k < end[from]; k++) weight += w[order[k]];
    const middle = before + (weight + 1) / 2;
    for (let k = from; k < end[from]; k++) ranks[order[k]] = middle;
    before += weight;
  }
}

/** Variances below this share of the mean square are rounding, and so are differences of means on 0..1 below it. */
const rounding = 1e-12;

function ones(n: number): Uint8Array {
  return new Uint8Array(n).fill(1);
}

/** Mean over the rows that have a value; undefined where none has. */
function meanOf(values: Float64Array, w: ArrayLike<number>): number | undefined {
  let sum = 0;
  let W = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    sum += w[i] * values[i];
    W += w[i];
  }
  return W === 0 ? undefined : sum / W;
}

function defined(entries: Record<string, number | undefined>): Metrics {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => Number.isFinite(value)));
}

/**
 * pearson, spearman (Pearson of mid-ranks), ccc (Lin 1989, population moments), rmse, mae, ece (gap between the means of answers and
 * golds, by 10 bins of equal width of the answer), nll, crps, coverage and width of the intervals on 0..1, and where every row has the constant's answer skill = 1 − mse / mse of the constant.
 */
export function regressionMeasure(outcomes: readonly NumberOutcome[]): Measure {
  const n = outcomes.length;
  const x = Float64Array.from(outcomes, (o) => o.answer);
  const y = Float64Array.from(outcomes, (o) => o.gold);
  const nll = Float64Array.from(outcomes, (o) => o.nll ?? Number.NaN);
  const constant = Float64Array.from(outcomes, (o) => o.constant ?? Number.NaN);
  const crps = Float64Array.from(outcomes, (o) => o.crps ?? Number.NaN);
  const covered = Float64Array.from(outcomes, ({ interval, gold }) =>
    interval ? (interval[0] - rounding <= gold && gold <= interval[1] + rounding ? 1 : 0) : Number.NaN,
  );
  const width = Float64Array.from(outcomes, ({ interval }) =>
    interval ? interval[1] - interval[0] : Number.NaN,
  );
  const bin = Int32Array.from(x, binOf);
  const binGap = new Float64Array(calibrationBins);
  const tiedX = tied(x);
  const tiedY = tied(y);
  const rankX = new Float64Array(n);
  const rankY = new Float64Array(n);
  const once = ones(n);
  return {
    n,
    of(w = once) {
      // Moments about the first row, so that constants have variance 0 exactly.
      const x0 = x[0];
      const y0 = y[0];
      let [W, sx, sy, sxx, syy, sxy, absolute, squared, constantSquared] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
      binGap.fill(0);
      for (let i = 0; i < n; i++) {
        const wi = w[i];
        if (wi === 0) continue;
        const dx = x[i] - x0;
        const dy = y[i] - y0;
        const error = x[i] - y[i];
        W += wi;
        sx += wi * dx;
        sy += wi * dy;
        sxx += wi * dx * dx;
        syy += wi * dy * dy;
        sxy += wi * dx * dy;
        binGap[bin[i]] += wi * error;
        absolute += wi * Math.abs(error);
        squared += wi * error * error;
        constantSquared += wi * (constant[i] - y[i]) ** 2;
      }
      if (W === 0) return {};
      const variance = (s: number, ss: number) => {
        const v = ss / W - (s / W) ** 2;
        return v > (rounding * ss) / W ? v : 0;
      };
      const vx = variance(sx, sxx);
      const vy = variance(sy, syy);
      const covariance = vx > 0 && vy > 0 ? sxy / W - (sx / W) * (sy / W) : 0;
      const bias = x0 + sx / W - (y0 + sy / W);
      const difference = Math.abs(bias) > rounding ? bias : 0;
      rank(tiedX, w, rankX);
      rank(tiedY, w, rankY);
      const middle = (W + 1) / 2;
      let [rxx, ryy, rxy] = [0, 0, 0];
      for (let i = 0; i < n; i++) {
        const dx = rankX[i] - middle;
        const dy = rankY[i] - middle;
        rxx += w[i] * dx * dx;
        ryy += w[i] * dy * dy;
        rxy += w[i] * dx * dy;
      }
      // A quotient with 0 below it is not finite, and so is left out.
      return defined({
        pearson: clip(covariance / Math.sqrt(vx * vy)),
        spearman: clip(rxy / Math.sqrt(rxx * ryy)),
        ccc: (2 * covariance) / (vx + vy + difference ** 2),
        rmse: Math.sqrt(squared / W),
        mae: absolute / W,
        skill: 1 - squared / constantSquared,
        crps: meanOf(crps, w),
        ece: binGap.reduce((sum, gap) => sum + Math.abs(gap), 0) / W,
        coverage: meanOf(covered, w),
        width: meanOf(width, w),
        nll: meanOf(nll, w),
      });
    },
  };
}

function clip(r: number): number {
  return Math.max(-1, Math.min(1, r));
}

/** |a ∩ b| / |a ∪ b|; 1 for two empty sets. */
function jaccard(a: readonly string[], b: readonly string[]): number {
  const union = new Set([...a, ...b]).size;
  return union === 0 ? 1 : a.filter((label) => b.includes(label)).length / union;
}

/** Every label of golds and answers, in the order of the alphabet. */
export function labelsOf(outcomes: readonly LabelOutcome[]): string[] {
  return [...new Set(outcomes.flatMap((o) => [...o.gold, ...o.answer]))].sort();
}

/** Flat lists: row i has the labels `label[start[i]]` … `label[start[i + 1] − 1]`. */
function flat(lists: readonly (readonly number[])[]): { start: Int32Array; label: Int32Array } {
  const start = new Int32Array(lists.length + 1);
  lists.forEach((list, i) => {
    start[i + 1] = start[i] + list.length;
  });
  return { start, label: Int32Array.from(lists.flat()) };
}

/**
 * accuracy (the answer is exactly the gold set), macroF1 (mean over the labels that occur in golds or answers), microF1,
 * jaccard where a set holds more or fewer than one label, ece (10 bins of equal width, Guo et al. 2017, section 2), brier of the
 * confidence, coverage and mean size of the sets of labels, nll.
 */
export function classificationMeasure(outcomes: readonly LabelOutcome[]): Measure {
  const n = outcomes.length;
  const labels = labelsOf(outcomes);
  const index = new Map(labels.map((label, i) => [label, i]));
  const without = (a: readonly string[], b: readonly string[]) =>
    a.filter((label) => !b.includes(label)).map((label) => index.get(label)!);
  const hits = flat(
    outcomes.map((o) => o.gold.filter((l) => o.answer.includes(l)).map((l) => index.get(l)!)),
  );
  const extra = flat(outcomes.map((o) => without(o.answer, o.gold)));
  const missed = flat(outcomes.map((o) => without(o.gold, o.answer)));
  const overlap = Float64Array.from(outcomes, (o) => jaccard(o.gold, o.answer));
  const confidence = Float64Array.from(outcomes, (o) => o.confidence ?? Number.NaN);
  const bin = Int32Array.from(confidence, (p) => (Number.isNaN(p) ? -1 : binOf(p)));
  const nll = Float64Array.from(outcomes, (o) => o.nll ?? Number.NaN);
  const brier = Float64Array.from(confidence, (p, i) => (p - (overlap[i] === 1 ? 1 : 0)) ** 2);
  const covered = Float64Array.from(outcomes, ({ within, gold }) =>
    within ? (gold.every((label) => within.includes(label)) ? 1 : 0) : Number.NaN,
  );
  const width = Float64Array.from(outcomes, ({ within }) => within?.length ?? Number.NaN);
  const several = outcomes.some((o) => o.gold.length !== 1 || o.answer.length !== 1);
  const once = ones(n);
  const tp = new Float64Array(labels.length);
  const fp = new Float64Array(labels.length);
  const fn = new Float64Array(labels.length);
  const binGap = new Float64Array(calibrationBins);
  return {
    n,
    of(w = once) {
      for (const sums of [tp, fp, fn, binGap]) sums.fill(0);
      let [W, right, shared, binned] = [0, 0, 0, 0];
      for (let i = 0; i < n; i++) {
        const wi = w[i];
        if (wi === 0) continue;
        W += wi;
        shared += wi * overlap[i];
        const exact = overlap[i] === 1 ? 1 : 0;
        right += wi * exact;
        if (bin[i] >= 0) {
          binned += wi;
          binGap[bin[i]] += wi * (exact - confidence[i]);
        }
        for (let k = hits.start[i]; k < hits.start[i + 1]; k++) tp[hits.label[k]] += wi;
        for (let k = extra.start[i]; k < extra.start[i + 1]; k++) fp[extra.label[k]] += wi;
        for (let k = missed.start[i]; k < missed.start[i + 1]; k++) fn[missed.label[k]] += wi;
      }
      if (W === 0) return {};
      let [TP, wrong, f1, present] = [0, 0, 0, 0];
      for (let l = 0; l < labels.length; l++) {
        const errors = fp[l] + fn[l];
        TP += tp[l];
        wrong += errors;
        if (tp[l] + errors === 0) continue;
        present++;
        f1 += (2 * tp[l]) / (2 * tp[l] + errors);
      }
      return defined({
        accuracy: right / W,
        macroF1: f1 / present,
        microF1: (2 * TP) / (2 * TP + wrong),
        jaccard: several ? shared / W : undefined,
        ece: binGap.reduce((sum, gap) => sum + Math.abs(gap), 0) / binned,
        brier: meanOf(brier, w),
        coverage: meanOf(covered, w),
        width: meanOf(width, w),
        nll: meanOf(nll, w),
      });
    },
  };
}

/** What the paired tests compare, by example: the squared error. */
export function squaredError({ gold, answer }: NumberOutcome): number {
  return (gold - answer) ** 2;
}

/** 1 − Jaccard: the 0/1 error where one label is right. */
export function labelError({ gold, answer }: LabelOutcome): number {
  return 1 - jaccard(gold, answer);
}
