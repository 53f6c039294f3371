/**
 * What of a text says how somebody feels, for telling whether two texts that nearly equal each other may count as one: negation and what
 * stands behind it, words that VADER's lexicon knows, intensifiers, words in capitals, numbers, emoticons, emoji, "!" and "?",
 * names, hashtags and addresses. Texts whose marks differ are never near-duplicates, however alike the rest is.
 */
import { english, listed, readLexicon } from './vader-words.js';

/** Words that negate, in the languages of the corpora; those of English are VADER's. */
const negationsElsewhere = `kein keine keinem keinen keiner nicht nichts nie niemals niemand ohne weder ne pas jamais rien aucun aucune
  sans ni nunca jamás nada nadie ningún ninguna tampoco sin non mai niente nulla nessuno né senza não nenhum nenhuma nem sem niet
  geen nooit niets zonder inte ej aldrig ingen inget inga utan ei en et emme ette eivät älä ikinä koskaan nigdy nic bez není
  nikdy nem soha semmi sem nincs nu niciodată nimic fără не нет ни никогда ничего без δεν δε μην μη όχι ποτέ τίποτα לא אין בלי אל
  لا لم لن ليس ليست ما بدون`;
const negations = new Set([...english.negators, ...listed(negationsElsewhere)]);

let carrying: ReadonlySet<string> | undefined;

/** Words, in lower case, whose presence alone says something. */
function carries(word: string): boolean {
  carrying ??= new Set([...readLexicon().keys(), ...english.boosters.keys()]);
  return carrying.has(word);
}

function negates(word: string): boolean {
  return negations.has(word) || word.endsWith("n't") || word.startsWith("n'");
}

/** Between clauses of Chinese and Japanese, which has no blanks. */
const silentBetween = /[。、，；「」『』（）]/gu;
/** Before a word: quotes or one bracket. */
const silentHead = /^(?:["'“”„‘’«»‹›]*|[([{]["'“”„‘’«»‹›]*)$/u;
/** Behind a word: quotes, one closing bracket, one stop; "good:)" has more. */
const silentTail = /^["'”’»›]*(?:[)\]}]?["'”’»›]*[.,;]?|[:])["'”’»›]*$/u;
/** One letter, as a word. */
const letter = /^["'(]?[\p{L}\p{M}]["')]?[.,]?$/u;
/** Alone between words. */
const silentAlone = /^["'“”„‘’«»‹›.,;:()[\]{}-]$/u;
/** What stands before a word, the word, and what stands behind it. */
const parts = /^([^\p{L}\p{M}\p{N}]*)([\p{L}\p{M}][\p{L}\p{M}'’-]*)(.*)$/su;
const han = /\p{Script=Han}/u;
const hanNegation = /[不没沒未無无別别非]./gu;

/** A text for comparing. */
export interface AffectiveText {
  /** Its words in lower case and what else it holds as it stands, without punctuation that says nothing. */
  readonly plain: string;
  /** In the order of the text, joined by blanks. */
  readonly marks: string;
}

interface Word {
  readonly head: string;
  readonly word: string;
  readonly tail: string;
}

/** Undefined where a chunk is no word with something around it: an emoticon, a number, an address, a hashtag. */
function wordIn(chunk: string): Word | undefined {
  const found = parts.exec(chunk);
  if (found === null) return undefined;
  const [, head, word, tail] = found;
  if (/[@#$\d/\\]/.test(head) || /[\p{L}\p{M}\p{N}]/u.test(tail)) return undefined;
  return word.length > 1 || letter.test(chunk) ? { head, word, tail } : undefined;
}

export function affectiveText(text: string): AffectiveText {
  const plain: string[] = [];
  const marks: string[] = [];
  const mark = (found: string) => {
    plain.push(found);
    marks.push(found);
  };
  let negated = false;
  for (const chunk of text.normalize('NFKC').replace(silentBetween, ' ').split(/\s+/)) {
    if (chunk === '' || silentAlone.test(chunk)) continue;
    const found = wordIn(chunk);
    if (found === undefined) {
      mark(chunk);
      continue;
    }
    const { head, word: written, tail } = found;
    if (!silentHead.test(head)) mark(head);
    const word = written.replaceAll('’', "'").toLowerCase();
    const shouted =
      written.length > 1 && written === written.toUpperCase() && written !== written.toLowerCase();
    plain.push(word);
    if (negated || shouted || negates(word) || carries(word)) marks.push(shouted ? written : word);
    negated = negates(word);
    if (han.test(word)) for (const [negation] of word.matchAll(hanNegation)) marks.push(negation);
    if (!silentTail.test(tail)) mark(tail);
  }
  return { plain: plain.join(' '), marks: marks.join(' ') };
}
