/** What was decided of rows that pass once more: where each goes, and what people should see of those that were dropped. */
import { type SourceExample, type Split, splits } from '@emotune/affect';

/** Where a row goes that is dropped. */
export const nowhere = 255;

/** One question about one text that its rows answer differently. */
export interface Conflict {
  /** As the first row has it. */
  readonly text: string;
  readonly task: SourceExample['task'];
  readonly emotion: string | null;
  /** Rows by answer: labels joined by "|", or the number on 0..1. */
  readonly answers: Readonly<Record<string, number>>;
}

/** A row that was dropped for the sake of another. */
export interface DroppedFor {
  readonly what: 'leak' | 'near duplicate';
  readonly dropped: RowTold;
  readonly kept: RowTold;
}

interface RowTold extends Pick<SourceExample, 'id' | 'text'> {
  /** That it stands in, or stood in by itself. */
  readonly split: Split;
}

/** By the numbers of the rows. */
interface Pair {
  readonly what: DroppedFor['what'];
  readonly row: number;
  readonly kept: number;
}

export class Division {
  private row = 0;
  private readonly found = new Map<number, Omit<Conflict, 'answers'> & { answers: Map<string, number> }>();
  private readonly told = new Map<number, RowTold | undefined>();

  constructor(
    readonly counts: {
      /** The same question about the same text with the same answer, more than once in one split: the first is kept. */
      readonly duplicatesRemoved: number;
      /** The same about a near text. */
      readonly nearDuplicatesRemoved: number;
      /** Rows of train whose text stands in validation or test, and rows of validation whose text stands in test. */
      readonly leaksRemoved: number;
      /** The same of texts that stand there nearly. */
      readonly nearLeaksRemoved: number;
      readonly conflictRows: number;
      readonly conflictTexts: number;
    },
    private readonly place: Uint8Array,
    private readonly question: Int32Array,
    private readonly contested: Uint8Array,
    private readonly mostConflicts: number,
    private readonly pairs: readonly Pair[],
  ) {
    for (const { row, kept } of pairs) this.told.set(row, undefined).set(kept, undefined);
  }

  /** Where the next row goes; undefined where it is dropped. */
  next(example: SourceExample): Split | undefined {
    const row = this.row++;
    const split = this.place[row] === nowhere ? undefined : splits[this.place[row]];
    if (this.told.has(row)) {
      const { id, text } = example;
      this.told.set(row, { id, text, split: split ?? example.split ?? 'train' });
    }
    if (split !== undefined && this.contested[this.question[row]]) this.note(this.question[row], example);
    return split;
  }

  private note(question: number, { text, task, emotion, gold }: SourceExample): void {
    let conflict = this.found.get(question);
    if (!conflict) {
      if (this.found.size >= this.mostConflicts) return;
      conflict = { text, task, emotion, answers: new Map() };
      this.found.set(question, conflict);
    }
    const answer = gold.value === null ? gold.labels.join('|') : String(gold.value);
    conflict.answers.set(answer, (conflict.answers.get(answer) ?? 0) + 1);
  }

  /** Those that rows have passed of, in the order of the rows, which are kept. */
  get conflicts(): Conflict[] {
    return [...this.found.values()].map((conflict) => ({
      ...conflict,
      answers: Object.fromEntries(conflict.answers),
    }));
  }

  /** The first rows that were dropped so, when all rows have passed. */
  dropped(what: DroppedFor['what']): DroppedFor[] {
    return this.pairs
      .filter((pair) => pair.what === what)
      .map(({ row, kept }) => ({ what, dropped: this.told.get(row)!, kept: this.told.get(kept)! }));
  }
}
