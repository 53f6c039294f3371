/** Where answers go wrong: confusion, calibration and slices of the texts. */
import { byLabelSet, type SetOutcome } from './label-rows.js';
import { binOf, calibrationBins, type LabelOutcome, labelsOf, type NumberOutcome } from './metrics.js';

export interface Confusion {
  /** Of one label set, in the order of the alphabet. */
  readonly labels: readonly string[];
  /** Row-major, gold labels × answers. */
  readonly counts: readonly number[];
}

/**
 * How often each gold label met each answer, label set by label set in the order of their first example. Of several labels
 * those that are in both count on the diagonal; what is left of the gold meets what is left of the answer, or nothing where one
 * of them has nothing left.
 */
export function confusionsOf(outcomes: readonly SetOutcome[]): Confusion[] {
  return byLabelSet(outcomes).map(({ labelSet, asked }) => {
    const labels = [...new Set([...labelSet, ...labelsOf(asked)])].sort();
    const index = new Map(labels.map((label, i) => [label, i]));
    const counts = new Array<number>(labels.length ** 2).fill(0);
    for (const { gold, answer } of asked) {
      for (const g of gold) {
        const answers = answer.includes(g) ? [g] : answer.filter((a) => !gold.includes(a));
        for (const a of answers) counts[index.get(g)! * labels.length + index.get(a)!]++;
      }
    }
    return { labels, counts };
  });
}

export interface CalibrationBin {
  /** Mean confidence or mean predicted value in the bin. */
  readonly predicted: number;
  /** Share of exact answers, or mean gold. */
  readonly observed: number;
  readonly n: number;
}

function binned(
  points: readonly { readonly predicted: number; readonly observed: number }[],
): CalibrationBin[] {
  const bins = Array.from({ length: calibrationBins }, () => ({ predicted: 0, observed: 0, n: 0 }));
  for (const { predicted, observed } of points) {
    const bin = bins[binOf(predicted)];
    bin.predicted += predicted;
    bin.observed += observed;
    bin.n++;
  }
  return bins
    .filter(({ n }) => n > 0)
    .map(({ predicted, observed, n }) => ({ predicted: predicted / n, observed: observed / n, n }));
}

/** Confidence against accuracy in ten bins of equal width; empty bins are left out. */
export function labelCalibration(outcomes: readonly LabelOutcome[]): CalibrationBin[] {
  return binned(
    outcomes.flatMap(({ confidence, gold, answer }) =>
      confidence === undefined
        ? []
        : [
            {
              predicted: confidence,
              observed: gold.length === answer.length && gold.every((g) => answer.includes(g)) ? 1 : 0,
            },
          ],
    ),
  );
}

/** Predicted against observed mean in ten bins of equal width on 0..1; empty bins are left out. */
export function numberCalibration(outcomes: readonly NumberOutcome[]): CalibrationBin[] {
  return binned(outcomes.map(({ gold, answer }) => ({ predicted: answer, observed: gold })));
}

const negators =
  /\b(?:not|no|never|none|nobody|nothing|nowhere|neither|nor|cannot|without|hardly|barely|scarcely|(?:ai|are|ca|could|did|does|do|had|has|have|is|must|might|need|should|was|were|wo|would)n['’]?t)\b/i;
const emoji = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F/u;
const hashtag = /(?:^|\s)#[\p{L}\p{N}_]+/u;
/** Words; the bounds of short and long texts. */
const shortWords = 6;
const longWords = 25;

/**
 * The slices that an example belongs to. `covered`: a lexicon knows a word of the text; undefined where none is of its language.
 * Negators are English ones.
 */
export function slicesOf(example: {
  readonly text: string;
  readonly source: string;
  readonly language: string;
  readonly covered: boolean | undefined;
}): string[] {
  const { text, source, language, covered } = example;
  const words = text.trim().split(/\s+/).length;
  const slices = [`source ${source}`, `language ${language}`];
  if (covered !== undefined) slices.push(covered ? 'lexicon words' : 'no lexicon words');
  if (/^en\b/.test(language) && negators.test(text)) slices.push('negation');
  if (emoji.test(text)) slices.push('emoji');
  if (hashtag.test(text)) slices.push('hashtag');
  if (text.includes('!')) slices.push('exclamation');
  if (words <= shortWords) slices.push(`short (at most ${shortWords} words)`);
  if (words > longWords) slices.push(`long (over ${longWords} words)`);
  return slices;
}

/** The `count` examples with the largest error; ties by how sure the answer was, by the least likely gold, then by id. */
export function hardest<
  T extends {
    readonly id: string;
    readonly error: number;
    readonly confidence?: number | undefined;
    readonly nll?: number | undefined;
  },
>(examples: readonly T[], count: number): T[] {
  return examples
    .filter(({ error }) => error > 0)
    .sort(
      (a, b) =>
        b.error - a.error ||
        (b.confidence ?? 0) - (a.confidence ?? 0) ||
        (b.nll ?? 0) - (a.nll ?? 0) ||
        (a.id < b.id ? -1 : 1),
    )
    .slice(0, count);
}
