/** Evaluations, as JSON and as text. */
import type { evaluation } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { clip, count, figure, nothing, percent, table } from './text.js';

export function evaluationJson(evaluation: evaluation.Evaluation) {
  return {
    id: evaluation.id,
    model: evaluation.model,
    dataset: evaluation.dataset,
    tasks: evaluation.tasks.map((result) => ({
      task: shortEnumName(result.task),
      n: result.n,
      valid: result.valid,
      cut: result.cut,
      metrics: result.metrics,
      intervals: result.intervals,
      baselines: { constant: result.constant, vader: result.vader },
      ...(result.humanCeiling === undefined ? {} : { humanCeiling: result.humanCeiling }),
      ...(result.pConstant === undefined ? {} : { pConstant: result.pConstant }),
      ...(result.pVader === undefined ? {} : { pVader: result.pVader }),
      ...(result.confusion ? { confusion: result.confusion } : {}),
      calibration: result.calibration,
      ...(result.labels.length > 0 ? { labels: result.labels } : {}),
    })),
    slices: evaluation.slices.map(({ task, slice, n, metrics }) => ({
      task: shortEnumName(task),
      slice,
      n,
      metrics,
    })),
    hardest: evaluation.hardest.map(({ task, id, text, gold, answer, error }) => ({
      task: shortEnumName(task),
      id,
      text,
      gold,
      answer,
      error,
    })),
    ...(evaluation.checks.length > 0 ? { checks: evaluation.checks } : {}),
    prefix: evaluation.prefix,
  };
}

/** Metrics in the order of their rows; others come last. */
const metricOrder = [
  'pearson',
  'spearman',
  'ccc',
  'rmse',
  'mae',
  'skill',
  'accuracy',
  'macroF1',
  'microF1',
  'jaccard',
  'ece',
  'nll',
];

const shownHardest = 5;
const textColumns = 60;

function taskRows(result: evaluation.TaskResult): string[][] {
  const names = [...new Set([...metricOrder, ...Object.keys(result.metrics).sort()])].filter(
    (name) => name in result.metrics,
  );
  return names.map((name, i) => {
    const interval = result.intervals[name];
    return [
      ...(i === 0 ? [shortEnumName(result.task), count(result.n), percent(result.valid)] : ['', '', '']),
      name,
      figure(result.metrics[name]),
      interval ? `${figure(interval.low)} … ${figure(interval.high)}` : nothing,
      figure(result.constant[name]),
      figure(result.vader[name]),
    ];
  });
}

/** @param report where it was written */
export function evaluationText(evaluation: evaluation.Evaluation, report: string): string {
  const results = table(
    ['task', 'n', 'valid', 'metric', 'model', '95 % interval', 'constant', 'VADER'],
    evaluation.tasks.flatMap(taskRows),
  );
  const remarks = evaluation.tasks.flatMap(({ task, n, cut, pConstant, pVader, humanCeiling }) => [
    ...(cut === 0
      ? []
      : [
          `${shortEnumName(task)}: ${count(cut)} of ${count(n)} texts (${percent(cut / n)}) lost their end to fit into the model`,
        ]),
    ...(pConstant === undefined
      ? []
      : [`${shortEnumName(task)}: p = ${figure(pConstant)} that the constant answer is as good`]),
    ...(pVader === undefined ? [] : [`${shortEnumName(task)}: p = ${figure(pVader)} that VADER is as good`]),
    ...(humanCeiling === undefined
      ? []
      : [`${shortEnumName(task)}: halves of the raters agree by r = ${figure(humanCeiling)}`]),
  ]);
  const hardest = evaluation.hardest
    .slice(0, shownHardest)
    .map(({ task, gold, answer, text }) => [shortEnumName(task), gold, answer, clip(text, textColumns)]);
  return [
    `${evaluation.model} on ${evaluation.dataset}`,
    results,
    ...(remarks.length > 0 ? [remarks.join('\n')] : []),
    ...(hardest.length > 0 ? [table(['hardest', 'gold', 'answer', 'text'], hardest)] : []),
    `report: ${report}, evaluation ${evaluation.id}`,
  ].join('\n\n');
}
