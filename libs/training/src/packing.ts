/**
 * How rows of unequal length fill batches of one static shape. Several rows lie in one line of a batch, each attending
 * to itself alone with positions from 0, so that a line is as full as the rows allow and a run needs one graph. Pure.
 */
import type { Batch, BatchShape, Row } from './batches.js';

/** Rows that share a line. */
interface Line {
  readonly rows: Row[];
  tokens: number;
  answers: number;
}

export interface PackingOptions {
  /** Padded tokens of one batch; one line at least. */
  readonly batchTokens: number;
  /** Several rows to a line; false pads every row to a line of its own. */
  readonly packing: boolean;
  /** The model's width: by it attention's cost is weighed against that of the linear layers. */
  readonly width: number;
  /** No line is longer. */
  readonly maxSequence: number;
}

export interface Packing extends PackingOptions {
  /** One shape, or two where a few long rows would make every line long; ascending by `sequence`. */
  readonly shapes: readonly BatchShape[];
}

/** Sequence lengths and answer counts of graphs are multiples of this, so that kernels have whole vectors. */
const granule = 8;
/** Rows are packed within windows of this many batches; what does not fill a batch waits for the next window. */
const windowBatches = 16;
/** A second graph holds as much memory again: it has to save this share of the time. */
const worthSecondShape = 0.2;
/** Rows of each draw from which shapes are planned. */
const planned = 512;

/** Labelled tokens of a row. */
export function answersOf({ tokens, answerStart, tree }: Row): number {
  const end = tree ? answerStart + tree.answerLength : tokens.length;
  return Math.max(0, end - Math.max(1, answerStart));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

function roundUp(n: number): number {
  return Math.ceil(n / granule) * granule;
}

/** A row's length, rounded up to what a graph can have. */
export function paddedLength(length: number): number {
  return roundUp(Math.max(1, length));
}

/**
 * Time of a token in a line of `sequence` tokens: linear layers cost the same everywhere, attention by the keys. Measured
 * with widths of 192 and 576 and lines of 64 to 1,024: a step's time is 1 + T/(2.3 … 3.6 · width) of that without attention.
 */
function tokenCost(sequence: number, width: number): number {
  return 1 + sequence / (3 * width);
}

/** Best-fit decreasing (Johnson 1973): each row, longest first, into the fullest line that still holds it. */
function fillLines(rows: readonly Row[], { sequence, answers }: BatchShape, packing: boolean): Line[] {
  const order = [...rows].sort((p, q) => q.tokens.length - p.tokens.length || (p.id < q.id ? -1 : 1));
  const lines: Line[] = [];
  /** Lines by the tokens that are free in them. */
  const open: Line[][] = Array.from({ length: sequence + 1 }, () => []);
  for (const row of order) {
    const length = row.tokens.length;
    const asked = answersOf(row);
    let found: Line | undefined;
    for (let free = length; packing && free <= sequence && !found; free++) {
      const at = open[free].findIndex((line) => line.answers + asked <= answers);
      if (at >= 0) [found] = open[free].splice(at, 1);
    }
    if (!found) {
      found = { rows: [], tokens: 0, answers: 0 };
      lines.push(found);
    }
    found.rows.push(row);
    found.tokens += length;
    found.answers += asked;
    open[sequence - found.tokens].push(found);
  }
  return lines;
}

function batchOf(lines: readonly Line[], shape: BatchShape): Batch {
  const starts: number[] = [];
  lines.forEach(({ rows }, line) => {
    let at = line * shape.sequence;
    for (const { tokens } of rows) {
      starts.push(at);
      at += tokens.length;
    }
  });
  return { ...shape, rows: lines.flatMap(({ rows }) => rows), starts };
}

/** Lines dealt to batches so that the answers are spread evenly; a batch that has no room for more answers gets no line. */
function dealLines(lines: readonly Line[], { batch, answers }: BatchShape): Line[][] {
  const order = [...lines].sort((p, q) => q.answers - p.answers);
  const batches: { lines: Line[]; answers: number }[] = Array.from(
    { length: Math.ceil(lines.length / batch) },
    () => ({ lines: [], answers: 0 }),
  );
  for (const line of order) {
    let least: (typeof batches)[number] | undefined;
    for (const candidate of batches) {
      if (candidate.lines.length === batch || candidate.answers + line.answers > answers) continue;
      if (!least || candidate.answers < least.answers) least = candidate;
    }
    if (!least) {
      least = { lines: [], answers: 0 };
      batches.push(least);
    }
    least.lines.push(line);
    least.answers += line.answers;
  }
  return batches.map(({ lines: dealt }) => dealt);
}

/** Rows of one shape, in windows of the given order. */
function packShape(rows: readonly Row[], shape: BatchShape, packing: boolean): Batch[] {
  const room = shape.batch * shape.sequence * windowBatches;
  const batches: Batch[] = [];
  let window: Row[] = [];
  let tokens = 0;
  rows.forEach((row, i) => {
    window.push(row);
    tokens += packing ? row.tokens.length : shape.sequence;
    const last = i === rows.length - 1;
    if (tokens < room && !last) return;
    const lines = fillLines(window, shape, packing);
    // The emptiest lines wait, so that only the last batch of all has empty ones.
    lines.sort((p, q) => q.tokens - p.tokens);
    const ready = last ? lines.length : lines.length - (lines.length % shape.batch);
    batches.push(...dealLines(lines.slice(0, ready), shape).map((dealt) => batchOf(dealt, shape)));
    window = lines.slice(ready).flatMap((line) => line.rows);
    tokens = sum(window.map((waiting) => waiting.tokens.length));
  });
  return batches;
}

/** The rows as batches: those near each other in the given order are packed together, the shorter shape first. */
export function packRows(rows: readonly Row[], { shapes, packing }: Packing): Batch[] {
  let rest = rows;
  return shapes.flatMap((shape, i) => {
    const fits = (row: Row) => i === shapes.length - 1 || row.tokens.length <= shape.sequence;
    const own = rest.filter(fits);
    rest = rest.filter((row) => !fits(row));
    return packShape(own, shape, packing);
  });
}

/** Sequence lengths worth trying for rows up to `longest`: close together where few rows fill a line. */
function lengthsFrom(longest: number, most: number): number[] {
  const first = paddedLength(longest);
  const tried = [first];
  for (let length = first; length < 8 * first; ) {
    length += paddedLength(length < 2 * first ? 1 : length / 8);
    tried.push(length);
  }
  return tried.filter((length) => length === first || length <= most);
}

/** Tokens that lines of this length need for the rows, padding included. */
function paddedTokens(rows: readonly Row[], sequence: number, packing: boolean): number {
  const anyAnswers = { batch: 1, sequence, answers: Number.POSITIVE_INFINITY };
  return fillLines(rows, anyAnswers, packing).length * sequence;
}

/** The labelled tokens for which batches of this length need room, so that answers do not end them before tokens do. */
function answersFor(
  samples: readonly (readonly Row[])[],
  { batch, sequence, packing }: { batch: number; sequence: number; packing: boolean },
): number {
  const unbounded = { batch, sequence, answers: Number.POSITIVE_INFINITY };
  const full = samples.flatMap((rows) =>
    packShape(
      rows.filter((row) => row.tokens.length <= sequence),
      unbounded,
      packing,
    ).map(({ rows: held, starts }) => {
      const lines = new Set(starts.map((start) => Math.floor(start / sequence))).size;
      return (sum(held.map(answersOf)) * batch) / lines;
    }),
  );
  return roundUp(Math.max(1, ...full));
}

/** Rows as they will come: a stage's draw, in order. */
export interface Draw {
  readonly rows: readonly Row[];
  /** Trained on in all, by which draws are weighed. */
  readonly tokens: number;
}

/**
 * The shapes with which such draws take the least time: longer lines are filled better, but attention costs their
 * square; a second shape is for rows that are rare and long. `others`: rows that have to fit, too.
 */
export function planPacking(
  draws: readonly Draw[],
  others: readonly Row[],
  options: PackingOptions,
): Packing {
  const { batchTokens, packing, width, maxSequence } = options;
  const samples = draws.map(({ rows, tokens }) => ({ rows: rows.slice(0, planned), tokens }));
  const every = [...draws.flatMap(({ rows }) => rows), ...others];
  const longest = every.reduce((n, row) => Math.max(n, row.tokens.length), 1);
  const most = Math.min(maxSequence, Math.max(batchTokens, longest));
  /** The cost of the rows that `belongs` chooses, in lines of this length. */
  const costOf = (sequence: number, belongs: (row: Row) => boolean) =>
    sum(
      samples.map(({ rows, tokens }) => {
        const own = rows.filter(belongs);
        const share = tokens / Math.max(1, sum(rows.map((row) => row.tokens.length)));
        return share * paddedTokens(own, sequence, packing) * tokenCost(sequence, width);
      }),
    );
  /** Lengths for rows up to `top`, of which no line but the longest row's own is longer than the model allows. */
  const lengths = (top: number) =>
    (packing ? lengthsFrom(top, most) : [paddedLength(top)]).map((length) =>
      Math.min(length, Math.max(longest, maxSequence)),
    );
  const cheapest = (belongs: (row: Row) => boolean) =>
    lengths(longest)
      .map((sequence) => ({ sequence, cost: costOf(sequence, belongs) }))
      .reduce((p, q) => (q.cost < p.cost ? q : p));
  const one = cheapest(() => true);
  let sequences = [one.sequence];
  let least = one.cost * (1 - worthSecondShape);
  const sorted = every.map((row) => row.tokens.length).sort((p, q) => p - q);
  for (const quantile of [0.5, 0.75, 0.9, 0.95, 0.99]) {
    const top = sorted[Math.floor(quantile * sorted.length)] ?? longest;
    for (const stretch of packing ? [1, 1.5, 2] : [1]) {
      const short = Math.min(paddedLength(top * stretch), maxSequence);
      if (short >= longest) continue;
      const own = costOf(short, (row) => row.tokens.length <= short);
      if (own >= least) continue;
      const long = cheapest((row) => row.tokens.length > short);
      if (own + long.cost < least) [least, sequences] = [own + long.cost, [short, long.sequence]];
    }
  }
  const longestAnswer = roundUp(every.reduce((n, row) => Math.max(n, answersOf(row)), 1));
  const shapes = sequences.map((sequence, i) => {
    const batch = Math.max(1, Math.floor(batchTokens / sequence));
    const above = i === 0 ? 0 : sequences[i - 1];
    const own = samples.map(({ rows }) => rows.filter((row) => row.tokens.length > above));
    return {
      batch,
      sequence,
      answers: Math.max(longestAnswer, answersFor(own, { batch, sequence, packing })),
    };
  });
  return { ...options, shapes };
}
