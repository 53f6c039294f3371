/** How each example is asked. Pure: the same example, split and plan give the same questions. */
import {
  type Example,
  type Meaning,
  otherwise,
  paraphrases,
  type Question,
  questionOf,
  renderAnswer,
  renderPrompt,
  type Split,
} from '@emotune/affect';
import { InvalidArgument, Rng } from '@emotune/base';
import type { Derived } from '@emotune/records';
import type { FeaturePlan } from './spec.js';

/** A question with its answer: a row but for the tokens. */
export interface Asked {
  readonly id: string;
  readonly example: Example;
  readonly question: Question;
  readonly prompt: string;
  readonly answer: string;
  /** The example's gold in the words of the question. */
  readonly gold: Meaning;
  /** Null for the example's own question. */
  readonly derived: Derived | null;
}

/** Further questions about a train row where they vary. */
const variants = 2;

/**
 * Train rows are worded, and bared of their cues, by the seed; others are always asked in the first wording and with their
 * cues, so that scores compare.
 */
export function ask(example: Example, split: Split, plan: FeaturePlan): Asked[] {
  const rng = Rng.of(plan.seed, 'ask', example.id);
  const dropout = Rng.of(plan.seed, 'cue dropout', example.id);
  const wording = () => (split === 'train' ? rng.int(paraphrases) : 0);
  const own = questionOf(example, { cues: plan.cues, paraphrase: wording() });
  const worded = () => ({ cues: false, paraphrase: wording() });
  const others = split === 'train' && plan.varyScales ? otherwise(example, variants, rng, worded) : [];
  const bared = (question: Question): Question =>
    split === 'train' && dropout.uniform() < plan.cueDropout ? { ...question, cues: '' } : question;
  return [
    { question: bared(own), gold: example.gold, derived: null },
    ...others.map(({ kind, question, gold }) => ({
      question: bared({ ...question, cues: own.cues }),
      gold,
      derived: { from: example.id, by: kind },
    })),
  ].map((asked, i) => ({
    ...asked,
    id: i === 0 ? example.id : `${example.id}#${i + 1}`,
    example,
    prompt: renderPrompt(asked.question),
    answer: answerOf(example, asked.question, asked.gold),
  }));
}

function answerOf(example: Example, question: Question, gold: Meaning): string {
  try {
    return renderAnswer(question, gold);
  } catch (cause) {
    throw InvalidArgument.at(`row ${example.id}`, (cause as Error).message, { cause });
  }
}
