/** The summary of `npm start`, as text for people and as JSON. */
import { join } from 'node:path';
import {
  analysisJson,
  analysisText,
  count,
  datasetJson,
  evaluationJson,
  facts,
  figure,
  messageJson,
  nothing,
  parametersText,
  shortEnumName,
  table,
  valueText,
} from '@emotune/cli/format';
import type { data, evaluation, featurization, inference, tuning } from '@emotune/proto';

export interface StartResult {
  readonly dataset: data.Dataset;
  readonly features: featurization.FeatureSet;
  readonly experiment: tuning.Experiment;
  readonly trials: readonly tuning.Trial[];
  readonly model: tuning.Model;
  readonly tuned: evaluation.Evaluation;
  /** The evaluation of the base model that the winner began from. */
  readonly untuned: evaluation.Evaluation;
  /** Holds the model and report.html. */
  readonly directory: string;
  readonly analyses: readonly inference.Analysis[];
  readonly seconds: readonly { readonly phase: string; readonly seconds: number }[];
}

function dataLines({ manifest }: data.Dataset): string[] {
  const { sources, rows, duplicatesRemoved, leaksRemoved, conflicts, notices } = manifest!;
  return [
    table(
      ['source', 'rows', 'licence'],
      sources.map(({ name, rows: n, licence }) => [name, count(n), licence]),
    ),
    `${count(rows!.train)} train, ${count(rows!.validation)} validation, ${count(rows!.test)} test; ` +
      `${count(duplicatesRemoved)} duplicates and ${count(leaksRemoved)} leaks removed, ` +
      `${count(conflicts?.texts ?? 0)} texts with different answers kept`,
    ...notices.map((notice) => `note: ${notice}`),
  ];
}

function trialLines(trials: readonly tuning.Trial[], best: number | undefined): string[] {
  const search = trials.filter((t) => t.kind === 'TRIAL_KIND_SEARCH');
  const names = [...new Set(search.flatMap((t) => Object.keys(t.parameters)))].sort();
  return [
    table(
      ['trial', 'state', 'answer NLL', 'tokens/s', ...names],
      search.map((t) => [
        `${t.number}${t.number === best ? ' *' : ''}`,
        shortEnumName(t.state),
        figure(t.objective),
        t.tokensPerSecond > 0 ? count(t.tokensPerSecond) : nothing,
        ...names.map((name) => (t.parameters[name] ? valueText(t.parameters[name]) : nothing)),
      ]),
    ),
  ];
}

/** The metrics that the summary shows, by kind of task; the report has all. */
const shown = {
  regression: ['pearson', 'ccc', 'rmse', 'nll'],
  classification: ['accuracy', 'macroF1', 'nll'],
};

function resultLines({ tuned, untuned }: StartResult): string[] {
  const number = (n: number | undefined) => (n === undefined ? nothing : n.toFixed(3));
  const rows = tuned.tasks.flatMap((result) => {
    const task = shortEnumName(result.task);
    const before = untuned.tasks.find((t) => t.task === result.task);
    return shown[task.endsWith('regression') ? 'regression' : 'classification']
      .filter((metric) => metric in result.metrics)
      .map((metric, i) => {
        const interval = result.intervals[metric];
        return [
          i === 0 ? `${task} (${count(result.n)})` : '',
          metric,
          number(result.metrics[metric]),
          interval ? `${interval.low.toFixed(3)} … ${interval.high.toFixed(3)}` : nothing,
          number(before?.metrics[metric]),
          number(result.constant[metric]),
          number(result.vader[metric]),
        ];
      });
  });
  const chances = (p: (result: evaluation.TaskResult) => number | undefined) =>
    tuned.tasks
      .flatMap((result) => {
        const value = p(result);
        return value === undefined
          ? []
          : [`${shortEnumName(result.task)} ${value < 0.001 ? '< 0.001' : figure(value)}`];
      })
      .join(', ');
  return [
    table(['subtask (examples)', 'metric', 'tuned', '95 % interval', 'untuned', 'constant', 'VADER'], rows),
    `p that it is no better than the constant answer: ${chances(({ pConstant }) => pConstant)}`,
    `p that it is no better than VADER: ${chances(({ pVader }) => pVader)}`,
  ];
}

export function summaryText(result: StartResult): string {
  const { dataset, experiment, trials, model, seconds, directory, analyses, tuned } = result;
  const total = seconds.reduce((sum, phase) => sum + phase.seconds, 0);
  const section = (title: string, parts: readonly string[]) => [
    '',
    title,
    ...parts.flatMap((part) => part.split('\n')).map((line) => `  ${line}`.trimEnd()),
  ];
  const { lineage } = model;
  return [
    `EmoTune tuned ${model.name}@${model.version}`,
    ...section('Data', dataLines(dataset)),
    ...section(`Search (${experiment.name})`, trialLines(trials, experiment.bestTrial)),
    ...section('Winner', [
      `${lineage?.baseModel} with ${parametersText(lineage?.parameters ?? {})}`,
      `trained on train + validation for ${count(lineage?.tokens ?? 0)} tokens at ${count(lineage?.tokensPerSecond ?? 0)} tokens/s`,
    ]),
    ...section('Test', resultLines(result)),
    ...section('Analyses', analyses.map(analysisText)),
    ...section('Time', [
      facts(
        [...seconds, { phase: 'together', seconds: total }].map((s) => [
          s.phase,
          `${s.seconds.toFixed(1)} s`,
        ]),
      ),
      `evaluation at ${tuned.examplesPerSecond.toFixed(0)} examples/s`,
    ]),
    ...section('Files', [`model   ${directory}`, `report  ${join(directory, 'report.html')}`]),
  ].join('\n');
}

export function summaryJson(result: StartResult): Record<string, unknown> {
  const { dataset, experiment, trials, model, tuned, untuned, directory, analyses, seconds } = result;
  return {
    dataset: datasetJson(dataset),
    experiment: messageJson('emotune.tuning.v1.Experiment', experiment),
    trials: trials.map((trial) => messageJson('emotune.tuning.v1.Trial', trial)),
    model: messageJson('emotune.tuning.v1.Model', model),
    evaluation: evaluationJson(tuned),
    untuned: evaluationJson(untuned),
    analyses: analyses.flatMap(analysisJson),
    seconds,
    directory,
    report: join(directory, 'report.html'),
  };
}
