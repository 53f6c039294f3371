/** Asks a model about rows as training never does, and notes its answers in the terms of the rows. */
import {
  calibrated,
  type Example,
  heldOutQuestions,
  type OtherKind,
  type Otherwise,
  type Teaching,
} from '@emotune/affect';
import type { Answerer } from '@emotune/answering';
import { Rng } from '@emotune/base';
import type { Prediction } from '@emotune/records';
import { predictionOf } from './asking.js';
import { limited } from './targets.js';

/** Questions asked between two reports of progress. */
const chunk = 64;

export interface OtherwisePrediction {
  readonly kind: OtherKind;
  readonly prediction: Prediction;
}

interface Asked extends Otherwise {
  readonly example: Example;
}

/** One held-out way of each kind, drawn by the row: the same rows are asked the same. */
function waysOf(example: Example, cues: string): Asked[] {
  const rng = Rng.of('asked otherwise', example.task, example.id);
  const ways = rng.shuffle(heldOutQuestions(example, cues));
  const kinds = [...new Set(ways.map(({ kind }) => kind))].sort();
  return kinds.map((kind) => ({ ...ways.find((way) => way.kind === kind)!, example }));
}

/** Labels as the row's own set calls them. */
function own(labels: readonly string[], { meant }: Otherwise): string[] {
  return labels.flatMap((label) => meant.get(label) ?? [label]);
}

/**
 * The model's answers to every held-out kind of question about some of the examples, served as any answer is. Values are on 0..1
 * and labels those of the example, whatever the question called them.
 * @param onProgress Called with the number of questions answered so far, and of all.
 */
export async function predictOtherwise(
  answerer: Answerer,
  examples: readonly Example[],
  {
    teaching,
    perTask,
    onProgress,
  }: {
    /** Undefined where the model does not tell what it was taught. */
    readonly teaching: Teaching | undefined;
    /** Examples of each subtask at most, the same ones of the same examples. */
    readonly perTask: number;
    readonly onProgress: (done: number, total: number) => void;
  },
): Promise<OtherwisePrediction[]> {
  const cues = teaching?.cues ?? true;
  const ways = limited(examples, perTask).flatMap((example) =>
    waysOf(example, cues ? answerer.lexicons.explain(example.text, example.language).cueText : ''),
  );
  const predictions: OtherwisePrediction[] = [];
  for (let from = 0; from < ways.length; from += chunk) {
    const asked = ways.slice(from, from + chunk);
    const questions = asked.map(({ question }) => calibrated(teaching, question));
    const answers = await answerer.ask(questions, { golds: asked.map(({ gold }) => gold) });
    asked.forEach((way, i) => {
      const { kind, example } = way;
      const answer = {
        ...answers[i],
        labels: own(answers[i].labels, way),
        within: own(answers[i].within, way),
      };
      predictions.push({ kind, prediction: predictionOf(example, questions[i], answer) });
    });
    onProgress(predictions.length, ways.length);
  }
  return predictions;
}
