/** results.json: an evaluation in the shape that `emotune evaluate --json` prints. */
import type { evaluation } from '@emotune/proto';
import { taskOf } from '@emotune/service/words';

const named = (example: evaluation.HardExample) => ({ ...example, task: taskOf(example.task) });

/** The document's text, indented. */
export function resultsJson(
  done: evaluation.Evaluation,
  data: { readonly datasetVersion: string; readonly split: string },
): string {
  const document = {
    id: done.id,
    model: done.model,
    dataset: done.dataset,
    ...data,
    examplesPerSecond: done.examplesPerSecond,
    tasks: done.tasks.map((result) => ({
      task: taskOf(result.task),
      n: result.n,
      valid: result.valid,
      cut: result.cut,
      metrics: result.metrics,
      raw: result.raw,
      questions: result.questions,
      intervals: result.intervals,
      baselines: { constant: result.constant, vader: result.vader },
      humanCeiling: result.humanCeiling,
      pConstant: result.pConstant,
      pVader: result.pVader,
      confusions: result.confusions,
      intensity: result.intensity,
      otherwise: result.otherwise,
      clusters: result.clusters.map((cluster) => ({ ...cluster, examples: cluster.examples.map(named) })),
      calibration: result.calibration,
      labels: result.labels,
    })),
    slices: done.slices.map((slice) => ({ ...slice, task: taskOf(slice.task) })),
    checks: done.checks,
    warnings: done.warnings,
    hardest: done.hardest.map(named),
    stages: done.stages,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
