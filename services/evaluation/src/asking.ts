/** Asks a model about examples and notes its answers beside the golds. */
import { type Example, questionOf } from '@emotune/affect';
import type { Answer, Answerer } from '@emotune/answering';
import type { Prediction } from '@emotune/records';

/** Examples asked between two reports of progress. */
const chunk = 64;

/** Probability that the model held its whole answer to be right; of a set that was not scored, that of its weakest label. */
function confidenceOf({ labels, distribution, marginals }: Answer): number | null {
  if (labels.length === 0) return null;
  const whole = distribution.find(
    (candidate) =>
      candidate.labels.length === labels.length && candidate.labels.every((label) => labels.includes(label)),
  );
  if (whole) return whole.probability;
  return marginals
    .filter(({ label }) => labels.includes(label))
    .reduce((least, { probability }) => Math.min(least, probability), 1);
}

/** The first in the alphabet among equals. */
export function likeliestLabel({ marginals }: Answer): string {
  return marginals.reduce((best, next) => (next.probability > best.probability ? next : best)).label;
}

/** Its likeliest label alone. */
function narrowed(answer: Answer): Answer {
  return answer.labels.length === 0 ? answer : { ...answer, labels: [likeliestLabel(answer)] };
}

/**
 * The model's answers in the order of the examples.
 * @param onProgress Called with the number of examples answered so far.
 */
export async function predict(
  answerer: Answerer,
  examples: readonly Example[],
  options: {
    readonly cues: boolean;
    /** Classification: the likeliest label alone is the answer, also where several may be. */
    readonly likeliest?: boolean;
    readonly onProgress: (done: number) => void;
  },
): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  for (let from = 0; from < examples.length; from += chunk) {
    const asked = examples.slice(from, from + chunk);
    const questions = asked.map((example) =>
      questionOf(example, {
        cues: options.cues ? answerer.lexicons.explain(example.text, example.language).cueText : '',
        paraphrase: 0,
      }),
    );
    const answers = await answerer.ask(questions, { golds: asked.map(({ gold }) => gold) });
    asked.forEach((example, i) => {
      const answer = options.likeliest ? narrowed(answers[i]) : answers[i];
      predictions.push({
        id: example.id,
        task: example.task,
        source: example.source,
        language: example.language,
        text: example.text,
        emotion: example.emotion,
        labelSet: example.labelSet,
        multiLabel: example.multiLabel,
        scale: questions[i].scale,
        decimals: questions[i].decimals,
        gold: example.gold,
        value: answer.value,
        low: answer.low,
        high: answer.high,
        labels: answer.labels,
        confidence: confidenceOf(answer),
        nll: answer.goldLogProb === undefined ? null : -answer.goldLogProb,
        cut: answer.cut,
      });
    });
    options.onProgress(predictions.length);
  }
  return predictions;
}
