/** Two evaluations on the examples that both asked. Pure. */
import { holm, isRegression, pairedPermutation } from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import type { Prediction } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import { losses, measureOf } from './outcomes.js';

/**
 * Two evaluations on the examples that both asked, task by task: rmse, accuracy, or jaccard where labels are several; p-values
 * by paired permutation, and corrected for the number of tasks. Empty where they share none.
 */
export function compare(
  first: readonly Prediction[],
  second: readonly Prediction[],
  seed: number,
): evaluation.TaskComparison[] {
  const keyOf = (p: Prediction) => `${p.task}\u0000${p.id}`;
  const other = new Map(second.map((p) => [keyOf(p), p]));
  const pairs = first.flatMap((p): [Prediction, Prediction][] => {
    const match = other.get(keyOf(p));
    return match ? [[p, match]] : [];
  });
  const compared = [...Map.groupBy(pairs, ([{ task }]) => task)].map(([task, list]) => {
    const [a, b] = [list.map(([p]) => p), list.map(([, p]) => p)];
    const metric = isRegression(task) ? 'rmse' : list.some(([p]) => p.multiLabel) ? 'jaccard' : 'accuracy';
    // Without several labels Jaccard is accuracy, so a measure that leaves it out has the same value there.
    const value = (rows: Prediction[]) => {
      const metrics = measureOf(task, rows).of();
      return metrics[metric] ?? metrics.accuracy ?? 0;
    };
    const [lossA, lossB] = [losses(a), losses(b)];
    const total = (loss: readonly number[]) => loss.reduce((sum, l) => sum + l, 0);
    return {
      task: taskMessage(task),
      metric,
      first: value(a),
      second: value(b),
      pValue: pairedPermutation(lossA, lossB, Rng.of(seed, 'compare', task))!.twoSided,
      n: list.length,
      firstBetter: total(lossA) < total(lossB),
    };
  });
  const adjusted = holm(compared.map(({ pValue }) => pValue));
  return compared.map((comparison, i) => ({ ...comparison, pAdjusted: adjusted[i] }));
}
