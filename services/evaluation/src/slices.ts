/** Slices of the examples, each held against the rest of them. Pure. */
import {
  type ConstantBaseline,
  disagreement,
  holm,
  median,
  membersPermutation,
  slicesOf,
  type Task,
} from '@emotune/affect';
import type { Rng } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import type { Prediction } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import type { LexiconView } from './analysis.js';
import { losses, measureOf, present } from './outcomes.js';

interface Slice {
  readonly name: string;
  readonly rows: readonly number[];
  /** What they are held against, beside themselves: all examples, or those of which as much is known. */
  readonly among: readonly number[];
}

export interface Sliced {
  readonly predictions: readonly Prediction[];
  readonly raw: readonly Prediction[];
  /** Of each prediction; undefined where lexicons do not know its language. */
  readonly views: readonly (LexiconView | undefined)[];
  readonly constant: ConstantBaseline;
  readonly rng: Rng;
}

/** Digits of a spread. */
const digits = 2;

/** Examples whose raters are nearer to each other than usual, and farther, where that is known of some of both. */
function byRaters(predictions: readonly Prediction[]): Slice[] {
  const apart = predictions.map(({ gold }) => disagreement(gold));
  const among = [...apart.keys()].filter((i) => apart[i] !== undefined);
  if (among.length === 0) return [];
  const middle = median(among.map((i) => apart[i]!));
  const near = among.filter((i) => apart[i]! <= middle);
  const far = among.filter((i) => apart[i]! > middle);
  if (far.length === 0) return [];
  const what = predictions[among[0]].gold.value === null ? 'against the majority' : 'spread';
  return [
    { name: `raters agree (${what} at most ${middle.toFixed(digits)})`, rows: near, among },
    { name: `raters disagree (${what} above ${middle.toFixed(digits)})`, rows: far, among },
  ];
}

function slices({ predictions, views }: Sliced): Slice[] {
  const members = new Map<string, number[]>();
  predictions.forEach((p, i) => {
    for (const name of slicesOf({ ...p, covered: views[i] && views[i].words.length > 0 })) {
      const rows = members.get(name);
      if (rows) rows.push(i);
      else members.set(name, [i]);
    }
  });
  const among = [...predictions.keys()];
  return [...[...members].map(([name, rows]) => ({ name, rows, among })), ...byRaters(predictions)].sort(
    (a, b) => (a.name < b.name ? -1 : 1),
  );
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** By name. The same predictions and stream give the same numbers. */
export function sliceResults(task: Task, sliced: Sliced): evaluation.SliceResult[] {
  const { predictions, raw, constant, rng } = sliced;
  const errors = losses(predictions);
  const metrics = (all: readonly Prediction[], rows: readonly number[]) =>
    present(
      measureOf(
        task,
        rows.map((i) => all[i]),
        constant,
      ).of(),
    );
  const found = slices(sliced).map(({ name, rows, among }) => {
    const own = new Set(rows);
    const others = among.filter((i) => !own.has(i));
    const pValue = membersPermutation(
      among.map((i) => errors[i]),
      among.map((i) => Number(own.has(i))),
      rng.child(name),
    );
    return {
      task: taskMessage(task),
      slice: name,
      n: rows.length,
      metrics: metrics(predictions, rows),
      raw: raw.length > 0 ? metrics(raw, rows) : {},
      error: mean(rows.map((i) => errors[i])),
      rest: others.length === 0 ? undefined : mean(others.map((i) => errors[i])),
      pValue,
    };
  });
  const tested = found.filter(({ pValue }) => pValue !== undefined);
  const adjusted = holm(tested.map(({ pValue }) => pValue!));
  const of = new Map(tested.map((slice, i) => [slice, adjusted[i]]));
  return found.map((slice) => ({ ...slice, pAdjusted: of.get(slice) }));
}
