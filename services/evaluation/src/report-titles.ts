/** What tasks and metrics are called in the report. */
import type { evaluation } from '@emotune/proto';
import { taskOf } from '@emotune/service/words';
import { type Content, html } from './markup.js';
import { number } from './report-parts.js';

export const metricTitles: Readonly<Record<string, string>> = {
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
export const mainMetrics = ['pearson', 'rmse', 'jaccard', 'accuracy', 'macroF1'];

export function taskTitle(task: evaluation.TaskResult['task']): string {
  const name = (taskOf(task) ?? 'unknown task').replace('-', ' ');
  return name[0].toUpperCase() + name.slice(1);
}

export function withInterval(result: evaluation.TaskResult, name: string): Content {
  const interval = result.intervals[name];
  return [
    number(result.metrics[name]),
    interval
      ? html` <span class="interval">${number(interval.low)} … ${number(interval.high)}</span>`
      : undefined,
  ];
}
