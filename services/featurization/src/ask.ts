/** How each example is asked. Pure: the same example, split and plan give the same questions. */
import {
  type Example,
  paraphrases,
  type Question,
  questionOf,
  renderAnswer,
  renderPrompt,
  type Scale,
  type Split,
} from '@emotune/affect';
import { InvalidArgument, Rng } from '@emotune/base';
import type { FeaturePlan } from './spec.js';

/** A question with its answer: a row but for the tokens. */
export interface Asked {
  readonly id: string;
  readonly example: Example;
  readonly question: Question;
  readonly prompt: string;
  readonly answer: string;
}

/** The line of cues for an example. */
export type CuesOf = (example: Example) => string;

/** Scales that questionnaires, corpora and products use. */
const scales: readonly Scale[] = [
  [0, 1],
  [-1, 1],
  [1, 5],
  [1, 7],
  [1, 9],
  [0, 10],
  [0, 100],
  [-3, 3],
  [-4, 4],
  [-5, 5],
].map(([low, high]) => ({ low, high }));

/** Further questions about a train row where scales vary. */
const variants = 2;

function sameScale(a: Scale, b: Scale | null): boolean {
  return a.low === b?.low && a.high === b?.high;
}

/** Other scales than the example's own, or other orders of its labels. */
function otherways(example: Example, rng: Rng): { scale?: Scale; labelSet?: readonly string[] }[] {
  if (example.gold.value === null)
    return Array.from({ length: variants }, () => ({ labelSet: rng.shuffle(example.labelSet) }));
  const others = scales.filter((scale) => !sameScale(scale, example.scale));
  return rng
    .shuffle(others)
    .slice(0, variants)
    .map((scale) => ({ scale }));
}

/**
 * Train rows are worded, and bared of their cues, by the seed; others are always asked in the first wording and with their
 * cues, so that scores compare.
 */
export function ask(example: Example, split: Split, plan: FeaturePlan, cues: CuesOf): Asked[] {
  const rng = Rng.of(plan.seed, 'ask', example.id);
  const dropout = Rng.of(plan.seed, 'cue dropout', example.id);
  const wording = () => (split === 'train' ? rng.int(paraphrases) : 0);
  const own = questionOf(example, { cues: plan.cues ? cues(example) : '', paraphrase: wording() });
  const others = split === 'train' && plan.varyScales ? otherways(example, rng) : [];
  const questions = [
    own,
    ...others.map((otherway) => ({
      ...questionOf(example, { cues: own.cues, paraphrase: wording(), ...otherway }),
    })),
  ];
  const bared = (question: Question): Question =>
    split === 'train' && dropout.uniform() < plan.cueDropout ? { ...question, cues: '' } : question;
  return questions.map(bared).map((question, i) => ({
    id: i === 0 ? example.id : `${example.id}#${i + 1}`,
    example,
    question,
    prompt: renderPrompt(question),
    answer: answerOf(example, question),
  }));
}

function answerOf(example: Example, question: Question): string {
  try {
    return renderAnswer(question, example.gold);
  } catch (cause) {
    throw InvalidArgument.at(`row ${example.id}`, (cause as Error).message, { cause });
  }
}
