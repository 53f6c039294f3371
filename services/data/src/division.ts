/**
 * Divides examples into splits without holding them: they pass three times, in the same order. `add` notes some hundred bytes of each,
 * its text as hashes; `review` looks again at those that may be near-duplicates; `divide` decides; the `Division` then tells of each
 * row where it goes. What the rules are: `assemble.ts`.
 */
import { hash } from 'node:crypto';
import { affectiveText, type SourceExample, splits } from '@emotune/affect';
import { grown, Numbering } from '@emotune/base';
import { NearTexts, textKey } from '@emotune/text';
import { Division, nowhere } from './division-pass.js';
import { type Shares, stratify, type Units } from './stratify.js';

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

export interface DivideOptions {
  readonly shares: Shares;
  /** Conflicts, leaks and near-duplicates that the division tells of. */
  readonly mostShown?: number;
}

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
  private readonly near: NearTexts | undefined;
  private reviewed = 0;

  /** @param nearness Jaccard similarity from which on texts are near-duplicates; 1: equal texts alone are duplicates. */
  constructor(
    private readonly seed: number,
    nearness = 1,
  ) {
    this.near = nearness < 1 ? new NearTexts(nearness) : undefined;
  }

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
      if (this.near !== undefined) {
        const { plain, marks } = affectiveText(example.text);
        this.near.add(plain, marks);
      }
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

  /** Whether rows have to pass `review` before they are divided: some may be near-duplicates. */
  get unreviewed(): boolean {
    return this.near?.candidates().includes(1) ?? false;
  }

  review({ text }: SourceExample): void {
    const row = this.reviewed++;
    const group = this.group[row];
    if (this.firstRow[group] === row && this.near!.candidates()[group] === 1)
      this.near!.review(group, affectiveText(text).plain);
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

  /** Texts and their near-duplicates are of one kin, named by the first text of it. */
  private kinOfTexts(): Int32Array {
    return this.near?.join() ?? Int32Array.from({ length: this.texts.size }, (_, text) => text);
  }

  /** The split of every kin. Later splits win: their rows stay, equal and nearly equal texts before them go. */
  private splitOfKin(kin: Int32Array, shares: Shares): Uint8Array {
    const splitOf = new Uint8Array(this.texts.size);
    for (let row = 0; row < this.rows; row++) {
      const of = kin[this.group[row]];
      splitOf[of] = Math.max(splitOf[of], this.own[row]);
    }
    const divided: number[] = [];
    for (let text = 0; text < splitOf.length; text++)
      if (kin[text] === text && splitOf[text] === free) divided.push(text);
    const split = stratify(this.unitsOf(divided), shares, this.seed);
    for (const [i, text] of divided.entries()) splitOf[text] = split[i] + 1;
    return splitOf;
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

  /** Decides, after the last row. */
  divide({ shares, mostShown = Number.POSITIVE_INFINITY }: DivideOptions): Division {
    const kin = this.kinOfTexts();
    const splitOf = this.splitOfKin(kin, shares);
    const place = new Uint8Array(this.rows).fill(nowhere);
    const questions = new Numbering(2);
    const question = new Int32Array(this.rows);
    let firstAnswer = new Float64Array(1024);
    let contested = new Uint8Array(1024);
    const leaks: number[] = [];
    for (let row = 0; row < this.rows; row++) {
      const group = this.group[row];
      const split = splitOf[kin[group]];
      if (this.own[row] !== free && this.own[row] !== split) {
        leaks.push(row);
        continue;
      }
      place[row] = split - 1;
      const known = questions.size;
      const of = questions.add([group, this.kinds.values[this.kind[row]].question]);
      question[row] = of;
      const answer = this.answerOf(row);
      if (of === known) {
        firstAnswer = grown(firstAnswer, of + 1);
        contested = grown(contested, of + 1);
        firstAnswer[of] = answer;
      } else if (firstAnswer[of] !== answer) contested[of] = 1;
    }
    const seen = new Uint8Array(questions.size);
    const inConflict = new Uint8Array(this.texts.size);
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
    const near = this.nearDuplicates(kin, place, (row) => contested[question[row]] === 1);
    for (const [row] of near) place[row] = nowhere;
    const pairs = this.leakPairs(leaks, kin, place, mostShown);
    const counts = {
      duplicatesRemoved,
      nearDuplicatesRemoved: near.size,
      leaksRemoved: leaks.length - pairs.near,
      nearLeaksRemoved: pairs.near,
      conflictRows,
      conflictTexts,
    };
    const shownNear = [...near].slice(0, Math.min(near.size, mostShown));
    return new Division(counts, place, question, contested, mostShown, [
      ...pairs.shown.map(([row, kept]) => ({ what: 'leak' as const, row, kept })),
      ...shownNear.map(([row, kept]) => ({ what: 'near duplicate' as const, row, kept })),
    ]);
  }

  private answerOf(row: number): number {
    // Numbers are on 0..1.
    return Number.isNaN(this.value[row]) ? -1 - this.labels[row] : this.value[row];
  }

  /**
   * Rows to drop because a near text, of the same kin and split, answers the same question alike, each with the row that stays. Rows
   * of a text with contradicting answers stay.
   */
  private nearDuplicates(
    kin: Int32Array,
    place: Uint8Array,
    isContested: (row: number) => boolean,
  ): ReadonlyMap<number, number> {
    const dropped = new Map<number, number>();
    if (this.near === undefined) return dropped;
    const kinOfSeveral = new Uint8Array(this.texts.size);
    kin.forEach((first, text) => {
      if (first !== text) kinOfSeveral[first] = 1;
    });
    const kept = new Map<string, number>();
    for (let row = 0; row < this.rows; row++) {
      const of = kin[this.group[row]];
      if (place[row] === nowhere || kinOfSeveral[of] === 0) continue;
      const key = `${of} ${this.kinds.values[this.kind[row]].question} ${this.answerOf(row)}`;
      const first = kept.get(key);
      if (first === undefined) kept.set(key, row);
      else if (this.group[first] !== this.group[row] && !isContested(row)) dropped.set(row, first);
    }
    return dropped;
  }

  /** For the first leaks the row of a later split that each repeats, an equal text where there is one; and how many repeat near ones only. */
  private leakPairs(leaks: readonly number[], kin: Int32Array, place: Uint8Array, most: number) {
    const leaked = new Uint8Array(this.texts.size);
    for (const row of leaks) leaked[kin[this.group[row]]] = 1;
    const keptOfText = new Map<number, number>();
    const keptOfKin = new Map<number, number>();
    for (let row = 0; row < this.rows; row++) {
      const of = kin[this.group[row]];
      if (leaked[of] === 0 || place[row] === nowhere) continue;
      if (!keptOfText.has(this.group[row])) keptOfText.set(this.group[row], row);
      if (!keptOfKin.has(of)) keptOfKin.set(of, row);
    }
    const near = leaks.filter((row) => !keptOfText.has(this.group[row])).length;
    const shown = leaks
      .slice(0, Math.min(leaks.length, most))
      .map((row) => [row, keptOfText.get(this.group[row]) ?? keptOfKin.get(kin[this.group[row]])!] as const);
    return { near, shown };
  }
}
