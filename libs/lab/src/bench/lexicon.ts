/** Lexicon cues of texts, against reading the same texts word by word and against vaderSentiment. */
import { readFile } from 'node:fs/promises';
import { bundledAfinn, Lexicons, vaderCompound } from '@emotune/affect';
import { type LocateOptions, lexiconSources, locate, locationOf } from '@emotune/data';
import { syntheticTexts } from './texts.js';
import { medianSeconds } from './timing.js';

/** Texts a second of vaderSentiment 3.3.2, in one thread of Python 3.11 on the machine that the goals were set on. */
const peerPerSecond = 25_000;

export interface LexiconFigures {
  readonly texts: number;
  /** UTF-8. */
  readonly bytes: number;
  /** That all lexicons find. */
  readonly cues: number;
  /** Names, VADER first. */
  readonly lexicons: readonly string[];
  /** VADER's compound alone. */
  readonly vaderPerSecond: number;
  /** Cues, verdicts and the line of all lexicons. */
  readonly allPerSecond: number;
  readonly peerPerSecond: number;
  /** 10⁶ bytes per second, of all lexicons. */
  readonly megabytesPerSecond: number;
  /** The speed of splitting into words with a regular expression. */
  readonly wordsMegabytesPerSecond: number;
}

const words = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;

/** VADER, AFINN and what else is there for English without a download. */
async function lexiconsHere(options: LocateOptions): Promise<Lexicons> {
  const found = [bundledAfinn()];
  for (const source of lexiconSources) {
    if (source.files.length === 0 || !['en', 'und'].includes(source.language)) continue;
    if ((await locationOf(source, options)) === undefined) continue;
    const paths = await locate(source, options);
    found.push(source.read(await Promise.all(paths.map((path) => readFile(path)))));
  }
  return new Lexicons(found);
}

export async function benchLexicon(
  count: number,
  options: LocateOptions,
  signal: AbortSignal,
): Promise<LexiconFigures> {
  const all = await lexiconsHere(options);
  const texts = syntheticTexts(count);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  // The sums are used, so that no work can be left out.
  let [cues, read, sum] = [0, 0, 0];
  const compounds = await medianSeconds(() => {
    for (const text of texts) sum += vaderCompound(text);
  }, signal);
  const explaining = await medianSeconds(() => {
    cues = texts.reduce((found, text) => found + all.explain(text).cues.length, 0);
  }, signal);
  const reading = await medianSeconds(() => {
    for (const text of texts) for (const { 0: word } of text.matchAll(words)) read += word.length;
  }, signal);
  return {
    texts: count,
    bytes,
    cues,
    lexicons: ['vader', ...all.lexicons.map(({ name }) => name)],
    vaderPerSecond: Number.isFinite(sum) ? count / compounds : 0,
    allPerSecond: count / explaining,
    peerPerSecond,
    megabytesPerSecond: bytes / explaining / 1e6,
    wordsMegabytesPerSecond: read > 0 ? bytes / reading / 1e6 : 0,
  };
}
