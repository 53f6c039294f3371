/**
 * Where the embeddings of a new model begin: a bag of words that is trained to answer the questions about train rows, the
 * mean of a text's embeddings times the embedding of an answer (fastText, Joulin et al. 2017). Answers are tokens of the
 * same table, so that a model with a tied head need but average what it reads. Pure.
 */
import { type Example, softmax } from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { Tokenizer } from '@emotune/text';

/** Times that each row is seen. */
const epochs = 8;
/** Falls to 0 over all rows; 0.8 diverges on ours. */
const learningRate = 0.3;
/** Share of a text's tokens that are left out each time. */
const dropped = 0.2;
/** Root mean squares of what was learnt and of the noise that tells tokens apart; a new model's usual one is 0.02. */
const said = 0.05;
const noise = 0.02;
/** What was learnt counts at most so many times its root mean square. */
const most = 5;

/** Rows of one source and task, with the answers that occur: labels, or one for all numbers. */
interface Group {
  readonly answers: readonly Float64Array[];
  readonly biases: Float64Array;
  readonly labels: readonly string[];
  readonly mean: number;
  readonly deviation: number;
}

interface Lesson {
  readonly group: Group;
  readonly tokens: readonly number[];
  readonly example: Example;
}

function momentsOf(values: readonly number[]): Pick<Group, 'mean' | 'deviation'> {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) || 1 };
}

/** Sources share the vectors of their labels, and of the numbers of a task. */
function groupOf(examples: readonly Example[], bag: BagOfWords): Group {
  const labels = [...new Set(examples.flatMap(({ gold }) => gold.labels))].sort();
  const [{ task, emotion }] = examples;
  const answers =
    labels.length > 0
      ? labels.map((label) => bag.vectorOf(bag.labels, label))
      : [bag.vectorOf(bag.numbers, JSON.stringify([task, emotion]))];
  return {
    answers,
    biases: new Float64Array(answers.length),
    labels,
    ...momentsOf(examples.map(({ gold }) => gold.value ?? 0)),
  };
}

/** The gradient of the loss by each score: cross-entropy of labels, half the squared error of standardised numbers. */
function errorsOf({ labels, mean, deviation }: Group, scores: Float64Array, { gold }: Example): Float64Array {
  if (labels.length === 0) return Float64Array.of((scores[0] - ((gold.value ?? 0) - mean) / deviation) / 2);
  const share = 1 / gold.labels.length;
  return softmax(scores).map((p, i) => p - (gold.labels.includes(labels[i]) ? share : 0));
}

/** The words of texts as rows of a table, and the answers. */
class BagOfWords {
  readonly table: Float64Array;
  readonly labels = new Map<string, Float64Array>();
  readonly numbers = new Map<string, Float64Array>();

  constructor(
    vocabSize: number,
    private readonly width: number,
    rng: Rng,
  ) {
    this.table = Float64Array.from({ length: vocabSize * width }, () => (2 * rng.uniform() - 1) / width);
  }

  vectorOf(among: Map<string, Float64Array>, name: string): Float64Array {
    const known = among.get(name) ?? new Float64Array(this.width);
    among.set(name, known);
    return known;
  }

  private meanOf(tokens: readonly number[]): Float64Array {
    const { table, width } = this;
    const mean = new Float64Array(width);
    for (const token of tokens) for (let j = 0; j < width; j++) mean[j] += table[token * width + j];
    for (let j = 0; j < width; j++) mean[j] /= tokens.length;
    return mean;
  }

  /** One step of stochastic gradient descent. */
  learn({ group, example }: Lesson, tokens: readonly number[], rate: number): void {
    const { table, width } = this;
    const mean = this.meanOf(tokens);
    const scores = Float64Array.from(group.answers, (answer, i) => {
      let score = group.biases[i];
      for (let j = 0; j < width; j++) score += mean[j] * answer[j];
      return score;
    });
    const gradient = new Float64Array(width);
    for (const [i, error] of errorsOf(group, scores, example).entries()) {
      const answer = group.answers[i];
      group.biases[i] -= (rate * error) / 10;
      for (let j = 0; j < width; j++) {
        gradient[j] += error * answer[j];
        answer[j] -= rate * error * mean[j];
      }
    }
    const step = rate / tokens.length;
    for (const token of tokens)
      for (let j = 0; j < width; j++) table[token * width + j] -= step * gradient[j];
  }
}

function lessonsOf(examples: readonly Example[], tokenizer: Tokenizer, bag: BagOfWords): Lesson[] {
  const bySource = Map.groupBy(examples, ({ source, task, emotion }) =>
    JSON.stringify([source, task, emotion]),
  );
  const known = new Map<string, readonly number[]>();
  const tokensOf = (text: string) => {
    const tokens = known.get(text) ?? [...tokenizer.encode(` ${text.replace(/\s+/g, ' ')}`)];
    known.set(text, tokens);
    return tokens;
  };
  return [...bySource.values()].flatMap((rows) => {
    const group = groupOf(rows, bag);
    return rows.map((example) => ({ group, example, tokens: tokensOf(example.text) }));
  });
}

/** Embeddings [vocabulary, width]: what the words and labels of the examples mean, and noise. The same for the same seed. */
export function affectiveEmbeddings(
  examples: readonly Example[],
  tokenizer: Tokenizer,
  { width, seed }: { readonly width: number; readonly seed: number },
): Float32Array {
  const rng = Rng.of(seed, 'affective embeddings');
  const { vocabSize } = tokenizer;
  const bag = new BagOfWords(vocabSize, width, rng);
  const lessons = lessonsOf(examples, tokenizer, bag);
  for (let epoch = 0, step = 0; epoch < epochs; epoch++)
    for (const lesson of rng.shuffle([...lessons])) {
      const tokens = lesson.tokens.filter(() => rng.uniform() >= dropped);
      const rate = learningRate * (1 - step++ / (epochs * lessons.length));
      if (tokens.length > 0) bag.learn(lesson, tokens, rate);
    }
  return scaled(bag, tokenizer, width, rng);
}

/** Words and labels each at the root mean square of `said`, so that neither drowns the other. Numbers have no token of their own. */
function scaled({ table, labels }: BagOfWords, tokenizer: Tokenizer, width: number, rng: Rng): Float32Array {
  const rms = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  const clipped = (x: number, scale: number) => said * Math.min(most, Math.max(-most, x / (scale || 1)));
  const words = rms(table);
  const learnt = Float32Array.from(table, (x) => clipped(x, words) + noise * rng.normal());
  for (const [label, answer] of labels) {
    const [token] = tokenizer.encode(label);
    const scale = rms(answer);
    answer.forEach((x, j) => {
      learnt[token * width + j] = clipped(x, scale) + noise * rng.normal();
    });
  }
  return learnt;
}
