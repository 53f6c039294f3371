/** What came of an ablation, for people. */
import { tasks } from '@emotune/affect';
import { facts, figure, nothing, table } from '@emotune/cli/format';
import type { AblationFigures } from './ablation.js';
import type { Effect, FigureName } from './effects.js';

const digits = 3;
const signed = (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`;

function differenceText({ difference, interval }: Effect, name: FigureName): string {
  const [value, bounds] = [difference[name], interval[name]];
  if (value === undefined || bounds === undefined) return nothing;
  return `${signed(value)} (${signed(bounds.low)} … ${signed(bounds.high)})`;
}

const names: readonly FigureName[] = [...tasks, 'usual', 'otherwise'];

export function ablationText({
  workload,
  seeds,
  features,
  reference,
  testRows,
  neverFound,
}: AblationFigures): string {
  const { model, rows, tokens, trainRows, method, learningRate, batchTokens } = workload;
  return [
    facts([
      ['model', model],
      ['rows', `${rows}: up to ${trainRows} train rows of each subtask, ${testRows} test rows`],
      ['training', `${method}, ${tokens} tokens, rate ${learningRate}, batches of ${batchTokens}`],
      ['seeds', String(seeds)],
    ]),
    table(
      ['reference, test', ...names],
      [
        [
          '',
          ...names.map((name) =>
            reference[name] === undefined ? nothing : figure(Number(reference[name]!.toFixed(digits))),
          ),
        ],
      ],
    ),
    table(
      ['with it less without, test', ...names, 'time'],
      features.map(({ name, test }) => [
        name,
        ...names.map((of) => differenceText(test, of)),
        `× ${test.time.toFixed(2)}`,
      ]),
    ),
    table(
      ['by validation rows', 'usual', 'otherwise', 'helps', 'by default'],
      features.map(({ name, validation, helps, byDefault }) => [
        name,
        differenceText(validation, 'usual'),
        differenceText(validation, 'otherwise'),
        helps ? 'yes' : 'not shown',
        byDefault ? 'on' : 'off',
      ]),
    ),
    "macro-F1 of labels, Pearson's r of numbers; usual: their mean; otherwise: the mean where rows are asked on scales, labels and in words that training never has\n95 % intervals: rows and seeds resampled together, paired",
    neverFound.length === 0
      ? 'every label of 30 test rows was found by every run'
      : table(
          ['never found', 'test rows', 'variant', 'seed'],
          neverFound.map(({ label, gold, variant, seed }) => [label, String(gold), variant, String(seed)]),
        ),
  ].join('\n\n');
}
