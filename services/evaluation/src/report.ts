/** The report of one evaluation: one HTML page that needs nothing else, neither network nor scripts. */
import { coverage as aimed } from '@emotune/affect';
import { evaluation, tuning } from '@emotune/proto';
import { taskOf } from '@emotune/service/words';
import {
  type Curve,
  calibrationPlot,
  curveLegend,
  curvePlot,
  historyPlot,
  type TrialPoint,
} from './charts.js';
import { type Content, html, Markup } from './markup.js';
import { insightSection } from './report-insight.js';
import { count, number, parametersText, parameterText, pValue, table } from './report-parts.js';
import { stylesheet } from './stylesheet.js';

export interface ReportData {
  readonly evaluation: evaluation.Evaluation;
  readonly model: tuning.Model;
  /** Content address of the dataset; empty for a file. */
  readonly datasetVersion: string;
  /** Empty for a file. */
  readonly split: string;
  /** The evaluation of the untuned base model on the same examples, where there is one. */
  readonly base: evaluation.Evaluation | undefined;
  /** The trials of the model's experiment, with their measurements; empty where it has none. */
  readonly trials: readonly tuning.Trial[];
  /** What they teach; absent where there is no experiment. */
  readonly insight: tuning.Insight | undefined;
  /** Why the best of them were suggested and ended, the best first. */
  readonly explanations: readonly tuning.TrialExplanation[];
}

const metricTitles: Readonly<Record<string, string>> = {
  pearson: 'Pearson r',
  spearman: 'Spearman ρ',
  ccc: 'Concordance (CCC)',
  rmse: 'RMSE ↓',
  mae: 'MAE ↓',
  skill: 'Skill over the constant',
  crps: 'CRPS ↓',
  accuracy: 'Accuracy',
  macroF1: 'Macro F1',
  microF1: 'Micro F1',
  jaccard: 'Jaccard',
  ece: 'Calibration error (ECE) ↓',
  brier: 'Brier score of the confidence ↓',
  coverage: 'Coverage of 80 % intervals or sets',
  width: 'Their width (0..1, or labels)',
  nll: 'Answer NLL, nats ↓',
};
/** What the summary and the slices show of a task. */
const mainMetrics = ['pearson', 'rmse', 'jaccard', 'accuracy', 'macroF1'];

function taskTitle(task: evaluation.TaskResult['task']): string {
  const name = (taskOf(task) ?? 'unknown task').replace('-', ' ');
  return name[0].toUpperCase() + name.slice(1);
}

function withInterval(result: evaluation.TaskResult, name: string): Content {
  const interval = result.intervals[name];
  return [
    number(result.metrics[name]),
    interval
      ? html` <span class="interval">${number(interval.low)} … ${number(interval.high)}</span>`
      : undefined,
  ];
}

function facts(entries: readonly (readonly [string, Content])[]): Markup {
  return html`<dl>${entries
    .filter(([, value]) => value !== '' && value !== undefined)
    .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function versioned(name: string, version: string): string {
  return version === '' ? name : `${name}@${version}`;
}

function modelSection({ model, evaluation: done, datasetVersion, split }: ReportData): Markup {
  const { lineage } = model;
  const examples = done.tasks.reduce((sum, task) => sum + task.n, 0);
  return html`<section><h2>Model and data</h2>${facts([
    ['Model', versioned(model.name, model.version)],
    ['Family', model.family],
    ['Parameters', count(model.parameters)],
    ['Asked', `${versioned(done.dataset, datasetVersion)}${split === '' ? '' : `, ${split}`}`],
    ['Examples', count(examples)],
    ['Examples per second', done.examplesPerSecond > 0 ? number(done.examplesPerSecond, 1) : ''],
    ...(lineage
      ? ([
          ['Base model', versioned(lineage.baseModel, lineage.baseVersion)],
          ['Trained on', versioned(lineage.dataset, lineage.datasetVersion)],
          ['Features', versioned(lineage.features, lineage.featuresVersion)],
          ['Experiment', lineage.experiment === '' ? '' : `${lineage.experiment}, trial ${lineage.trial}`],
          ['Hyperparameters', parametersText(lineage.parameters)],
          ['Tokens trained on', lineage.tokens > 0 ? count(lineage.tokens) : ''],
          ['Tokens per second', lineage.tokensPerSecond > 0 ? count(lineage.tokensPerSecond) : ''],
          ['Seed', String(lineage.seed)],
          ['EmoTune version', lineage.codeVersion],
        ] as const)
      : []),
    ['Evaluation', done.id],
  ])}</section>`;
}

function summarySection({ evaluation: done, base }: ReportData): Markup {
  const rows = done.tasks.flatMap((result) => {
    const names = mainMetrics.filter((name) => name in result.metrics).slice(0, 2);
    const baseResult = base?.tasks.find((t) => t.task === result.task);
    return names.map((name, i) => [
      i === 0 ? html`${taskTitle(result.task)} <span class="n">n = ${count(result.n)}</span>` : '',
      metricTitles[name],
      html`<strong>${withInterval(result, name)}</strong>`,
      ...(base ? [number(baseResult?.metrics[name])] : []),
      number(result.constant[name]),
      number(result.vader[name]),
      i === 0 ? pValue(result.pConstant) : '',
      i === 0 ? pValue(result.pVader) : '',
    ]);
  });
  const head = [
    'Subtask',
    'Metric',
    'This model',
    ...(base ? ['Untuned base'] : []),
    'Constant',
    'VADER',
    'p constant',
    'p VADER',
  ];
  return html`<section><h2>Summary</h2>${table(head, rows, 'numbers labelled')}<p class="note">Small figures are 95 % bootstrap intervals. The constant is the mean or the most frequent label of the train rows. p: paired permutation test, that this model is not better than the constant, or than VADER (Pearson r, or accuracy). ↓: lower is better.</p></section>`;
}

/** Share of a gold label's rows that got each answer, as shades. */
function confusionTable({ labels, counts }: evaluation.Confusion): Markup {
  const size = labels.length;
  return html`<div class="wide"><table class="confusion"><caption>Confusion: gold in rows, answers in columns</caption><thead><tr><th></th>${labels.map(
    (label) => html`<th>${label}</th>`,
  )}</tr></thead><tbody>${labels.map((label, row) => {
    const cells = counts.slice(row * size, (row + 1) * size);
    const total = Math.max(
      1,
      cells.reduce((sum, n) => sum + n, 0),
    );
    return html`<tr><th>${label}</th>${cells.map(
      (n, column) =>
        html`<td class="${row === column ? 'right' : 'wrong'}" style="--share:${Math.round((100 * n) / total)}%">${n}</td>`,
    )}</tr>`;
  })}</tbody></table></div>`;
}

function taskSection(result: evaluation.TaskResult, { evaluation: done, base }: ReportData): Markup {
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
  const shown = mainMetrics.filter((name) => slices.some((slice) => name in slice.metrics)).slice(0, 3);
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
  }</div>${result.confusion && result.confusion.labels.length > 0 ? confusionTable(result.confusion) : undefined}${calibrated ? coverageSection(result, slices) : undefined}<h3>Slices</h3>${table(
    ['Slice', 'n', ...shown.map((name) => metricTitles[name])],
    slices.map((slice) => [slice.slice, count(slice.n), ...shown.map((name) => number(slice.metrics[name]))]),
    'numbers',
  )}${
    hard.length > 0
      ? html`<h3>Hardest examples</h3>${table(
          ['Text', 'Gold', 'Answer', 'Error'],
          hard.map((example) => [
            html`${example.text}<span class="id">${example.id}</span>`,
            example.gold,
            example.answer,
            number(example.error, 2),
          ]),
          'texts',
        )}`
      : undefined
  }</section>`;
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

function checksSection({ checks }: evaluation.Evaluation): Markup | undefined {
  if (checks.length === 0) return undefined;
  const rows = checks.map(({ capability, n, passed, shift, size }) => [
    capability,
    `${passed} of ${n}`,
    `${number((100 * passed) / n, 0)} %`,
    number(shift),
    number(size),
  ]);
  const failures = checks.flatMap(({ capability, failures: failed }) =>
    failed.map(({ text, changed, expected, answer }) => [
      html`${text}<span class="id">${changed === '' ? capability : `${capability}: ${changed}`}</span>`,
      expected,
      answer,
    ]),
  );
  return html`<section><h2>Behavioural checks</h2>${table(['Capability', 'Passed', 'Share', 'Mean shift of valence', 'Mean size'], rows, 'numbers')}${
    failures.length > 0
      ? html`<h3>Failures</h3>${table(['Text', 'Expected', 'Answer'], failures, 'texts')}`
      : undefined
  }<p class="note">Valences are on 0..1. At most ten failures of each capability are shown.</p></section>`;
}

function seriesOf(trial: tuning.Trial): string {
  const { architecture } = trial.parameters;
  return architecture ? parameterText(architecture) : 'trial';
}

const stateTitles: Partial<Record<tuning.TrialState, string>> = {
  [tuning.TrialState.TRIAL_STATE_SUCCEEDED]: 'succeeded',
  [tuning.TrialState.TRIAL_STATE_STOPPED]: 'stopped early',
  [tuning.TrialState.TRIAL_STATE_FAILED]: 'failed',
  [tuning.TrialState.TRIAL_STATE_INFEASIBLE]: 'infeasible',
  [tuning.TrialState.TRIAL_STATE_CANCELLED]: 'cancelled',
  [tuning.TrialState.TRIAL_STATE_RUNNING]: 'running',
  [tuning.TrialState.TRIAL_STATE_QUEUED]: 'queued',
};

/** What a trial measured, each of its folds by itself. `before`: tokens of the folds before it. */
function trainingsOf({ number: trial, measurements, folds }: tuning.Trial) {
  const numbers = [...new Set(measurements.map(({ fold }) => fold ?? undefined))];
  return numbers.map((fold) => ({
    name: fold === undefined ? `trial ${trial}` : `trial ${trial}, fold ${fold + 1}`,
    measurements: measurements.filter((m) => (m.fold ?? undefined) === fold),
    before: fold ? (folds[fold - 1]?.tokens ?? 0) : 0,
  }));
}

function objectiveText({ objective, objectiveError }: tuning.Trial): string {
  const spread = objectiveError == null ? '' : ` ± ${number(objectiveError)}`;
  return `${number(objective ?? undefined)}${spread}`;
}

function searchSection(trials: readonly tuning.Trial[]): Markup | undefined {
  if (trials.length === 0) return undefined;
  const ordered = [...trials].sort((a, b) => a.number - b.number);
  const search = ordered.filter((t) => t.kind !== tuning.TrialKind.TRIAL_KIND_FINAL);
  const series = [...new Set(ordered.map(seriesOf))].sort();
  const curves = (value: (m: tuning.Measurement) => number | undefined): Curve[] =>
    ordered
      .flatMap((trial) =>
        trainingsOf(trial).map(({ name, measurements, before }) => ({
          name,
          series: seriesOf(trial),
          points: measurements.flatMap((m) => {
            const y = value(m);
            return y === undefined || y === null ? [] : [{ x: m.tokens - before, y }];
          }),
        })),
      )
      .filter(({ points }) => points.length > 0);
  const losses = curves((m) => m.trainLoss);
  const objectives = curves((m) => m.objective);
  const points: TrialPoint[] = search.map((trial) => ({
    number: trial.number,
    series: seriesOf(trial),
    objective: trial.objective ?? undefined,
    note: `trial ${trial.number}: ${trial.objective == null ? trial.reason : objectiveText(trial)}; ${parametersText(trial.parameters)}`,
  }));
  return html`<section><h2>Search</h2>${
    points.length > 0
      ? html`<figure>${historyPlot(points)}<figcaption>Objective of each trial, and the best so far; × is a trial without one</figcaption></figure>`
      : undefined
  }${
    losses.length + objectives.length > 0
      ? html`<h3>Loss curves</h3>${curveLegend(series)}<div class="beside">${[
          losses.length > 0
            ? html`<figure>${curvePlot(losses, 'train loss (nats per token)', series)}<figcaption>Training loss</figcaption></figure>`
            : undefined,
          objectives.length > 0
            ? html`<figure>${curvePlot(objectives, 'objective (nats per answer)', series)}<figcaption>Validation objective</figcaption></figure>`
            : undefined,
        ]}</div>`
      : undefined
  }${table(
    ['Trial', 'State', 'Objective', 'Tokens', 'Tokens/s', 'Parameters'],
    ordered.map((trial) => [
      `${trial.number}${trial.kind === tuning.TrialKind.TRIAL_KIND_FINAL ? ' (final)' : ''}`,
      stateTitles[trial.state] ?? '',
      objectiveText(trial),
      count(trial.tokens),
      count(trial.tokensPerSecond),
      trial.reason === ''
        ? parametersText(trial.parameters)
        : `${trial.reason}; ${parametersText(trial.parameters)}`,
    ]),
    'trials',
  )}</section>`;
}

/** The whole page. Every text that comes from data or names is escaped. */
export function renderReport(data: ReportData): string {
  const title = `EmoTune: ${data.evaluation.model} on ${data.evaluation.dataset}`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Markup(stylesheet)}</style>
</head>
<body>
<header><h1>${data.evaluation.model}</h1><p>evaluated on ${data.evaluation.dataset}${data.split === '' ? '' : `, ${data.split} split`}</p></header>
<main>${data.evaluation.warnings.map((warning) => html`<p class="note">Warning: ${warning}.</p>`)}${data.evaluation.tasks.length > 0 ? summarySection(data) : undefined}${checksSection(data.evaluation)}${modelSection(data)}${data.evaluation.tasks.map((task) => taskSection(task, data))}${searchSection(data.trials)}${insightSection(data.insight, data.explanations)}</main>
</body>
</html>
`.text;
}
