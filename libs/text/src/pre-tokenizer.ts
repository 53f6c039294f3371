/** The pre-tokenizer of a `tokenizer.json`: text in pieces. Splits by a regular expression are ours, the rest is the library's. */
import type { Effort } from './effort.js';
import { libraryWith, regexOf, stepsOf } from './library-part.js';
import { Pattern } from './pattern.js';
import { type Json, wrong } from './token-model.js';

/** @param begins Whether the text is the beginning of the whole one, which some steps ask for. */
export type Split = (text: string, begins: boolean, effort: Effort) => readonly string[];

interface Piece {
  readonly text: string;
  /** Whether the text begins with it. */
  readonly begins: boolean;
}

type Step = (piece: Piece, effort: Effort) => readonly Piece[];

const part = 'pre_tokenizer';

/** A stretch of text that the pattern matches, or one between these. */
interface Stretch {
  start: number;
  end: number;
  readonly matched: boolean;
}

function stretchesOf(found: readonly number[], length: number, invert: boolean): Stretch[] {
  const all: Stretch[] = [];
  let done = 0;
  for (let i = 0; i < found.length; i += 2) {
    const [start, end] = [found[i], found[i + 1]];
    if (done < start) all.push({ start: done, end: start, matched: invert });
    all.push({ start, end, matched: !invert });
    done = end;
  }
  if (done < length) all.push({ start: done, end: length, matched: invert });
  return all;
}

/** Joins a stretch to the one before it where `joins` says so of both. */
function joined(all: readonly Stretch[], joins: (one: Stretch, previous: boolean) => boolean): Stretch[] {
  const kept: Stretch[] = [];
  let previous = false;
  for (const one of all) {
    const last = kept.at(-1);
    if (last && joins(one, previous)) {
      last.start = Math.min(last.start, one.start);
      last.end = Math.max(last.end, one.end);
    } else kept.push(one);
    previous = one.matched;
  }
  return kept;
}

const aloneMatched = ({ matched }: Stretch, previous: boolean) => matched && !previous;

/** What becomes of what is matched, as the library's SplitDelimiterBehavior. */
const behaviours: Readonly<Record<string, (all: Stretch[]) => Stretch[]>> = {
  Isolated: (all) => all,
  Removed: (all) => all.filter(({ matched }) => !matched),
  Contiguous: (all) => joined(all, ({ matched }, previous) => matched === previous),
  MergedWithPrevious: (all) => joined(all, aloneMatched),
  MergedWithNext: (all) => joined(all.reverse(), aloneMatched).reverse(),
};

function splitBy(regex: string, { behavior, invert }: Json): Step {
  const pattern = Pattern.parse(regex, `tokenizer.json: ${part}: Split: pattern`);
  const behave = behaviours[behavior as string];
  return ({ text, begins }, effort) =>
    behave(stretchesOf(pattern.matches(text, effort.steps), text.length, invert === true))
      .filter(({ start, end }) => start < end)
      .map(({ start, end }) => ({ text: text.slice(start, end), begins: begins && start === 0 }));
}

/** Pieces whose own pieces are kept. */
const mostKept = 50_000;
const longestKept = 64;

/** Steps of the library, which are slow to ask and asked of the same words again and again. */
function byLibrary(steps: readonly Json[]): Step {
  const librarySplit = (given: readonly Json[]) => {
    const library = libraryWith(part, { type: 'Sequence', pretokenizers: given }).getPreTokenizer()!;
    return (text: string) => library.preTokenizeString(text);
  };
  const first = librarySplit(steps);
  const later = librarySplit(
    steps.map((step) => (step['prepend_scheme'] === 'first' ? { ...step, prepend_scheme: 'never' } : step)),
  );
  const kept = new Map<string, readonly Piece[]>();
  return ({ text, begins }) => {
    const known = begins ? undefined : kept.get(text);
    if (known) return known;
    const pieces = (begins ? first : later)(text).map(([piece, [start]]) => ({
      text: piece,
      begins: begins && start === 0,
    }));
    if (!begins && text.length <= longestKept) {
      if (kept.size >= mostKept) kept.clear();
      kept.set(text, pieces);
    }
    return pieces;
  };
}

/** @throws InvalidArgument */
export function preTokenizerOf(json: unknown): Split {
  const steps: Step[] = [];
  let waiting: Json[] = [];
  const flush = () => {
    if (waiting.length > 0) steps.push(byLibrary(waiting));
    waiting = [];
  };
  const given = stepsOf(part, json, 'pretokenizers');
  // Each writes every byte as a character, and the next one the bytes of these.
  if (given.filter(({ type }) => type === 'ByteLevel').length > 1)
    throw wrong(part, 'expected at most one ByteLevel, got several');
  for (const step of given) {
    const regex = step['type'] === 'Split' ? regexOf(step) : undefined;
    if (regex === undefined) waiting.push(step);
    else {
      flush();
      steps.push(splitBy(regex, step));
    }
  }
  flush();
  return (text, begins, effort) => {
    let pieces: readonly Piece[] = text === '' ? [] : [{ text, begins }];
    for (const step of steps) {
      pieces = pieces.flatMap((piece) => step(piece, effort));
      effort.write(
        part,
        pieces.reduce((sum, piece) => sum + piece.text.length, 0),
      );
    }
    return pieces.map((piece) => piece.text);
  };
}
