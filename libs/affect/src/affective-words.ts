/** Words that decide what a text feels: no edit of a text that keeps its label may touch them. */
import { explain } from './lexicons.js';
import { english } from './vader-words.js';

const { boosters, negators, phraseBoosters } = english;

/** What sets parts of a text against each other, bounds or doubts them. */
const turning = new Set(
  `although but however yet though except unless despite while whereas if instead rather only just even too enough still
  already all every each any some few many much lot lots no cannot nobody noone nor without lack lacks lacking lacked fail
  fails failed stop stopped avoid refuse refused wish wished hope hoped should could would might may must supposedly
  allegedly apparently seem seems seemed ever anymore beyond least best worst better worse
  than like unlike far way such`.split(/\s+/),
);

const known = new Map<string, boolean>();
/** Words that are remembered. */
const mostKnown = 100_000;

/** Whether a word negates: the words after it mean their opposite. */
export function negates(word: string): boolean {
  const lower = word.toLowerCase().replaceAll('’', "'");
  return (
    negators.has(lower) ||
    lower.endsWith("n't") ||
    ['no', 'cannot', 'nobody', 'lack', 'lacks'].includes(lower)
  );
}

/** How intensifiers of two words begin. */
const phraseStarts = new Set([...phraseBoosters.keys()].map((phrase) => phrase.split(' ')[0]));

/** Whether a word makes those after it stronger or weaker, or may with the next. */
export function intensifies(word: string): boolean {
  const lower = word.toLowerCase();
  return boosters.has(lower) || phraseStarts.has(lower);
}

/** Whether a lexicon knows a word, or it negates, strengthens, weakens, compares, doubts or contrasts. English. */
export function isAffective(word: string): boolean {
  const lower = word.toLowerCase().replaceAll('’', "'");
  let affective = known.get(lower);
  if (affective === undefined) {
    affective = turning.has(lower) || negates(lower) || intensifies(lower) || explain(lower).cues.length > 0;
    if (known.size >= mostKnown) known.clear();
    known.set(lower, affective);
  }
  return affective;
}
