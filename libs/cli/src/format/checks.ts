/** What came of the behavioural checks, as text. */
import type { evaluation } from '@emotune/proto';
import { clip, figure, percent, table } from './text.js';

const shownFailures = 2;
const textColumns = 50;

/** @param report where it was written */
export function checksText({ model, id, checks }: evaluation.Evaluation, report: string): string {
  const rows = checks.map(({ capability, n, passed, shift, size }) => [
    capability,
    `${passed} of ${n}`,
    percent(passed / n),
    figure(shift),
    figure(size),
  ]);
  const failures = checks.flatMap(({ capability, failures: failed }) =>
    failed
      .slice(0, shownFailures)
      .map(({ text, changed, expected, answer }) => [
        capability,
        clip(text, textColumns),
        clip(changed, textColumns),
        expected,
        answer,
      ]),
  );
  return [
    `behavioural checks of ${model}`,
    table(['capability', 'passed', 'share', 'mean shift of valence', 'mean size'], rows),
    ...(failures.length > 0 ? [table(['failed', 'text', 'changed to', 'expected', 'answer'], failures)] : []),
    `all failures: ${report}, evaluation ${id}`,
  ].join('\n\n');
}
