/** Two evaluations on the same rows, as JSON and as text. */
import type { evaluation } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { count, figure, nothing, table } from './text.js';

/** Differences that chance makes less often than this are told. */
const significant = 0.05;

export function comparisonJson({ first, second, tasks }: evaluation.Comparison) {
  return { first, second, tasks: tasks.map((task) => ({ ...task, task: shortEnumName(task.task) })) };
}

export function comparisonText({ first, second, tasks }: evaluation.Comparison): string {
  const better = ({ pAdjusted, firstBetter }: evaluation.TaskComparison) =>
    pAdjusted >= significant ? nothing : firstBetter ? 'first' : 'second';
  const rows = tasks.map((task) => [
    shortEnumName(task.task),
    count(task.n),
    task.metric,
    figure(task.first),
    figure(task.second),
    figure(task.pValue),
    figure(task.pAdjusted),
    better(task),
  ]);
  return [
    `first   ${first}\nsecond  ${second}`,
    table(['task', 'n', 'metric', 'first', 'second', 'p', 'p adjusted', 'better'], rows),
    'p: paired permutation test, two-sided; adjusted for the number of tasks (Holm)',
  ].join('\n\n');
}
