/** Cues of texts, against reading the same texts word by word. */
import { explain } from '@emotune/affect';
import { syntheticTexts } from './texts.js';
import { medianSeconds } from './timing.js';

export interface LexiconFigures {
  readonly texts: number;
  /** UTF-8. */
  readonly bytes: number;
  readonly cues: number;
  readonly textsPerSecond: number;
  /** 10⁶ bytes per second. */
  readonly megabytesPerSecond: number;
  /** The speed of splitting into words with a regular expression. */
  readonly wordsMegabytesPerSecond: number;
}

const words = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu;

export async function benchLexicon(count: number, signal: AbortSignal): Promise<LexiconFigures> {
  const texts = syntheticTexts(count);
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  // The sums are used, so that no work can be left out.
  let [cues, read] = [0, 0];
  const explaining = await medianSeconds(() => {
    cues = texts.reduce((sum, text) => sum + explain(text).cues.length, 0);
  }, signal);
  const reading = await medianSeconds(() => {
    for (const text of texts) for (const { 0: word } of text.matchAll(words)) read += word.length;
  }, signal);
  return {
    texts: count,
    bytes,
    cues,
    textsPerSecond: count / explaining,
    megabytesPerSecond: bytes / explaining / 1e6,
    wordsMegabytesPerSecond: read > 0 ? bytes / reading / 1e6 : 0,
  };
}
