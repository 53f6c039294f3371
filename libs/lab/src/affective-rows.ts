/**
 * Questions and answers that the second part of pre-training is about: every train row asked again and again, each time
 * otherwise, and drawn so that small sources and rare labels come often enough to be learnt. Pure: the same examples and
 * seed give the same rows.
 */
import {
  answerTokens,
  type Example,
  explain,
  labelGold,
  labelSets,
  type Otherwise,
  otherwise,
  paraphrases,
  questionOf,
  renderAnswer,
  renderPrompt,
} from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { Tokenizer } from '@emotune/text';
import type { Row } from '@emotune/training';

/** `bare`: text, cues and what is asked, without instruction, at about half the tokens; `asked`: as a user asks. */
export const forms = ['bare', 'asked'] as const;
export type Form = (typeof forms)[number];

/** Emotions by what they say of the sentiment, as Demszky et al. 2020 (figure 2) group them, with Plutchik's trust. */
const polarities: Readonly<Record<string, 'negative' | 'neutral' | 'positive'>> = Object.fromEntries([
  ...'anger annoyance disappointment disapproval disgust embarrassment fear grief nervousness remorse sadness'
    .split(' ')
    .map((emotion) => [emotion, 'negative'] as const),
  ...'admiration amusement approval caring desire excitement gratitude joy love optimism pride relief trust'
    .split(' ')
    .map((emotion) => [emotion, 'positive'] as const),
  ['neutral', 'neutral'],
]);

/** The sentiment that an emotion row tells; undefined where its emotions disagree or tell none. */
export function sentimentOf(labels: readonly string[]): string | undefined {
  const found = new Set(labels.map((label) => polarities[label]));
  const [one] = found;
  return found.size === 1 ? one : undefined;
}

/** Sentiment questions about texts of which only emotions are known. */
function sentimentExamples(examples: readonly Example[]): Example[] {
  return examples.flatMap((example) => {
    const sentiment = sentimentOf(example.gold.labels);
    if (example.task !== 'emotion-classification' || sentiment === undefined) return [];
    return [
      {
        ...example,
        id: `${example.id}/sentiment`,
        source: 'emotions',
        task: 'sentiment-classification' as const,
        labelSet: labelSets.sentiment3,
        multiLabel: false,
        gold: labelGold([sentiment]),
      },
    ];
  });
}

/** Draws with replacement, an example in proportion to its weight. */
class Weighted<T> {
  private readonly sums: Float64Array;

  constructor(
    private readonly items: readonly T[],
    weightOf: (item: T) => number,
  ) {
    let sum = 0;
    this.sums = Float64Array.from(items, (item) => {
      sum += weightOf(item);
      return sum;
    });
  }

  draw(rng: Rng): T {
    const at = rng.uniform() * this.sums[this.sums.length - 1];
    let [low, high] = [0, this.items.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sums[middle] <= at) low = middle + 1;
      else high = middle;
    }
    return this.items[low];
  }
}

/** Between how often labels occur (0) and all of them equally often (1). */
const balance = 0.75;
/** Between the sizes of sources and all of them equally, likewise: T = 2 of Raffel et al. 2020, section 3.5.2. */
const mixing = 0.5;

/** Examples of one source and task; of labels the rare ones are drawn more often than they occur. */
function withinSource(examples: readonly Example[]): Weighted<Example> {
  const counts = new Map<string, number>();
  for (const { gold } of examples)
    for (const label of gold.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return new Weighted(examples, ({ gold }) =>
    gold.labels.length === 0 ? 1 : Math.min(...gold.labels.map((label) => counts.get(label)!)) ** -balance,
  );
}

function sourcesOf(examples: readonly Example[]): Weighted<Weighted<Example>> {
  const groups = Map.groupBy([...examples, ...sentimentExamples(examples)], ({ source, task }) =>
    JSON.stringify([source, task]),
  );
  const sizes = new Map([...groups.values()].map((group) => [withinSource(group), group.length]));
  return new Weighted([...sizes.keys()], (source) => sizes.get(source)! ** mixing);
}

/** Share of the rows that show lexicon cues: in most the model has to read the text. */
const cuesShown = 0.3;
/** Share of the rows that are asked on their source's own scale and labels. */
const asDeclared = 0.4;

function questionAbout(example: Example, form: Form, rng: Rng): Pick<Otherwise, 'question' | 'gold'> {
  const cues = rng.uniform() < cuesShown ? explain(example.text).cueText : '';
  const worded = () => ({ cues, paraphrase: rng.int(paraphrases) });
  const declared = form === 'bare' || rng.uniform() < asDeclared;
  const [other] = declared ? [] : otherwise(example, 1, rng, worded);
  return other ?? { question: questionOf(example, worded()), gold: example.gold };
}

/** The prompt from the text on. */
function withoutInstruction(prompt: string): string {
  return prompt.slice(prompt.indexOf('Text: '));
}

export interface AffectiveDraw {
  readonly form: Form;
  /** Drawn until the rows have so many, padding not counted. */
  readonly tokens: number;
  /** Longest row; longer ones are passed over. */
  readonly longest: number;
  readonly seed: number;
}

/** Rows whose task is their form, by which stages choose. */
export function affectiveRows(
  examples: readonly Example[],
  tokenizer: Tokenizer,
  { form, tokens, longest, seed }: AffectiveDraw,
): Row[] {
  const sources = sourcesOf(examples);
  const rng = Rng.of(seed, 'affective rows', form);
  const rows: Row[] = [];
  for (let drawn = 0; drawn < tokens; ) {
    const example = sources.draw(rng).draw(rng);
    const { question, gold } = questionAbout(example, form, rng);
    const prompt = renderPrompt(question);
    const beginning = [
      ...tokenizer.beginning,
      ...tokenizer.encode(form === 'bare' ? withoutInstruction(prompt) : prompt),
    ];
    const answer = answerTokens(tokenizer, renderAnswer(question, gold));
    if (beginning.length + answer.length > longest) continue;
    rows.push({
      id: `${form}-${rows.length}`,
      task: form,
      tokens: Int32Array.from([...beginning, ...answer]),
      answerStart: beginning.length,
    });
    drawn += beginning.length + answer.length;
  }
  return rows;
}
