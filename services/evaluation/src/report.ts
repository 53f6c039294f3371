/** The report of one evaluation: one HTML page that needs nothing else, neither network nor scripts. */
import type { evaluation, tuning } from '@emotune/proto';
import { type Content, html, Markup } from './markup.js';
import { insightSection } from './report-insight.js';
import { count, number, parametersText, pValue, table } from './report-parts.js';
import { searchSection } from './report-search.js';
import { taskSection } from './report-task.js';
import { mainMetrics, metricTitles, taskTitle, withInterval } from './report-titles.js';
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
  /** The processors that the model answered on; empty where that is not known. */
  readonly machine: string;
}

function facts(entries: readonly (readonly [string, Content])[]): Markup {
  return html`<dl>${entries
    .filter(([, value]) => value !== '' && value !== undefined)
    .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function versioned(name: string, version: string): string {
  return version === '' ? name : `${name}@${version}`;
}

/** The day, in UTC. */
function dateText(time: evaluation.Evaluation['createTime']): string {
  return time === undefined ? '' : new Date(1000 * time.seconds).toISOString().slice(0, 10);
}

/** How it was trained, as the trial was told or as its files tell. */
function methodText({ method }: tuning.Lineage['parameters'], { basePrefix }: tuning.Model): string {
  return typeof method === 'string' ? method : basePrefix === '' ? 'full' : 'lora';
}

/** Each licence with what has it: the base model and the sources of its data. */
function licencesText({ baseLicence, sources }: tuning.Lineage): string {
  const having = new Map<string, string[]>();
  const add = (licence: string, what: string) =>
    licence === '' || having.set(licence, [...(having.get(licence) ?? []), what]);
  add(baseLicence, 'base model');
  for (const { licence, name } of sources) add(licence, name);
  return [...having].map(([licence, what]) => `${licence} (${what.join(', ')})`).join('; ');
}

function modelSection({ model, evaluation: done, datasetVersion, split, machine }: ReportData): Markup {
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
          ['Method', methodText(lineage.parameters, model)],
          ['Licences', licencesText(lineage)],
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
    ['Asked on', dateText(done.createTime)],
    ['Computed on', machine],
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

/** What was remembered of each subtask while later ones were trained. */
function stagesSection({ stages }: evaluation.Evaluation): Markup | undefined {
  if (stages.length === 0) return undefined;
  const names = [...new Set(stages.flatMap(({ objectives }) => Object.keys(objectives)))];
  const rows = stages.map(({ stage, objectives, forgotten }) => [
    `Stage ${stage}`,
    ...names.map((name) => {
      const risen = forgotten[name];
      return html`${number(objectives[name])}${risen === undefined ? undefined : html` <span class="interval">${risen > 0 ? '+' : ''}${number(risen)}</span>`}`;
    }),
  ]);
  return html`<section><h2>Forgetting</h2>${table(['At the end of', ...names], rows, 'numbers')}<p class="note">Validation objective of each subtask, nats of an answer, in the trial that the model comes from. Small figures: how much that of an earlier subtask has risen above its least at the end of a stage.</p></section>`;
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
<main>${data.evaluation.warnings.map((warning) => html`<p class="note">Warning: ${warning}.</p>`)}${data.evaluation.tasks.length > 0 ? summarySection(data) : undefined}${checksSection(data.evaluation)}${modelSection(data)}${data.evaluation.tasks.map((task) => taskSection(task, data))}${stagesSection(data.evaluation)}${searchSection(data.trials)}${insightSection(data.insight, data.explanations)}</main>
</body>
</html>
`.text;
}
