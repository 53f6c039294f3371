/** How each example is asked. Pure: the same example, split and plan give the same questions. */
import {
  type Example,
  isAmong,
  type Meaning,
  otherwise,
  paraphrases,
  type Question,
  questionOf,
  renderAnswer,
  renderPrompt,
  type Split,
  scalesBut,
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

/** The line of cues for an example, whose text may be an edited one of another's. */
export type CuesOf = (example: Example, origin: Example) => string;

/** Further questions about a train row where they vary. */
const variants = 2;

/** What is done with a train row beside asking it. */
interface Doing {
  /** How often it goes in, each time worded otherwise. */
  readonly copies?: number;
  /** Its text edited, and by which method. */
  readonly edited?: readonly { readonly method: string; readonly text: string }[];
}

type Unasked = Omit<Asked, 'id' | 'prompt' | 'answer'>;

/** The row on a scale that may be taught; golds are on 0..1 whatever the scale. */
function onTaughtScale(example: Example, { untaughtScales }: FeaturePlan): Example {
  if (example.scale === null || !isAmong(example.scale, untaughtScales)) return example;
  const [scale] = scalesBut(untaughtScales);
  return { ...example, scale };
}

/**
 * Train rows are worded, and bared of their cues, by the seed; others are always asked in the first wording and with their
 * cues, so that scores compare.
 */
export function ask(
  source: Example,
  split: Split,
  plan: FeaturePlan,
  cues: CuesOf,
  { copies = 1, edited = [] }: Doing = {},
): Asked[] {
  const example = split === 'test' ? source : onTaughtScale(source, plan);
  const rows: Unasked[] = [];
  const cuesOf = (asked: Example) => (plan.cues ? cues(asked, example) : '');
  const own = cuesOf(example);
  for (let copy = 0; copy < copies; copy++) rows.push(...waysOf(example, split, plan, own, copy));
  const rng = Rng.of(plan.seed, 'ask', example.id, 'edited');
  for (const { method, text } of edited) {
    const other = { ...example, text };
    const question = questionOf(other, { cues: cuesOf(other), paraphrase: rng.int(paraphrases) });
    rows.push({ example: other, question, gold: example.gold, derived: { from: example.id, by: method } });
  }
  const dropout = Rng.of(plan.seed, 'cue dropout', example.id);
  return rows.map((row, i) => {
    const bare = split === 'train' && dropout.uniform() < plan.cueDropout;
    const question = bare ? { ...row.question, cues: '' } : row.question;
    return {
      ...row,
      question,
      id: i === 0 ? example.id : `${example.id}#${i + 1}`,
      prompt: renderPrompt(question),
      answer: answerOf(example, question, row.gold),
    };
  });
}

/** Its own question and, where they vary, others; of each copy in other words. */
function waysOf(example: Example, split: Split, plan: FeaturePlan, cues: string, copy: number): Unasked[] {
  const rng = Rng.of(plan.seed, 'ask', example.id, ...(copy === 0 ? [] : [copy]));
  const wording = () => (split === 'train' ? rng.int(paraphrases) : 0);
  const worded = () => ({ cues, paraphrase: wording() });
  const own = questionOf(example, worded());
  const others =
    split === 'train' && plan.varyScales
      ? otherwise(example, variants, rng, worded, scalesBut(plan.untaughtScales))
      : [];
  const derivedBy = (...by: readonly string[]) => ({ from: example.id, by: by.join('+') });
  const again = copy === 0 ? [] : ['again'];
  return [
    { example, question: own, gold: example.gold, derived: copy === 0 ? null : derivedBy('again') },
    ...others.map(({ kind, question, gold }) => ({
      example,
      question,
      gold,
      derived: derivedBy(...again, kind),
    })),
  ];
}

function answerOf(example: Example, question: Question, gold: Meaning): string {
  try {
    return renderAnswer(question, gold);
  } catch (cause) {
    throw InvalidArgument.at(`row ${example.id}`, (cause as Error).message, { cause });
  }
}
