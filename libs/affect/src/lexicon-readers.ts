/**
 * Readers of published lexicons: the decoded text of their files in, a lexicon out. Each refuses a file of another form, naming
 * the line.
 */
import { InvalidArgument, show } from '@emotune/base';
import { anyLanguage, type Lexicon, plutchikEmotions, termKey, valence } from './lexicon.js';

/** For looking up what may be none of them. */
const emotionNames: readonly string[] = plutchikEmotions;

type Head = Pick<Lexicon, 'name' | 'language'>;

function linesOf(text: string): string[] {
  return text.replace(/^\ufeff/, '').split(/\r?\n/);
}

function refused(name: string, line: number, expected: string, got: string): InvalidArgument {
  return InvalidArgument.at(`${name}, line ${line}`, `expected ${expected}, got ${show(got)}`);
}

function numberIn(
  { name }: Head,
  line: number,
  text: string | undefined,
  [low, high]: readonly [number, number],
): number {
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= low && value <= high))
    throw refused(name, line, `a number on ${low}..${high}`, text ?? 'nothing');
  return value;
}

/** Terms that a file lists more than once have the mean of what it says. */
class Terms {
  private readonly sums = new Map<string, { readonly values: number[]; count: number }>();

  add(term: string, values: readonly number[]): void {
    const key = termKey(term);
    if (key === '') return;
    const known = this.sums.get(key);
    if (known === undefined) this.sums.set(key, { values: [...values], count: 1 });
    else {
      values.forEach((value, i) => {
        known.values[i] += value;
      });
      known.count++;
    }
  }

  means(): Map<string, number[]> {
    return new Map(
      [...this.sums].map(([term, { values, count }]) => [term, values.map((value) => value / count)]),
    );
  }
}

function lexicon(
  { name, language }: Head,
  dimensions: readonly string[],
  scale: number,
  terms: ReadonlyMap<string, readonly number[]>,
): Lexicon {
  if (terms.size === 0) throw InvalidArgument.at(name, 'expected terms, got none');
  return { name, language, dimensions, scale, terms };
}

/** AFINN (Nielsen 2011): a term and its valence on −5..5, parted by a tab. */
export function readAfinn(head: Head, text: string): Lexicon {
  const terms = new Terms();
  linesOf(text).forEach((line, i) => {
    if (line.trim() === '') return;
    const tab = line.lastIndexOf('\t');
    if (tab < 0) throw refused(head.name, i + 1, 'a term, a tab and a number', line);
    terms.add(line.slice(0, tab), [numberIn(head, i + 1, line.slice(tab + 1), [-5, 5])]);
  });
  return lexicon(head, [valence], 5, terms.means());
}

function attribute(line: string, name: string): string | undefined {
  return new RegExp(`\\b${name}="([^"]*)"`).exec(line)?.[1];
}

/**
 * The English sentiment lexicon of pattern (De Smedt and Daelemans 2012), of adjectives: polarity on −1..1, the mean over the
 * senses of a word.
 */
export function readPattern(head: Head, text: string): Lexicon {
  const terms = new Terms();
  linesOf(text).forEach((line, i) => {
    if (!line.startsWith('<word ')) return;
    const form = attribute(line, 'form');
    if (form === undefined) throw refused(head.name, i + 1, 'a form', line);
    terms.add(form, [numberIn(head, i + 1, attribute(line, 'polarity'), [-1, 1])]);
  });
  return lexicon(head, [valence], 1, terms.means());
}

/** Categories of Empath (Fast, Chen and Bernstein 2016) that name an emotion of Plutchik or another word for it. */
const empathCategories: Readonly<Record<string, (typeof plutchikEmotions)[number]>> = {
  anger: 'anger',
  rage: 'anger',
  irritability: 'anger',
  exasperation: 'anger',
  anticipation: 'anticipation',
  disgust: 'disgust',
  fear: 'fear',
  horror: 'fear',
  nervousness: 'fear',
  joy: 'joy',
  cheerfulness: 'joy',
  contentment: 'joy',
  sadness: 'sadness',
  suffering: 'sadness',
  disappointment: 'sadness',
  surprise: 'surprise',
  trust: 'trust',
};

/** Empath: a category and its words on each line, parted by tabs. A word has 1 where a category of the emotion lists it. */
export function readEmpath(head: Head, text: string): Lexicon {
  const terms = new Map<string, number[]>();
  for (const line of linesOf(text)) {
    const [category, ...words] = line.split('\t');
    const emotion = Object.hasOwn(empathCategories, category) ? empathCategories[category] : undefined;
    if (emotion === undefined) continue;
    for (const word of words) {
      const key = termKey(word);
      if (key === '') continue;
      const values = terms.get(key) ?? plutchikEmotions.map(() => 0);
      values[plutchikEmotions.indexOf(emotion)] = 1;
      terms.set(key, values);
    }
  }
  return lexicon(head, plutchikEmotions, 1, terms);
}

/** Rows of a CSV without quotes, by its header. */
function plainCsv(head: Head, text: string, columns: readonly string[]) {
  const [header, ...rows] = linesOf(text);
  const names = header.split(',');
  const missing = columns.filter((column) => !names.includes(column));
  if (missing.length > 0) throw refused(head.name, 1, `columns ${missing.join(', ')}`, header);
  return rows.flatMap((row, i) => {
    if (row.trim() === '') return [];
    const cells = row.split(',');
    return [{ line: i + 2, cell: (column: string) => cells[names.indexOf(column)] as string | undefined }];
  });
}

/** Emoji presentation is no difference. */
function emojiKey(emoji: string): string {
  return emoji.replaceAll('\ufe0f', '');
}

/** EmoTag1200 (Shoeb, Raji and de Melo 2019, 2020): what people see of Plutchik's emotions in an emoji, 0..1. */
export function readEmoTag(name: string, text: string): Lexicon {
  const head = { name, language: anyLanguage };
  const terms = new Terms();
  for (const { line, cell } of plainCsv(head, text, ['emoji', ...plutchikEmotions]))
    terms.add(
      emojiKey(cell('emoji') ?? ''),
      plutchikEmotions.map((emotion) => numberIn(head, line, cell(emotion), [0, 1])),
    );
  return lexicon(head, plutchikEmotions, 1, terms.means());
}

/**
 * Emoji Sentiment Ranking (Kralj Novak et al. 2015): (positive − negative) / occurrences of tweets that hold an emoji, with
 * one of each added (their Laplace estimate), −1..1.
 */
export function readEmojiRanking(name: string, text: string): Lexicon {
  const head = { name, language: anyLanguage };
  const terms = new Terms();
  for (const { line, cell } of plainCsv(head, text, ['Emoji', 'Negative', 'Neutral', 'Positive'])) {
    const count = (column: string) => numberIn(head, line, cell(column), [0, Number.MAX_SAFE_INTEGER]);
    const [negative, neutral, positive] = [count('Negative'), count('Neutral'), count('Positive')];
    terms.add(emojiKey(cell('Emoji') ?? ''), [(positive - negative) / (negative + neutral + positive + 3)]);
  }
  return lexicon(head, [valence], 1, terms.means());
}

/** NRC Word-Emotion Association Lexicon 0.92 (Mohammad and Turney 2013), word level: word, affect, 0 or 1 on each line. */
export function readNrcEmoLex(head: Head, text: string): Lexicon {
  const terms = new Map<string, number[]>();
  const dimensions = [...plutchikEmotions, valence];
  linesOf(text).forEach((line, i) => {
    const [word, affect, flag] = line.split('\t');
    if (flag === undefined) {
      if (line.trim() === '' || terms.size === 0) return;
      throw refused(head.name, i + 1, 'a word, an affect and 0 or 1, parted by tabs', line);
    }
    const value = numberIn(head, i + 1, flag, [0, 1]);
    const of = affect === 'positive' || affect === 'negative' ? valence : affect;
    const at = dimensions.indexOf(of);
    if (at < 0)
      throw refused(head.name, i + 1, `one of ${plutchikEmotions.join(', ')}, positive, negative`, affect);
    const key = termKey(word);
    const values = terms.get(key) ?? dimensions.map(() => 0);
    values[at] += affect === 'negative' ? -value : value;
    terms.set(key, values);
  });
  return lexicon(head, dimensions, 1, terms);
}

/** NRC Emotion Intensity Lexicon (Mohammad 2018): word, emotion, intensity 0..1 on each line; the order of columns may vary. */
export function readNrcIntensity(head: Head, text: string): Lexicon {
  const terms = new Map<string, number[]>();
  linesOf(text).forEach((line, i) => {
    const cells = line.split('\t');
    const emotion = cells.find((cell, at) => at > 0 && plutchikEmotions.some((each) => each === cell));
    const number = cells.find((cell, at) => at > 0 && cell.trim() !== '' && Number.isFinite(Number(cell)));
    if (emotion === undefined || number === undefined) {
      // A header, and notes before it.
      if (line.trim() === '' || terms.size === 0) return;
      throw refused(head.name, i + 1, 'a word, an emotion and a number, parted by tabs', line);
    }
    const key = termKey(cells[0]);
    const values = terms.get(key) ?? plutchikEmotions.map(() => 0);
    values[emotionNames.indexOf(emotion)] = numberIn(head, i + 1, number, [0, 1]);
    terms.set(key, values);
  });
  return lexicon(head, plutchikEmotions, 1, terms);
}

/** NRC VAD (Mohammad 2018, 2025): term, valence, arousal, dominance; 0..1 as in version 1, or −1..1 as in version 2. */
export function readNrcVad(head: Head, text: string): Lexicon {
  const rows: { readonly term: string; readonly values: number[] }[] = [];
  linesOf(text).forEach((line, i) => {
    const [term, ...cells] = line.split('\t');
    if (line.trim() === '') return;
    if (cells.length < 3 || !Number.isFinite(Number(cells[0]))) {
      if (rows.length === 0) return;
      throw refused(head.name, i + 1, 'a term and three numbers, parted by tabs', line);
    }
    rows.push({ term, values: cells.slice(0, 3).map((cell) => numberIn(head, i + 1, cell, [-1, 1])) });
  });
  const centred = rows.some(({ values }) => values.some((value) => value < 0));
  const terms = new Terms();
  for (const { term, values } of rows)
    terms.add(term, centred ? values : values.map((value) => 2 * value - 1));
  return lexicon(head, [valence, 'arousal', 'dominance'], 1, terms.means());
}
