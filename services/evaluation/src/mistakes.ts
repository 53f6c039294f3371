/** The hardest examples, and what mistakes have in common. Pure. */
import { hardClusters, hardest, isRegression, quantile, slicesOf, type Task } from '@emotune/affect';
import type { evaluation } from '@emotune/proto';
import type { Prediction } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import type { LexiconView } from './analysis.js';
import { losses, shown, sureness } from './outcomes.js';

/** Answers with labels are among the hard ones from this 1 − Jaccard on, numbers among the farthest fifth. */
const hardLoss = 0.5;
const easyShare = 0.8;
/** Of a cluster. */
const shownExamples = 3;
/** Nearly all texts are of the first, and a word says more than that it is known. */
const tellsNothing = /^(?:language |lexicon words$)/;

function cuesOf(prediction: Prediction, view: LexiconView | undefined): string[] {
  const marks = slicesOf({ ...prediction, covered: view && view.words.length > 0 });
  return [...(view?.words ?? []), ...marks.filter((mark) => !tellsNothing.test(mark))];
}

/** In which way an answer is wrong. */
function directionOf(p: Prediction): string {
  if (!isRegression(p.task)) return `${shown(p, p.gold)} → ${shown(p, p)}`;
  return (p.value ?? 0.5) > (p.gold.value ?? 0.5) ? 'too high' : 'too low';
}

/** @param hardestShown how many of the hardest examples are told */
export function mistakesOf(
  task: Task,
  predictions: readonly Prediction[],
  {
    views,
    hardestShown,
  }: { readonly views: readonly (LexiconView | undefined)[]; readonly hardestShown: number },
): Pick<evaluation.Evaluation, 'hardest'> & Pick<evaluation.TaskResult, 'clusters'> {
  const regression = isRegression(task);
  const errors = losses(predictions).map((loss) => (regression ? Math.sqrt(loss) : loss));
  const least = regression ? quantile(Float64Array.from(errors).sort(), easyShare) : hardLoss;
  const rows = predictions.map((p, i) => ({
    id: p.id,
    cues: cuesOf(p, views[i]),
    direction: errors[i] > 0 && errors[i] >= least ? directionOf(p) : undefined,
    confidence: sureness(p),
  }));
  const example = (i: number): evaluation.HardExample => ({
    task: taskMessage(task),
    id: predictions[i].id,
    text: predictions[i].text,
    gold: shown(predictions[i], predictions[i].gold),
    answer: shown(predictions[i], predictions[i]),
    error: errors[i],
    confidence: rows[i].confidence,
    cues: rows[i].cues,
  });
  const ranked = predictions.map(({ id, nll }, i) => ({
    ...{ id, i, error: errors[i], nll: nll ?? undefined },
    confidence: rows[i].confidence,
  }));
  return {
    hardest: hardest(ranked, hardestShown).map(({ i }) => example(i)),
    clusters: hardClusters(rows).map(({ cues, rows: members, ...cluster }) => ({
      ...cluster,
      cues: [...cues],
      n: members.length,
      examples: members.slice(0, shownExamples).map(example),
    })),
  };
}
