/** The summary of `npm start`, as text for people. */
import type { data, evaluation, featurization, inference, tuning } from '@emotune/proto';
import { taskOf } from '@emotune/service';

export interface StartResult {
  readonly dataset: data.Dataset;
  readonly features: featurization.FeatureSet;
  readonly experiment: tuning.Experiment;
  readonly trials: readonly tuning.Trial[];
  readonly model: tuning.Model;
  readonly tuned: evaluation.Evaluation;
  /** Of the base model that the winner began from. */
  readonly untuned: evaluation.Evaluation;
  /** Holds the model and report.html. */
  readonly directory: string;
  readonly analyses: readonly inference.Analysis[];
  readonly seconds: readonly { readonly phase: string; readonly seconds: number }[];
}

/** Columns padded to their widest cell; all but the first flush right where `right`. */
export function table(rows: readonly (readonly string[])[], right = true): string[] {
  const widths = rows[0].map((_, c) => Math.max(...rows.map((row) => (row[c] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, c) => (right && c > 0 ? cell.padStart(widths[c]) : cell.padEnd(widths[c])))
      .join('  ')
      .trimEnd(),
  );
}

const integer = (n: number) => n.toLocaleString('en');

function value(v: tuning.ParameterValue): string {
  if (v.number !== undefined) return String(Number(v.number.toPrecision(3)));
  return v.text ?? String(v.flag ?? '');
}

function dataLines({ manifest }: data.Dataset): string[] {
  const { sources, rows, duplicatesRemoved, leaksRemoved, notices } = manifest!;
  return [
    ...table([
      ['source', 'rows', 'licence'],
      ...sources.map(({ name, rows: n, licence }) => [name, integer(n), licence]),
    ]),
    `${integer(rows!.train)} train, ${integer(rows!.validation)} validation, ${integer(rows!.test)} test; ` +
      `${integer(duplicatesRemoved)} duplicates and ${integer(leaksRemoved)} leaks removed`,
    ...notices.map((notice) => `note: ${notice}`),
  ];
}

function trialLines(trials: readonly tuning.Trial[], best: number | undefined): string[] {
  const search = trials.filter((t) => t.kind === 'TRIAL_KIND_SEARCH');
  const names = [...new Set(search.flatMap((t) => Object.keys(t.parameters)))].sort();
  return table([
    ['trial', 'state', 'answer NLL', 'tokens/s', ...names],
    ...search.map((t) => [
      `${t.number}${t.number === best ? ' *' : ''}`,
      t.state.replace('TRIAL_STATE_', '').toLowerCase(),
      t.objective?.toFixed(4) ?? '',
      t.tokensPerSecond > 0 ? t.tokensPerSecond.toFixed(0) : '',
      ...names.map((name) => (t.parameters[name] ? value(t.parameters[name]) : '')),
    ]),
  ]);
}

/** The metrics that the summary shows, by kind of task; the report has all. */
const shown = {
  regression: ['pearson', 'ccc', 'rmse', 'nll'],
  classification: ['accuracy', 'macroF1', 'nll'],
};

function resultLines({ tuned, untuned }: StartResult): string[] {
  const number = (n: number | undefined) => (n === undefined ? '' : n.toFixed(3));
  const rows = tuned.tasks.flatMap((result) => {
    const task = taskOf(result.task)!;
    const before = untuned.tasks.find((t) => t.task === result.task);
    return shown[task.endsWith('regression') ? 'regression' : 'classification']
      .filter((metric) => metric in result.metrics)
      .map((metric, i) => {
        const interval = result.intervals[metric];
        return [
          i === 0 ? `${task} (${integer(result.n)})` : '',
          metric,
          number(result.metrics[metric]),
          interval ? `${interval.low.toFixed(3)} … ${interval.high.toFixed(3)}` : '',
          number(before?.metrics[metric]),
          number(result.constant[metric]),
          number(result.vader[metric]),
        ];
      });
  });
  const better = tuned.tasks.map((t) =>
    t.pConstant === undefined
      ? []
      : [`${taskOf(t.task)}: p = ${t.pConstant < 0.001 ? '< 0.001' : t.pConstant.toFixed(3)}`],
  );
  return [
    ...table([
      ['subtask (examples)', 'metric', 'tuned', '95 % interval', 'untuned', 'constant', 'VADER'],
      ...rows,
    ]),
    `not better than the constant answer: ${better.flat().join(', ')}`,
  ];
}

function answerText(answer: inference.Answer): string {
  if (answer.value !== undefined) {
    const { low, high } = answer.scale!;
    const interval =
      answer.low === undefined ? '' : ` (${answer.low.toFixed(2)} … ${answer.high!.toFixed(2)})`;
    return `${answer.value.toFixed(2)} on ${low}..${high}${interval}`;
  }
  const top = [...answer.distribution].sort((a, b) => b.probability - a.probability)[0];
  return `${answer.labels.join(', ')}${top ? ` (${(100 * top.probability).toFixed(0)} %)` : ''}`;
}

function analysisLines(analyses: readonly inference.Analysis[]): string[] {
  return analyses.flatMap(({ text, answers, cues }) => [
    `"${text}"`,
    ...answers.map((a) => `  ${taskOf(a.task)}${a.emotion ? ` of ${a.emotion}` : ''}: ${answerText(a)}`),
    `  cues: ${cues.map((c) => `${c.text} ${c.score > 0 ? '+' : ''}${Number(c.score.toFixed(1))}`).join(', ') || 'none'}`,
  ]);
}

export function summary(result: StartResult): string {
  const { dataset, experiment, trials, model, seconds, directory, analyses, tuned } = result;
  const total = seconds.reduce((sum, phase) => sum + phase.seconds, 0);
  const section = (title: string, lines: readonly string[]) => [
    '',
    title,
    ...lines.map((line) => `  ${line}`.trimEnd()),
  ];
  const { lineage } = model;
  return [
    `EmoTune tuned ${model.name}@${model.version}`,
    ...section('Data', dataLines(dataset)),
    ...section(`Search (${experiment.name})`, trialLines(trials, experiment.bestTrial)),
    ...section('Winner', [
      `${lineage?.baseModel} with ${Object.entries(lineage?.parameters ?? {})
        .map(([name, v]) => `${name} ${value(v)}`)
        .join(', ')}`,
      `trained on train + validation for ${integer(lineage?.tokens ?? 0)} tokens at ${integer(Math.round(lineage?.tokensPerSecond ?? 0))} tokens/s`,
    ]),
    ...section('Test', resultLines(result)),
    ...section('Analyses', analysisLines(analyses)),
    ...section('Time', [
      ...table([
        ...seconds.map((s) => [s.phase, `${s.seconds.toFixed(1)} s`]),
        ['together', `${total.toFixed(1)} s`],
      ]),
      `evaluation at ${tuned.examplesPerSecond.toFixed(0)} examples/s`,
    ]),
    ...section('Files', [`model   ${directory}`, `report  ${directory}/report.html`]),
    '',
  ].join('\n');
}
