/**
 * What words make of others around them: the rules of VADER (Hutto and Gilbert 2014) as vaderSentiment 3.3.2 has them, for VADER's
 * own lexicon and, in proportion, for any other.
 */
import { type Knowledge, named, type Term } from './known-words.js';

/** Added to a term in capitals among others that are not. */
const capitalsBoost = 0.733;
const negation = -0.74;
/** A modifier counts less the farther it stands before the term. */
const nearness = [1, 0.95, 0.9];
/** Words before a term that may change its value. */
export const reach = 3;
/** Words after a term that may turn it, in languages that negate so. */
export const laterReach = 2;
/** The sum of valences at which the compound is about .7. */
const softening = 15;

/** What a table says of the words from `from` to `to`, both included. */
function phrase(
  table: ReadonlyMap<string, number>,
  terms: ArrayLike<Term>,
  from: number,
  to: number,
  { words, inPhrase }: Knowledge,
): number | undefined {
  let text = '';
  for (let at = from; at <= to; at++) {
    const i = terms[at] >> 1;
    if (inPhrase[i] === 0) return undefined;
    text += at === from ? words[i] : ` ${words[i]}`;
  }
  return table.get(text);
}

/** The valence of the word at `at`, where it stands at least fourth, when it ends, begins or follows a known phrase. */
function inPhrases(
  valence: number,
  terms: ArrayLike<Term>,
  at: number,
  knows: Knowledge,
  stands: boolean,
): number {
  const says = (from: number, to: number) => phrase(knows.phraseValences, terms, at + from, at + to, knows);
  const boosts = (from: number, to: number) =>
    phrase(knows.phraseBoosters, terms, at + from, at + to, knows) ?? 0;
  const boost = boosts(-3, -2) + boosts(-2, -1);
  if (!stands) return valence + boost;
  const after = says(0, 2) ?? says(0, 1);
  const own = after ?? says(-1, 0) ?? says(-2, 0) ?? says(-2, -1) ?? says(-3, -1) ?? says(-3, -2) ?? valence;
  return own + boost;
}

function isSoOrThis(word: number): boolean {
  return word === named.so || word === named.this;
}

/** What a negator `distance` words before the term makes of its valence. */
function negated(
  valence: number,
  terms: ArrayLike<Term>,
  at: number,
  distance: number,
  { negates }: Knowledge,
): number {
  const word = terms[at - distance] >> 1;
  if (distance > 1) {
    const one = terms[at - 1] >> 1;
    const two = terms[at - 2] >> 1;
    const strengthens =
      distance === 2
        ? word === named.never && isSoOrThis(one)
        : (word === named.never && isSoOrThis(two)) || isSoOrThis(one);
    if (strengthens) return valence * 1.25;
    if (word === named.without && (one === named.doubt || (distance === 3 && two === named.doubt)))
      return valence;
  }
  return negates[word] === 1 ? valence * negation : valence;
}

/** What an intensifier `distance` words before the term adds. */
function boosted(
  term: Term,
  valence: number,
  capitalsDiffer: boolean,
  distance: number,
  boost: number,
): number {
  let added = valence < 0 ? -boost : boost;
  if ((term & 1) === 1 && capitalsDiffer) added += valence > 0 ? capitalsBoost : -capitalsBoost;
  return added * nearness[distance - 1];
}

/**
 * The valence of the word at `at` in the company of the others; 0 for a word that the lexicon does not list.
 * @param capitalsDiffer some words are in capitals, and others are not
 * @param terms four zeros, or nothing, stand behind the last
 * @param first words before it are of another sentence
 * @param stands false: that of `probe`, if it stood there
 */
export function valenceAt(
  knows: Knowledge,
  terms: ArrayLike<Term>,
  at: number,
  capitalsDiffer: boolean,
  first = 0,
  stands = true,
): number {
  const { listed, valences, boosts } = knows;
  const word = stands ? terms[at] >> 1 : named.probe;
  if (listed[word] === 0 || boosts[word] !== 0) return 0;
  const next = terms[at + 1] >> 1;
  if (word === named.kind && next === named.of) return 0;
  const before = at - first;
  const one = before > 0 ? terms[at - 1] >> 1 : 0;
  const two = before > 1 ? terms[at - 2] >> 1 : 0;
  const three = before > 2 ? terms[at - 3] >> 1 : 0;
  let valence = valences[word];
  const nor = one === named.or || one === named.nor;
  if (one === named.no || two === named.no || (three === named.no && nor)) valence *= negation;
  // "no" before a known word negates that word and has no valence of its own.
  else if (word === named.no && listed[next] === 1) valence = 0;
  if ((terms[at] & 1) === 1 && capitalsDiffer) valence += valence > 0 ? capitalsBoost : -capitalsBoost;
  for (let distance = 1; distance <= reach && distance <= before; distance++) {
    const term = terms[at - distance];
    if (listed[term >> 1] === 1) continue;
    const boost = boosts[term >> 1];
    if (boost !== 0) valence += boosted(term, valence, capitalsDiffer, distance, boost);
    valence = negated(valence, terms, at, distance, knows);
    if (distance === 3) valence = inPhrases(valence, terms, at, knows, stands);
  }
  return one === named.least && two !== named.at && two !== named.very ? valence * negation : valence;
}

/**
 * By what the value of any term is multiplied in its company: what the rules make of a word such as "good" in its place, in
 * proportion.
 * @param at the term's first word
 * @param end its last word
 * @param first of its sentence
 * @param last of its sentence
 */
export function factorAt(
  knows: Knowledge,
  terms: ArrayLike<Term>,
  at: number,
  end: number,
  {
    capitalsDiffer,
    first,
    last,
  }: { readonly capitalsDiffer: boolean; readonly first: number; readonly last: number },
): number {
  let factor = valenceAt(knows, terms, at, capitalsDiffer, first, false) / knows.valences[named.probe];
  for (let after = end + 1; after <= Math.min(last, end + laterReach); after++)
    if (knows.negatesBefore[terms[after] >> 1] === 1) factor *= negation;
  return factor;
}

/** What exclamation and question marks add to a sum of valences, in its direction. */
export function emphasisOf(text: string): number {
  let exclamations = 0;
  let questions = 0;
  for (let at = text.indexOf('!'); at >= 0 && exclamations < 4; at = text.indexOf('!', at + 1))
    exclamations++;
  for (let at = text.indexOf('?'); at >= 0 && questions < 4; at = text.indexOf('?', at + 1)) questions++;
  return exclamations * 0.292 + (questions < 2 ? 0 : questions > 3 ? 0.96 : questions * 0.18);
}

/** A sum of valences as −1..1. */
export function softened(sum: number): number {
  return sum / Math.sqrt(sum * sum + softening);
}
