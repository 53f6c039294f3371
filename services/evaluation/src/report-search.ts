/** The report's section on the trials of the model's experiment. */
import { tuning } from '@emotune/proto';
import { type Curve, curveLegend, curvePlot, historyPlot, type TrialPoint } from './charts.js';
import { html, type Markup } from './markup.js';
import { count, number, parametersText, parameterText, table } from './report-parts.js';

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

export function searchSection(trials: readonly tuning.Trial[]): Markup | undefined {
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
