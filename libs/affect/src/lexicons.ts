/**
 * Lexicon cues: the words of a text that lexicons know, with where they stand and what negates or strengthens them. VADER (Hutto
 * and Gilbert 2014) and AFINN (Nielsen 2011) are read from npm packages at run time; others are given.
 */
import { createRequire } from 'node:module';
import { inducedName } from './induced-lexicon.js';
import type { Knowledge, Term } from './known-words.js';
import { type Lexicon, termKey, valence } from './lexicon.js';
import { type Cue, LexiconSet, type Verdict } from './lexicon-set.js';
import { type Reading, readVader, vaderKnowledge } from './vader.js';
import { readLexicon } from './vader-words.js';
import { reach, valenceAt } from './word-rules.js';

export interface Explanation {
  /** In the order of the text. */
  readonly cues: readonly Cue[];
  /** What a prompt carries; empty where no lexicon is of the text's language and none found anything. */
  readonly cueText: string;
  /** VADER's compound score, −1..1; 0 for a text that is not English. */
  readonly vader: number;
  /** Sum of the AFINN cues' scores. */
  readonly afinn: number;
  /** What each lexicon but VADER says of the whole text. */
  readonly verdicts: readonly Verdict[];
}

const require = createRequire(import.meta.url);

/** AFINN-165 with its emoji. */
export function bundledAfinn(): Lexicon {
  const terms = Object.entries({
    ...(require('sentiment/build/emoji.json') as Record<string, number>),
    ...(require('sentiment/languages/en/labels.json') as Record<string, number>),
  }).map(([term, value]): [string, number[]] => [termKey(term), [value]]);
  return { name: 'afinn', language: 'en', dimensions: [valence], scale: 5, terms: new Map(terms) };
}

/** The name of VADER among lexicons, and its scale. */
const vaderName = 'vader';
const vaderScale = 4;

/** VADER's own valences, for those who list lexicons: cues come from its rules. */
export function bundledVader(): Lexicon {
  const terms = [...readLexicon()].map(([term, value]): [string, number[]] => [term, [value]]);
  return { name: vaderName, language: 'en', dimensions: [valence], scale: vaderScale, terms: new Map(terms) };
}
/** A word that no lexicon and no rule knows. */
const blank: Term = 0;

/** The place of the word before `at` without which its valence would differ most; undefined where none matters. */
function modifierOf(
  knows: Knowledge,
  { terms, valences, capitalsDiffer }: Reading,
  at: number,
): number | undefined {
  const value = valences[at];
  if (value === knows.valences[terms[at] >> 1]) return undefined;
  let modifier: number | undefined;
  let largest = 1e-9;
  for (let near = Math.max(0, at - reach); near < at; near++) {
    const term = terms[near];
    terms[near] = blank;
    const change = Math.abs(value - valenceAt(knows, terms, at, capitalsDiffer));
    terms[near] = term;
    if (change > largest) [modifier, largest] = [near, change];
  }
  return modifier;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function vaderCues(text: string, reading: Reading): Cue[] {
  const { starts, ends, valences } = reading;
  const knows = vaderKnowledge();
  const cues: Cue[] = [];
  for (let i = 0; i < valences.length; i++) {
    const value = valences[i];
    if (value === 0) continue;
    const start = starts[i];
    const end = ends[i];
    const before = cues.at(-1);
    // Words of one emoji's name are one cue.
    if (before?.start === start && before.end === end) {
      cues[cues.length - 1] = { ...before, score: round(before.score + value) };
      continue;
    }
    const by = modifierOf(knows, reading, i);
    cues.push({
      text: text.slice(start, end),
      lexicon: vaderName,
      dimension: valence,
      score: round(value),
      start,
      end,
      modifier: by === undefined || starts[by] === start ? '' : text.slice(starts[by], ends[by]),
    });
  }
  return cues;
}

function signed(value: number, decimals: number): string {
  const text = Math.abs(value).toFixed(decimals);
  return `${value < 0 && Number(text) !== 0 ? '-' : '+'}${text}`;
}

/** VADER's usual thresholds. */
function polarityOf(compound: number): string {
  if (compound >= 0.05) return 'positive';
  return compound <= -0.05 ? 'negative' : 'neutral';
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/** Terms and emotions that a line names at most. */
const mostTerms = 3;
const mostEmotions = 2;
/** A fainter emotion is not named. */
const faintest = 0.2;
/** Dimensions that are no emotion. */
const others: ReadonlySet<string> = new Set([valence, 'arousal', 'dominance']);

/** The strongest emotions of a text, each by the mean of the lexicons that rate it. */
function emotionsOf(verdicts: readonly Verdict[]): [emotion: string, value: number][] {
  const byEmotion = new Map<string, number[]>();
  for (const { dimension, value } of verdicts)
    if (!others.has(dimension)) byEmotion.set(dimension, [...(byEmotion.get(dimension) ?? []), value]);
  return [...byEmotion]
    .map(([emotion, values]): [string, number] => [emotion, mean(values)])
    .filter(([, value]) => value >= faintest)
    .sort(([a, p], [b, q]) => q - p || (a < b ? -1 : 1))
    .slice(0, mostEmotions);
}

/** Lexicons that a model's prompts draw on, chosen by the language of each text. */
export class Lexicons {
  private readonly sets = new Map<string, LexiconSet>();
  private readonly scales: ReadonlyMap<string, number>;

  /** @param lexicons beside VADER, which is part of all. */
  constructor(readonly lexicons: readonly Lexicon[]) {
    this.scales = new Map([
      [vaderName, vaderScale],
      ...lexicons.map(({ name, scale }) => [name, scale] as const),
    ]);
  }

  private setOf(language: string): LexiconSet {
    const [alone] = language.toLowerCase().split('-');
    let set = this.sets.get(alone);
    if (set === undefined) {
      set = new LexiconSet(
        this.lexicons.filter((lexicon) => [alone, 'und'].includes(lexicon.language)),
        alone,
      );
      this.sets.set(alone, set);
    }
    return set;
  }

  /**
   * What the lexicons find in a text.
   * @param language BCP 47
   */
  explain(text: string, language = 'en'): Explanation {
    const set = this.setOf(language);
    const english = set.language === 'en';
    const { cues: found, verdicts } = set.read(text);
    const reading = english ? readVader(text) : undefined;
    const cues = reading === undefined ? [...found] : [...vaderCues(text, reading), ...found];
    cues.sort((p, q) => p.start - q.start || p.end - q.end);
    const compound =
      reading?.compound ??
      mean(verdicts.flatMap(({ dimension, value }) => (dimension === valence ? [value] : [])));
    return {
      cues,
      cueText: english || set.speaks || cues.length > 0 ? this.line(cues, compound, verdicts) : '',
      vader: reading?.compound ?? 0,
      afinn: round(
        cues.reduce((sum, { lexicon, score }) => (lexicon.startsWith('afinn') ? sum + score : sum), 0),
      ),
      verdicts,
    };
  }

  /** "not good -1, great +3; positive +0.4; joy +0.5": always of this form, so that a small model can learn to read it. */
  private line(cues: readonly Cue[], compound: number, verdicts: readonly Verdict[]): string {
    const strength = ({ score, lexicon }: Cue) => Math.abs(score) / this.scales.get(lexicon)!;
    const shown: Cue[] = [];
    // An induced valence is of most words, and would crowd out those that people rated.
    const rated = cues.filter(
      ({ dimension, lexicon }) => dimension === valence && !lexicon.startsWith(inducedName),
    );
    for (const cue of rated.sort((p, q) => strength(q) - strength(p) || p.start - q.start)) {
      const same = (other: Cue) =>
        (cue.start < other.end && other.start < cue.end) ||
        cue.text.toLowerCase() === other.text.toLowerCase();
      const faint = Math.round((cue.score / this.scales.get(cue.lexicon)!) * vaderScale) === 0;
      if (faint || cue.text.length > 20 || shown.some(same)) continue;
      if (shown.push(cue) === mostTerms) break;
    }
    const terms = shown.map(({ text, modifier, score, lexicon }) => {
      const term = modifier === '' ? text : `${modifier} ${text}`;
      // As VADER or AFINN rate, which most lines come from.
      const scale = this.scales.get(lexicon)!;
      const value = scale === 1 ? Math.max(-vaderScale, Math.min(vaderScale, score * vaderScale)) : score;
      return `${term.toLowerCase()} ${signed(value, 0)}`;
    });
    const emotions = emotionsOf(verdicts).map(([emotion, value]) => `${emotion} ${signed(value, 1)}`);
    return [
      terms.join(', ') || 'none',
      `${polarityOf(compound)} ${signed(compound, 1)}`,
      ...(emotions.length === 0 ? [] : [emotions.join(', ')]),
    ].join('; ');
  }
}

let usual: Lexicons | undefined;

/** VADER and AFINN, which are part of what npm installs. */
export function bundledLexicons(): Lexicons {
  usual ??= new Lexicons([bundledAfinn()]);
  return usual;
}

/** What VADER and AFINN find in an English text. */
export function explain(text: string): Explanation {
  return bundledLexicons().explain(text);
}
