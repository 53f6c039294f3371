/** Where the answers of an evaluation go wrong, as text. */
import type { evaluation } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { clip, count, figure, nothing, percent, table } from './text.js';

const digits = 3;
const rounded = (value: number | undefined) =>
  value === undefined ? nothing : figure(Number(value.toFixed(digits)));
const significant = 0.05;
const textColumns = 40;
/** A label with fewer examples may be missed by chance. */
const enoughRows = 30;

function labelTable({ task, labels }: evaluation.TaskResult): string[] {
  if (labels.length === 0) return [];
  const sets = [...new Set(labels.map(({ labelSet }) => labelSet.join(', ')))];
  return sets.map((set) =>
    table(
      [`${shortEnumName(task)} label`, 'precision', 'recall', 'F1', 'support', 'answered'],
      labels
        .filter(({ labelSet }) => labelSet.join(', ') === set)
        .map(({ label, precision, recall, f1, gold, answered }) => [
          label,
          rounded(precision),
          rounded(recall),
          rounded(f1),
          count(gold),
          count(answered),
        ]),
    ),
  );
}

function missed({ task, labels }: evaluation.TaskResult): string[] {
  const never = labels.filter(({ gold, right }) => gold >= enoughRows && right === 0);
  return never.length === 0
    ? []
    : [
        `${shortEnumName(task)}: never found, of ${enoughRows} examples or more: ${never.map(({ label }) => label).join(', ')}`,
      ];
}

/** Gold labels in rows, answers in columns: all of them, in lines as long as it takes. */
function confusionTables({ task, confusions }: evaluation.TaskResult): string[] {
  return confusions.map(({ labels, counts }) =>
    table(
      [`${shortEnumName(task)}, gold \\ answer`, ...labels],
      labels.map((label, row) => [
        label,
        ...counts
          .slice(row * labels.length, (row + 1) * labels.length)
          .map((n) => (n === 0 ? '·' : count(n))),
      ]),
    ),
  );
}

function intensityTable({ task, intensity }: evaluation.TaskResult): string[] {
  if (intensity.length === 0) return [];
  return [
    table(
      [`${shortEnumName(task)}, gold on 0..1`, 'n', 'answer − gold', '95 % interval', ''],
      intensity.map(({ low, high, n, bias, interval }) => [
        `${figure(low)} to ${figure(high)}`,
        count(n),
        rounded(bias),
        interval ? `${rounded(interval.low)} … ${rounded(interval.high)}` : nothing,
        !interval || (interval.low <= 0 && interval.high >= 0)
          ? ''
          : bias > 0
            ? 'overestimated'
            : 'underestimated',
      ]),
    ),
  ];
}

/** What is shown first of a subtask. */
const mainOf = (metrics: Readonly<Record<string, number>>) =>
  ['pearson', 'macroF1', 'accuracy'].find((name) => name in metrics);

function otherwiseTable(tasks: readonly evaluation.TaskResult[]): string[] {
  const rows = tasks.flatMap(({ task, otherwise }) =>
    otherwise.map(({ kind, n, valid, metrics, usual }) => {
      const name = mainOf(metrics) ?? mainOf(usual);
      return [
        shortEnumName(task),
        kind,
        count(n),
        percent(valid),
        name ?? nothing,
        name === undefined ? nothing : rounded(metrics[name]),
        name === undefined ? nothing : rounded(usual[name]),
      ];
    }),
  );
  return rows.length === 0
    ? []
    : [table(['asked as training never does', '', 'n', 'valid', 'metric', 'model', 'as usual'], rows)];
}

/** Slices that are answered better or worse than the rest, as far as chance can be told. */
function sliceTable(slices: readonly evaluation.SliceResult[]): string[] {
  const told = slices.filter(({ pAdjusted }) => pAdjusted !== undefined && pAdjusted < significant);
  if (told.length === 0) return [];
  return [
    table(
      ['differs from the rest', 'slice', 'n', 'error', 'of the rest', 'p (Holm)'],
      told.map(({ task, slice, n, error, rest, pAdjusted }) => [
        shortEnumName(task),
        slice,
        count(n),
        rounded(error),
        rounded(rest),
        figure(pAdjusted!),
      ]),
    ),
  ];
}

function clusterTable(tasks: readonly evaluation.TaskResult[]): string[] {
  const rows = tasks.flatMap(({ task, clusters }) =>
    clusters.map(({ direction, cues, n, of, confidence, examples }) => [
      shortEnumName(task),
      clip(cues.join(', '), textColumns),
      direction,
      `${count(n)} of ${count(of)}`,
      rounded(confidence),
      clip(examples[0]?.text ?? '', textColumns),
    ]),
  );
  return rows.length === 0
    ? []
    : [table(['mistakes with', 'cues', 'wrong as', 'examples', 'confidence', 'such as'], rows)];
}

function stageTable(stages: readonly evaluation.StageResult[]): string[] {
  if (stages.length === 0) return [];
  const names = [...new Set(stages.flatMap(({ objectives }) => Object.keys(objectives)))];
  return [
    table(
      ['objective at the end of', ...names],
      stages.map(({ stage, objectives, forgotten }) => [
        `stage ${stage}`,
        ...names.map((name) => {
          const risen = forgotten[name];
          return risen === undefined
            ? rounded(objectives[name])
            : `${rounded(objectives[name])} (${risen > 0 ? '+' : ''}${rounded(risen)})`;
        }),
      ]),
    ),
  ];
}

export function errorAnalysis({ tasks, slices, stages }: evaluation.Evaluation): string[] {
  return [
    ...tasks.flatMap((result) => [
      ...labelTable(result),
      ...missed(result),
      ...confusionTables(result),
      ...intensityTable(result),
    ]),
    ...otherwiseTable(tasks),
    ...sliceTable(slices),
    ...stageTable(stages),
    ...clusterTable(tasks),
  ];
}
