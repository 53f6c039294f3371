/**
 * Divides examples into splits without holding them: they pass twice, in the same order. `add` notes some hundred bytes of each, its text as a
 * hash; `divide` decides; the `Division` then tells of each row where it goes. What the rules are: `assemble.ts`.
 */
import { hash } from 'node:crypto';
import { type SourceExample, type Split, splits } from '@emotune/affect';
import { grown, Numbering } from '@emotune/base';
import { textKey } from '@emotune/text';
import { type Shares, stratify, type Units } from './stratify.js';

/** One question about one text that its rows answer differently. */
export interface Conflict {
  /** As the first row has it. */
  readonly text: string;
  readonly task: SourceExample['task'];
  readonly emotion: string | null;
  /** Rows by answer: labels joined by "|", or the number on 0..1. */
  readonly answers: Readonly<Record<string, number>>;
}

/** Numbers what is told apart by a text, of which there are few. */
class Interned<T> {
  readonly values: T[] = [];
  private readonly numbers = new Map<string, number>();

  of(text: string, value: () => T): number {
    const known = this.numbers.get(text);
    if (known !== undefined) return known;
    this.numbers.set(text, this.values.length);
    return this.values.push(value()) - 1;
  }
}

/** What rows have in common beside text and answer. */
interface Kind {
  /** Source, task and emotion: what is stratified apart. */
  readonly asked: string;
  /** Number of the question, whatever the source. */
  readonly question: number;
}

/** Numbers fall into as many strata of equal size. */
const numberStrata = 5;
/** Where no split is given. */
const free = 0;
/** Where a row goes that is dropped. */
const nowhere = 255;

export class Rows {
  private rows = 0;
  private group = new Int32Array(1024);
  private kind = new Int32Array(1024);
  private labels = new Int32Array(1024);
  private value = new Float64Array(1024);
  /** The split that a row has of its own: `free`, or its place in `splits` and 1. */
  private own = new Uint8Array(1024);
  /** Of texts, by the beginning of their hash. */
  private readonly texts = new Numbering(4);
  private firstRow = new Int32Array(1024);
  private rank = new Float64Array(1024);
  private readonly kinds = new Interned<Kind>();
  private readonly questions = new Interned<null>();
  private readonly labelSets = new Interned<readonly string[]>();
  private readonly sorted = new WeakMap<readonly string[], string>();

  constructor(private readonly seed: number) {}

  add(example: SourceExample): void {
    const { gold, split } = example;
    const row = this.rows++;
    // As `rankOf` has it.
    const digest = hash('sha256', `${this.seed}\u0000${textKey(example.text)}`, 'buffer');
    const known = this.texts.size;
    const group = this.texts.add([0, 4, 8, 12].map((at) => digest.readUInt32BE(at)));
    if (group === known) {
      this.firstRow = grown(this.firstRow, group + 1);
      this.rank = grown(this.rank, group + 1);
      this.firstRow[group] = row;
      this.rank[group] = digest.readUIntBE(0, 6) / 2 ** 48;
    }
    this.group = grown(this.group, this.rows);
    this.kind = grown(this.kind, this.rows);
    this.labels = grown(this.labels, this.rows);
    this.value = grown(this.value, this.rows);
    this.own = grown(this.own, this.rows);
    this.group[row] = group;
    this.kind[row] = this.kindOf(example);
    this.labels[row] = this.labelSets.of(gold.labels.join('|'), () => gold.labels);
    this.value[row] = gold.value ?? Number.NaN;
    this.own[row] = split === null ? free : splits.indexOf(split) + 1;
  }

  private kindOf({ source, task, emotion, scale, labelSet, multiLabel }: SourceExample): number {
    let labels = this.sorted.get(labelSet);
    if (labels === undefined) {
      labels = JSON.stringify([...labelSet].sort());
      this.sorted.set(labelSet, labels);
    }
    const question = JSON.stringify([task, emotion, scale?.low, scale?.high, labels, multiLabel]);
    return this.kinds.of(JSON.stringify([source, question]), () => ({
      asked: JSON.stringify([source, task, emotion]),
      question: this.questions.of(question, () => null),
    }));
  }

  /** The split of every text. Later splits win: their rows stay, equal texts before them go. */
  private splitOfTexts(shares: Shares): Uint8Array {
    const splitOf = new Uint8Array(this.texts.size);
    for (let row = 0; row < this.rows; row++) {
      const group = this.group[row];
      splitOf[group] = Math.max(splitOf[group], this.own[row]);
    }
    const divided: number[] = [];
    for (let group = 0; group < splitOf.length; group++) if (splitOf[group] === free) divided.push(group);
    const split = stratify(this.unitsOf(divided), shares, this.seed);
    for (const [i, group] of divided.entries()) splitOf[group] = split[i] + 1;
    return splitOf.map((place) => place - 1);
  }

  /** Of what kind each text is, by its first row: what is asked, and the rarest label or the fifth of the numbers. */
  private unitsOf(groups: readonly number[]): Units {
    const labelRows = new Map<string, Map<string, number>>();
    const numbers = new Map<string, number[]>();
    const first = (unit: number) => this.firstRow[groups[unit]];
    const askedAt = (row: number) => this.kinds.values[this.kind[row]].asked;
    const labelsAt = (row: number) => this.labelSets.values[this.labels[row]];
    for (let unit = 0; unit < groups.length; unit++) {
      const row = first(unit);
      const asked = askedAt(row);
      const counts = labelRows.get(asked) ?? new Map<string, number>();
      labelRows.set(asked, counts);
      for (const label of labelsAt(row)) counts.set(label, (counts.get(label) ?? 0) + 1);
      if (Number.isNaN(this.value[row])) continue;
      const list = numbers.get(asked);
      if (list) list.push(this.value[row]);
      else numbers.set(asked, [this.value[row]]);
    }
    const bounds = new Map<string, number[]>();
    for (const [asked, list] of numbers) {
      list.sort((a, b) => a - b);
      const at = (i: number) => list[Math.floor((list.length * (i + 1)) / numberStrata)];
      bounds.set(
        asked,
        Array.from({ length: numberStrata - 1 }, (_, i) => at(i)),
      );
    }
    const kindOf = (row: number, asked: string): string | number | undefined => {
      const value = this.value[row];
      if (!Number.isNaN(value)) return bounds.get(asked)!.filter((bound) => bound <= value).length;
      const counts = labelRows.get(asked)!;
      return [...labelsAt(row)].sort((a, b) => counts.get(a)! - counts.get(b)! || (a < b ? -1 : 1))[0];
    };
    return {
      count: groups.length,
      rank: (unit) => this.rank[groups[unit]],
      stratum: (unit) => {
        const row = first(unit);
        const asked = askedAt(row);
        return `${asked}${kindOf(row, asked)}`;
      },
      substratum: (unit) => labelsAt(first(unit)).join('|'),
    };
  }

  /** Decides, after the last row. @param mostConflicts that the division tells of */
  divide(shares: Shares, mostConflicts = Number.POSITIVE_INFINITY): Division {
    const splitOf = this.splitOfTexts(shares);
    const place = new Uint8Array(this.rows).fill(nowhere);
    const questions = new Numbering(2);
    const question = new Int32Array(this.rows);
    let firstAnswer = new Float64Array(1024);
    let contested = new Uint8Array(1024);
    let leaksRemoved = 0;
    for (let row = 0; row < this.rows; row++) {
      const group = this.group[row];
      if (this.own[row] !== free && this.own[row] - 1 !== splitOf[group]) {
        leaksRemoved++;
        continue;
      }
      place[row] = splitOf[group];
      const known = questions.size;
      const of = questions.add([group, this.kinds.values[this.kind[row]].question]);
      question[row] = of;
      // Numbers are on 0..1.
      const answer = Number.isNaN(this.value[row]) ? -1 - this.labels[row] : this.value[row];
      if (of === known) {
        firstAnswer = grown(firstAnswer, of + 1);
        contested = grown(contested, of + 1);
        firstAnswer[of] = answer;
      } else if (firstAnswer[of] !== answer) contested[of] = 1;
    }
    const seen = new Uint8Array(questions.size);
    const inConflict = new Uint8Array(splitOf.length);
    let [duplicatesRemoved, conflictRows, conflictTexts] = [0, 0, 0];
    for (let row = 0; row < this.rows; row++) {
      if (place[row] === nowhere) continue;
      const of = question[row];
      const group = this.group[row];
      if (contested[of]) {
        conflictRows++;
        if (!inConflict[group]) conflictTexts++;
        inConflict[group] = 1;
      } else if (seen[of]) {
        place[row] = nowhere;
        duplicatesRemoved++;
      }
      seen[of] = 1;
    }
    const counts = { duplicatesRemoved, leaksRemoved, conflictRows, conflictTexts };
    return new Division(counts, place, question, contested, mostConflicts);
  }
}

/** What was decided of rows that pass once more. */
export class Division {
  private row = 0;
  private readonly found = new Map<number, Omit<Conflict, 'answers'> & { answers: Map<string, number> }>();

  constructor(
    readonly counts: {
      /** The same question about the same text with the same answer, more than once in one split: the first is kept. */
      readonly duplicatesRemoved: number;
      /** Rows of train whose text stands in validation or test, and rows of validation whose text stands in test. */
      readonly leaksRemoved: number;
      readonly conflictRows: number;
      readonly conflictTexts: number;
    },
    private readonly place: Uint8Array,
    private readonly question: Int32Array,
    private readonly contested: Uint8Array,
    private readonly mostConflicts: number,
  ) {}

  /** Where the next row goes; undefined where it is dropped. */
  next(example: SourceExample): Split | undefined {
    const row = this.row++;
    if (this.place[row] === nowhere) return undefined;
    if (this.contested[this.question[row]]) this.note(this.question[row], example);
    return splits[this.place[row]];
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
}
