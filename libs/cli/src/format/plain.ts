/** What a model makes of the plain sentences, as text. */
import type { evaluation } from '@emotune/proto';
import { shortEnumName } from '@emotune/service/spec';
import { clip, figure, percent, table } from './text.js';

const textColumns = 80;

/** Sentences whose label was found, by task. */
export function rightAnswers({ tasks }: evaluation.Evaluation): Record<string, number> {
  return Object.fromEntries(
    tasks.map(({ task, labels }) => [shortEnumName(task), labels.reduce((sum, { right }) => sum + right, 0)]),
  );
}

function taskText({ task, n, intervals, vader, labels }: evaluation.TaskResult, right: number): string {
  const { accuracy } = intervals;
  const beside = [
    ...(accuracy ? [`95 % interval ${percent(accuracy.low)} … ${percent(accuracy.high)}`] : []),
    ...('accuracy' in vader ? [`VADER ${figure(vader['accuracy'] * n)}`] : []),
  ];
  const rows = labels.map((label) => [
    label.label,
    `${label.right} of ${label.gold}`,
    `${label.answered - label.right}`,
  ]);
  const title = `${shortEnumName(task)}: ${right} of ${n} right${beside.length > 0 ? ` (${beside.join('; ')})` : ''}`;
  return `${title}\n\n${table(['label', 'right', 'answered wrongly'], rows)}`;
}

/** @param report where it was written */
export function plainText(done: evaluation.Evaluation, report: string): string {
  const right = rightAnswers(done);
  const wrong = done.hardest.map(({ task, gold, answer, text }) => [
    shortEnumName(task),
    gold,
    answer,
    clip(text, textColumns),
  ]);
  return [
    `${done.model} on the plain sentences`,
    ...done.tasks.map((result) => taskText(result, right[shortEnumName(result.task)])),
    ...(wrong.length > 0 ? [table(['wrong', 'gold', 'answer', 'text'], wrong)] : []),
    `report: ${report}, evaluation ${done.id}`,
  ].join('\n\n');
}
