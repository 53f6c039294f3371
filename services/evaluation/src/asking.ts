/** Asks a model about examples and notes its answers beside the golds. */
import {
  type Answered,
  answered,
  calibrated,
  crpsOf,
  type Example,
  type Question,
  questionOf,
  type Teaching,
} from '@emotune/affect';
import type { Answer, Answerer } from '@emotune/answering';
import type { Prediction } from '@emotune/records';

/** Examples asked between two reports of progress. */
const chunk = 64;

/** The one label to answer alone. */
function narrowed<A extends Answered>(answer: A): A {
  return answer.leading === null ? answer : { ...answer, labels: [answer.leading] };
}

/** What a model answers, and what it would without calibration. */
export interface Predicted {
  readonly predictions: Prediction[];
  /** To the examples of the subtasks for which it is calibrated, on some of their scales or labels at least. */
  readonly raw: Prediction[];
}

export function predictionOf(example: Example, question: Question, answer: Answer): Prediction {
  const { value, low, high, labels, confidence, within, distribution, cut, goldLogProb } = answer;
  const { gold } = example;
  return {
    id: example.id,
    task: example.task,
    source: example.source,
    language: example.language,
    text: example.text,
    emotion: example.emotion,
    labelSet: example.labelSet,
    multiLabel: example.multiLabel,
    scale: question.scale,
    decimals: question.decimals,
    gold,
    value,
    low,
    high,
    labels,
    confidence,
    within,
    crps: gold.value === null ? null : crpsOf(distribution, gold.value),
    nll: goldLogProb === undefined ? null : -goldLogProb,
    cut,
  };
}

/**
 * The model's answers in the order of the examples, calibrated as they are served.
 * @param onProgress Called with the number of examples answered so far.
 */
export async function predict(
  answerer: Answerer,
  examples: readonly Example[],
  options: {
    /** Undefined where the model does not tell what it was taught. */
    readonly teaching: Teaching | undefined;
    /** Classification: one label alone is the answer, also where several may be. */
    readonly alone?: boolean;
    readonly onProgress: (done: number) => void;
  },
): Promise<Predicted> {
  const { teaching, alone, onProgress } = options;
  const cues = teaching?.cues ?? true;
  const predictions: Prediction[] = [];
  const raw: Prediction[] = [];
  for (let from = 0; from < examples.length; from += chunk) {
    const asked = examples.slice(from, from + chunk);
    const questions = asked.map((example) =>
      calibrated(
        teaching,
        questionOf(example, {
          cues: cues ? answerer.lexicons.explain(example.text, example.language).cueText : '',
          paraphrase: 0,
        }),
      ),
    );
    const answers = await answerer.ask(questions, { golds: asked.map(({ gold }) => gold) });
    asked.forEach((example, i) => {
      const { calibration: _, ...uncalibrated } = questions[i];
      const before = { ...answers[i], ...answered(uncalibrated, answers[i].said) };
      const [served, plain] = alone ? [narrowed(answers[i]), narrowed(before)] : [answers[i], before];
      predictions.push(predictionOf(example, questions[i], served));
      raw.push(predictionOf(example, questions[i], plain));
    });
    onProgress(predictions.length);
  }
  const changed = new Set(
    examples.flatMap((example) =>
      isFitted(calibrated(teaching, example).calibration) ? [example.task] : [],
    ),
  );
  return { predictions, raw: raw.filter(({ task }) => changed.has(task)) };
}

function isFitted(calibration: Question['calibration']): boolean {
  return calibration !== undefined && (calibration.numbers !== null || calibration.labels !== null);
}
