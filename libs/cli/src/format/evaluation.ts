/** Evaluations, as JSON and as text. */
import { common, type evaluation } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { errorAnalysis } from './error-analysis.js';
import { clip, count, figure, nothing, percent, table } from './text.js';

const { SKILL_BETTER, SKILL_NONE } = common.Skill;

function skillText(skill: common.Skill): string {
  return skill === SKILL_BETTER ? 'better' : skill === SKILL_NONE ? 'none' : 'unknown';
}

function questionJson({
  emotion,
  scale,
  labels,
  multiLabel,
  n,
  pConstant,
  skill,
  coverage,
}: evaluation.QuestionResult) {
  return {
    ...(emotion === '' ? {} : { emotion }),
    ...(scale ? { scale } : { labels, multiLabel }),
    n,
    ...(pConstant === undefined ? {} : { pConstant }),
    skill: skillText(skill),
    ...(coverage === undefined ? {} : { coverage }),
  };
}

function hardJson({ task, confidence, ...example }: evaluation.HardExample) {
  return { task: shortEnumName(task), ...example, ...(confidence === undefined ? {} : { confidence }) };
}

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
      ...(Object.keys(result.raw).length > 0 ? { raw: result.raw } : {}),
      questions: result.questions.map(questionJson),
      intervals: result.intervals,
      baselines: { constant: result.constant, vader: result.vader },
      ...(result.humanCeiling === undefined ? {} : { humanCeiling: result.humanCeiling }),
      ...(result.pConstant === undefined ? {} : { pConstant: result.pConstant }),
      ...(result.pVader === undefined ? {} : { pVader: result.pVader }),
      ...(result.confusions.length > 0 ? { confusions: result.confusions } : {}),
      calibration: result.calibration,
      ...(result.labels.length > 0 ? { labels: result.labels } : {}),
      ...(result.intensity.length > 0
        ? {
            intensity: result.intensity.map(({ interval, ...bin }) => ({
              ...bin,
              ...(interval ? { interval } : {}),
            })),
          }
        : {}),
      ...(result.otherwise.length > 0 ? { otherwise: result.otherwise } : {}),
      ...(result.clusters.length > 0
        ? {
            clusters: result.clusters.map(({ examples, ...cluster }) => ({
              ...cluster,
              examples: examples.map(hardJson),
            })),
          }
        : {}),
    })),
    slices: evaluation.slices.map(({ task, slice, n, metrics, raw, error, rest, pValue, pAdjusted }) => ({
      task: shortEnumName(task),
      slice,
      n,
      metrics,
      ...(Object.keys(raw).length > 0 ? { raw } : {}),
      error,
      ...(rest === undefined ? {} : { rest }),
      ...(pValue === undefined ? {} : { pValue, pAdjusted }),
    })),
    hardest: evaluation.hardest.map(hardJson),
    ...(evaluation.stages.length > 0 ? { stages: evaluation.stages } : {}),
    ...(evaluation.warnings.length > 0 ? { warnings: evaluation.warnings } : {}),
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
];

const shownHardest = 5;
const textColumns = 60;

function taskRows(result: evaluation.TaskResult, raw: boolean): string[][] {
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
      ...(raw ? [figure(result.raw[name])] : []),
      figure(result.constant[name]),
      figure(result.vader[name]),
    ];
  });
}

const aimed = 0.8;
const sourcePrefix = 'source ';

/** What of its golds the intervals or sets of a calibrated model hold, over all and by source. */
function coverageRemarks({ tasks, slices }: evaluation.Evaluation, task: common.Task): string[] {
  const result = tasks.find((r) => r.task === task);
  const all = result?.metrics['coverage'];
  if (!result || all === undefined || Object.keys(result.raw).length === 0) return [];
  const before = result.raw['coverage'];
  const sources = slices
    .filter((s) => s.task === task && s.slice.startsWith(sourcePrefix) && s.metrics['coverage'] !== undefined)
    .map((s) => `${s.slice.slice(sourcePrefix.length)} ${percent(s.metrics['coverage'])} of ${count(s.n)}`);
  return [
    `${shortEnumName(task)}: ${percent(all)} of golds within intervals or sets meant for ${percent(aimed)}${
      before === undefined ? '' : `, ${percent(before)} before calibration`
    } (by source: ${sources.join(', ')})`,
  ];
}

const languagePrefix = 'language ';

/** Where texts are in several languages, the first two metrics of each. */
function languageRows({ tasks, slices }: evaluation.Evaluation): string[][] {
  return tasks.flatMap(({ task, metrics }) => {
    const own = slices.filter((s) => s.task === task && s.slice.startsWith(languagePrefix));
    if (own.length < 2) return [];
    const names = metricOrder.filter(
      (name) => ['pearson', 'rmse', 'accuracy', 'macroF1'].includes(name) && name in metrics,
    );
    return own.map(({ slice, n, metrics: of }, i) => [
      i === 0 ? shortEnumName(task) : '',
      slice.slice(languagePrefix.length),
      count(n),
      names.map((name) => `${name} ${figure(of[name])}`).join(', '),
    ]);
  });
}

/** @param report where it was written */
export function evaluationText(evaluation: evaluation.Evaluation, report: string): string {
  const raw = evaluation.tasks.some((result) => Object.keys(result.raw).length > 0);
  const results = table(
    ['task', 'n', 'valid', 'metric', 'model', '95 % interval', ...(raw ? ['raw'] : []), 'constant', 'VADER'],
    evaluation.tasks.flatMap((result) => taskRows(result, raw)),
  );
  const languages = languageRows(evaluation);
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
    ...coverageRemarks(evaluation, task),
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
    ...(languages.length > 0 ? [table(['by language', '', 'n', 'metrics'], languages)] : []),
    ...(remarks.length > 0 ? [remarks.join('\n')] : []),
    ...(evaluation.warnings.length > 0
      ? [evaluation.warnings.map((warning) => `warning: ${warning}`).join('\n')]
      : []),
    ...errorAnalysis(evaluation),
    ...(hardest.length > 0 ? [table(['hardest', 'gold', 'answer', 'text'], hardest)] : []),
    `report: ${report}, evaluation ${evaluation.id}`,
  ].join('\n\n');
}
