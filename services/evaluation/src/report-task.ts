/** The report's section on one subtask. */
import { coverage as aimed } from '@emotune/affect';
import type { evaluation } from '@emotune/proto';
import { calibrationPlot } from './charts.js';
import { html, type Markup } from './markup.js';
import type { ReportData } from './report.js';
import { mistakesPart } from './report-mistakes.js';
import { count, number, pValue, table } from './report-parts.js';
import { mainMetrics, metricTitles, taskTitle, withInterval } from './report-titles.js';

/** Share of a gold label's rows that got each answer, as shades. Wide ones scroll, their gold labels stay. */
function confusionTable({ labels, counts }: evaluation.Confusion): Markup {
  const size = labels.length;
  return html`<div class="wide" tabindex="0" role="region" aria-label="Confusion of ${count(size)} labels"><table class="confusion"><caption>Confusion of ${count(size)} labels: gold in rows, answers in columns</caption><thead><tr><th></th>${labels.map(
    (label) => html`<th scope="col"><span>${label}</span></th>`,
  )}</tr></thead><tbody>${labels.map((label, row) => {
    const cells = counts.slice(row * size, (row + 1) * size);
    const total = Math.max(
      1,
      cells.reduce((sum, n) => sum + n, 0),
    );
    return html`<tr><th scope="row">${label}</th>${cells.map(
      (n, column) =>
        html`<td class="${row === column ? 'right' : 'wrong'}" style="--share:${Math.round((100 * n) / total)}%">${n}</td>`,
    )}</tr>`;
  })}</tbody></table></div>`;
}

/** Labels of one set by themselves. */
function labelTable(rows: readonly evaluation.LabelResult[]): Markup {
  return table(
    ['Label', 'Precision', 'Recall', 'F1', 'Support', 'Answered'],
    rows.map(({ label, precision, recall, f1, gold, answered }) => [
      label,
      number(precision ?? undefined),
      number(recall ?? undefined),
      number(f1 ?? undefined),
      count(gold),
      count(answered),
    ]),
    'numbers',
  );
}

/** A label with fewer examples may be missed by chance. */
const enoughRows = 30;

/** Labels that are never found, although there are enough examples. */
function missedNote(labels: readonly evaluation.LabelResult[]): Markup {
  const missed = labels.filter(({ gold, right }) => gold >= enoughRows && right === 0);
  if (missed.length === 0)
    return html`<p class="note">Every label of ${enoughRows} examples or more is found at least once.</p>`;
  return html`<p class="note">Never found: ${missed.map(({ label, gold }) => `${label} (${gold} examples)`).join(', ')}.</p>`;
}

/** Each label set by itself: its labels, and what they are taken for. */
function labelsPart({ labels, confusions }: evaluation.TaskResult): Markup | undefined {
  if (confusions.length === 0) return undefined;
  return html`<h3>Labels</h3>${confusions.map((confusion) => {
    const own = labels.filter(({ labelSet }) => labelSet.join() === confusion.labels.join());
    return html`<div class="set">${labelTable(own)}${confusionTable(confusion)}</div>`;
  })}${missedNote(labels)}`;
}

/** Whether answers are too high or too low, by how intense the gold is. */
function intensityPart({ intensity }: evaluation.TaskResult): Markup | undefined {
  if (intensity.length === 0) return undefined;
  const signed = (value: number) => `${value > 0 ? '+' : ''}${number(value)}`;
  return html`<h3>By intensity</h3>${table(
    ['Gold', 'n', 'Mean of answer − gold', 'It is'],
    intensity.map(({ low, high, n, bias, interval }) => [
      `${number(low, 1)} to ${number(high, 1)}`,
      count(n),
      html`${signed(bias)}${interval ? html` <span class="interval">${signed(interval.low)} … ${signed(interval.high)}</span>` : undefined}`,
      !interval || (interval.low <= 0 && interval.high >= 0)
        ? ''
        : bias > 0
          ? 'overestimated'
          : 'underestimated',
    ]),
    'numbers',
  )}<p class="note">On 0..1, whatever the scale.</p>`;
}

const kindTitles: Readonly<Record<string, string>> = {
  scale: 'on other scales',
  inverted: 'on inverted scales',
  words: 'on a scale in words',
  synonyms: 'by other names of the labels',
  wording: 'in other words',
};

/** The same examples asked as training never does, and as usual. */
function otherwisePart({ otherwise }: evaluation.TaskResult): Markup | undefined {
  if (otherwise.length === 0) return undefined;
  const names = mainMetrics.filter((name) => otherwise.some(({ metrics }) => name in metrics)).slice(0, 2);
  return html`<h3>Asked as training never does</h3>${table(
    ['Asked', 'n', 'Valid', ...names.flatMap((name) => [metricTitles[name], 'as usual'])],
    otherwise.map(({ kind, n, valid, metrics, usual }) => [
      kindTitles[kind] ?? kind,
      count(n),
      `${number(100 * valid, 1)} %`,
      ...names.flatMap((name) => [number(metrics[name]), number(usual[name])]),
    ]),
    'numbers',
  )}<p class="note">Scales, words, names of labels and wordings that no training row has; answers are mapped back to those of the examples.</p>`;
}

function slicesPart(slices: readonly evaluation.SliceResult[]): Markup | undefined {
  if (slices.length === 0) return undefined;
  const shown = mainMetrics.filter((name) => slices.some((slice) => name in slice.metrics)).slice(0, 3);
  return html`<h3>Slices</h3>${table(
    ['Slice', 'n', ...shown.map((name) => metricTitles[name]), 'Error', 'of the rest', 'p', 'p (Holm)'],
    slices.map(({ slice, n, metrics, error, rest, pValue: p, pAdjusted }) => [
      slice,
      count(n),
      ...shown.map((name) => number(metrics[name])),
      number(error),
      number(rest ?? undefined),
      pValue(p ?? undefined),
      pAdjusted != null && pAdjusted < significant
        ? html`<strong>${pValue(pAdjusted)}</strong>`
        : pValue(pAdjusted ?? undefined),
    ]),
    'numbers',
  )}<p class="note">Error: mean squared error on 0..1, or 1 − Jaccard. p: permutation test, two-sided, that the slice is answered as well as the rest of the examples; corrected for all slices of the subtask (Holm).</p>`;
}

/** Differences that chance makes less often than this stand out. */
const significant = 0.05;

export function taskSection(result: evaluation.TaskResult, { evaluation: done, base }: ReportData): Markup {
  const baseResult = base?.tasks.find((t) => t.task === result.task);
  const names = Object.keys(metricTitles).filter((name) => name in result.metrics);
  const ceiling = result.humanCeiling ?? undefined;
  const calibrated = Object.keys(result.raw).length > 0;
  const rows = names.map((name) => [
    metricTitles[name],
    withInterval(result, name),
    ...(calibrated ? [number(result.raw[name])] : []),
    ...(base ? [number(baseResult?.metrics[name])] : []),
    number(result.constant[name]),
    number(result.vader[name]),
    ...(ceiling === undefined ? [] : [name === 'pearson' ? number(ceiling) : '']),
  ]);
  const head = [
    'Metric',
    'This model',
    ...(calibrated ? ['Not calibrated'] : []),
    ...(base ? ['Untuned base'] : []),
    'Constant',
    'VADER',
    ...(ceiling === undefined ? [] : ['Raters']),
  ];
  const regression = 'rmse' in result.metrics;
  const slices = done.slices.filter((slice) => slice.task === result.task);
  const hard = done.hardest.filter((example) => example.task === result.task);
  return html`<section><h2>${taskTitle(result.task)}</h2><p>${count(result.n)} examples, ${number(100 * result.valid, 1)} % of the answers on the asked ${regression ? 'scale' : 'label set'}${result.cut > 0 ? `, ${count(result.cut)} texts cut to fit into the model` : ''}; p against the constant ${pValue(result.pConstant)}, against VADER ${pValue(result.pVader)}.</p><div class="beside">${table(head, rows, 'numbers')}${
    result.calibration.length > 0
      ? html`<figure>${calibrationPlot(
          result.calibration,
          regression
            ? { x: 'predicted (0..1)', y: 'observed mean' }
            : { x: 'confidence', y: 'share of right answers' },
        )}<figcaption>Calibration</figcaption></figure>`
      : undefined
  }</div>${labelsPart(result)}${intensityPart(result)}${calibrated ? coverageSection(result, slices) : undefined}${otherwisePart(result)}${slicesPart(slices)}${mistakesPart(result.clusters, hard)}</section>`;
}

/** How far coverage may be from the share of golds that intervals and sets are made to hold. */
const tolerated = 0.02;

/** Whether intervals, or sets of labels, hold as many golds as they should: of all rows and of each source. */
function coverageSection(
  result: evaluation.TaskResult,
  slices: readonly evaluation.SliceResult[],
): Markup | undefined {
  const sources = slices.filter(({ slice }) => slice.startsWith('source '));
  const rows = [{ slice: 'all', n: result.n, metrics: result.metrics, raw: result.raw }, ...sources].filter(
    ({ metrics }) => 'coverage' in metrics,
  );
  if (rows.length === 0) return undefined;
  return html`<h3>Coverage</h3>${table(
    ['Rows', 'n', 'Coverage', 'Not calibrated', 'Width', 'Aim'],
    rows.map(({ slice, n, metrics, raw }) => {
      const { coverage = 0, width } = metrics;
      // What chance alone does to a share of so many rows, two standard errors.
      const chance = 2 * Math.sqrt((aimed * (1 - aimed)) / n);
      const off = coverage - aimed;
      const verdict =
        Math.abs(off) <= tolerated
          ? 'within 2 points'
          : Math.abs(off) <= chance
            ? 'within chance'
            : off > 0
              ? 'holds more'
              : 'missed';
      return [slice, count(n), number(coverage), number(raw['coverage']), number(width), verdict];
    }),
    'numbers',
  )}<p class="note">Intervals and sets are made to hold the answer of people in 80 % of all cases. Within chance: more than 2 points off, by less than two standard errors of so few rows.</p>`;
}
