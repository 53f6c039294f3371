/** Duplicates, near-duplicates and leaks of generated rows, found as a dataset's build finds them: rows stream by and none is held. */
import { labelGold, labelSets, type SourceExample } from '@emotune/affect';
import { Rows } from '@emotune/data';

export interface DedupFigures {
  readonly rows: number;
  readonly nearDuplicates: number;
  readonly seconds: number;
  /** Of all threads, user and system. */
  readonly cpuSeconds: number;
  readonly rowsPerSecond: number;
  /** Of the process, at its highest: resident, 2²⁰ bytes. */
  readonly peakMemoryMiB: number;
  /** Rows that are copies, and rows with a word changed; how many of each were dropped. */
  readonly copies: Planted;
  readonly near: Planted;
  /** Rows that were dropped and are neither. */
  readonly wronglyDropped: number;
}

interface Planted {
  readonly rows: number;
  readonly dropped: number;
}

const vocabulary = 20_000;
/** One in so many rows is a copy of an earlier one, and as many have a word of one changed. */
const every = 20;
/** A row copies the one that came so many before it. */
const back = 10_007;

/** Numbers of a row that never change: mulberry32. */
function draws(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function made(number: number): string {
  const next = draws(number + 0x5eed);
  const length = 3 + Math.floor(next() * 7);
  return Array.from({ length }, () => String.fromCharCode(97 + Math.floor(next() * 26))).join('');
}

const moods = ['wonderful', 'awful', 'not good', ':)', ':(', '😀', '!', '?', 'so sad', 'I love it'];
const genuine = (row: number) => row % every > 1 || row < 2 * back;

/** A review of 30 to 50 words, as frequent as words are (Zipf), with one thing that says something. */
function textOf(row: number, words: readonly string[]): string {
  if (!genuine(row)) {
    const like = textOf(row - back - (row % every), words);
    return row % every === 0 ? ` ${like.replace(' ', '  ')}.` : like.replace(/ (\S+)$/, ' $1s');
  }
  const next = draws(row);
  const text = Array.from(
    { length: 30 + Math.floor(next() * 21) },
    () => words[Math.floor(vocabulary ** next()) - 1],
  );
  text.splice(Math.floor(next() * text.length), 0, moods[Math.floor(next() * moods.length)]);
  return text.join(' ');
}

/** All of one answer, so that nothing but its text keeps a row. */
function exampleOf(row: number, words: readonly string[]): SourceExample {
  return {
    id: `generated/${row}`,
    source: 'generated',
    originalId: `${row}`,
    licence: 'CC0-1.0',
    language: 'en',
    task: 'sentiment-classification',
    text: textOf(row, words),
    emotion: null,
    gold: labelGold(['positive']),
    labelSet: labelSets.sentiment2,
    multiLabel: false,
    scale: null,
    split: null,
  };
}

export async function benchDedup(
  rows: number,
  nearDuplicates: number,
  signal: AbortSignal,
): Promise<DedupFigures> {
  const words = Array.from({ length: vocabulary }, (_, i) => made(i));
  async function pass(visit: (example: SourceExample, row: number) => void): Promise<void> {
    for (let row = 0; row < rows; row++) {
      visit(exampleOf(row, words), row);
      if (row % 10_000 > 0) continue;
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    }
  }
  const start = performance.now();
  const cpu = process.cpuUsage();
  const division = new Rows(1, nearDuplicates);
  await pass((example) => division.add(example));
  if (division.unreviewed) await pass((example) => division.review(example));
  const decided = division.divide({ shares: { validation: 0.1, test: 0.1 }, mostShown: 10 });
  let [copies, copiesDropped, near, nearDropped, wronglyDropped] = [0, 0, 0, 0, 0];
  await pass((example, row) => {
    const dropped = decided.next(example) === undefined;
    if (genuine(row)) wronglyDropped += Number(dropped);
    else if (row % every === 0) {
      copies++;
      copiesDropped += Number(dropped);
    } else {
      near++;
      nearDropped += Number(dropped);
    }
  });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    rows,
    nearDuplicates,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    rowsPerSecond: rows / seconds,
    peakMemoryMiB: process.resourceUsage().maxRSS / 1024,
    copies: { rows: copies, dropped: copiesDropped },
    near: { rows: near, dropped: nearDropped },
    wronglyDropped,
  };
}
