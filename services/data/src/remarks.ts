/**
 * What is odd about the rows of a dataset, with counts, for people to look at: nothing of it makes a build fail, and no row is lost by it.
 */
import { foldedLabel, type Inquiry, type SourceExample, type Split, splits } from '@emotune/affect';
import { count } from './words.js';

/** Numbers within this share of a scale from one of its ends are at that end. */
const end = 0.1;
/** Fewer rows than that may lie anywhere by chance. */
const fewest = 10;

/** The numbers that one source answers one question with. */
interface Numbers {
  readonly source: string;
  readonly inquiry: Inquiry;
  rows: number;
  low: number;
  high: number;
}

/** The rows of one label set, whatever the source. */
interface Labelled {
  readonly inquiry: Inquiry;
  readonly sources: Set<string>;
  rows: number;
  readonly bySplit: Map<string, Record<Split, number>>;
}

/** How far raters agree, by source and question. */
interface Raters {
  readonly source: string;
  readonly inquiry: Inquiry;
  rows: number;
  divided: number;
}

function nameOf({ task, emotion, labelSet, scale }: Inquiry): string {
  if (scale === null) return `${task} among ${labelSet.join(', ')}`;
  return emotion === null ? task : `${task} of ${emotion}`;
}

/** As a label set is known again whatever its case and spacing. */
function folded(labelSet: readonly string[]): string {
  return labelSet.map(foldedLabel).sort().join('|');
}

export class Remarks {
  private readonly numbers = new Map<string, Numbers>();
  private readonly labelled = new Map<string, Labelled>();
  private readonly raters = new Map<string, Raters>();
  private readonly sorted = new WeakMap<readonly string[], string>();

  add(example: SourceExample, split: Split): void {
    const { source, task, emotion, scale, labelSet, multiLabel, gold } = example;
    const key = scale === null ? this.sortedOf(labelSet) : `${scale.low} ${scale.high}`;
    const asked = `${task} ${emotion} ${multiLabel} ${key}`;
    this.addRaters(`${source} ${asked}`, example);
    if (gold.value !== null) this.addNumber(`${source} ${asked}`, example, gold.value);
    else this.addLabels(asked, example, split);
  }

  private sortedOf(labelSet: readonly string[]): string {
    let sorted = this.sorted.get(labelSet);
    if (sorted === undefined) {
      sorted = [...labelSet].sort().join('|');
      this.sorted.set(labelSet, sorted);
    }
    return sorted;
  }

  private addNumber(key: string, example: SourceExample, value: number): void {
    let of = this.numbers.get(key);
    if (of === undefined) {
      of = { source: example.source, inquiry: example, rows: 0, low: value, high: value };
      this.numbers.set(key, of);
    }
    of.rows++;
    of.low = Math.min(of.low, value);
    of.high = Math.max(of.high, value);
  }

  private addLabels(key: string, example: SourceExample, split: Split): void {
    let of = this.labelled.get(key);
    if (of === undefined) {
      of = { inquiry: example, sources: new Set(), rows: 0, bySplit: new Map() };
      this.labelled.set(key, of);
    }
    of.rows++;
    of.sources.add(example.source);
    for (const label of example.gold.labels) {
      const counts = of.bySplit.get(label) ?? { train: 0, validation: 0, test: 0 };
      counts[split]++;
      of.bySplit.set(label, counts);
    }
  }

  private addRaters(key: string, example: SourceExample): void {
    const { spread, raters, votes } = example.gold;
    const given = Object.values(votes).filter((n) => n > 0);
    const known = spread !== null || (raters !== null && raters > 1 && given.length > 0);
    if (!known) return;
    let of = this.raters.get(key);
    if (of === undefined) {
      of = { source: example.source, inquiry: example, rows: 0, divided: 0 };
      this.raters.set(key, of);
    }
    of.rows++;
    if (spread !== null ? spread > 0 : given.some((n) => n !== raters)) of.divided++;
  }

  get list(): string[] {
    return [
      ...[...this.numbers.values()].flatMap(numbersRemark),
      ...[...this.labelled.values()].flatMap(labelsRemarks),
      ...this.spellings(),
      ...[...this.raters.values()].flatMap(ratersRemark),
    ];
  }

  /** Label sets that differ in case or spacing alone: to a model they are different questions. */
  private spellings(): string[] {
    const bySpelling = Map.groupBy(
      this.labelled.values(),
      ({ inquiry }) => `${inquiry.task} ${inquiry.multiLabel} ${folded(inquiry.labelSet)}`,
    );
    return [...bySpelling.values()]
      .filter((sets) => new Set(sets.map(({ inquiry }) => [...inquiry.labelSet].sort().join('|'))).size > 1)
      .map((sets) => {
        const told = sets.map(
          ({ inquiry, sources, rows }) =>
            `${inquiry.labelSet.join(', ')} (${count(rows, 'row')} of ${[...sources].join(', ')})`,
        );
        return `label sets of ${sets[0].inquiry.task} differ in case or spacing alone, and are asked as different questions: ${told.join('; ')}; write them alike`;
      });
  }
}

function numbersRemark({ source, inquiry, rows, low, high }: Numbers): string[] {
  if (rows < fewest) return [];
  const { scale } = inquiry;
  const native = (value: number) => Number((scale!.low + value * (scale!.high - scale!.low)).toPrecision(4));
  const all = `${source}: all ${count(rows, 'number')} of ${nameOf(inquiry)}`;
  const declared = `${scale!.low}..${scale!.high}`;
  if (low === high) return [`${all} are ${native(low)} on ${declared}: nothing can be learnt from them`];
  if (high > end && low < 1 - end) return [];
  return [
    `${all} lie at one end of ${declared}, from ${native(low)} to ${native(high)}: is that the scale that they were given on?`,
  ];
}

function labelsRemarks({ inquiry, sources, rows, bySplit }: Labelled): string[] {
  const of = `${nameOf(inquiry)} (${[...sources].join(', ')})`;
  const empty = inquiry.labelSet.filter((label) => !bySplit.has(label));
  const untaught = [...bySplit].filter(([, counts]) => counts.train === 0);
  return [
    ...(empty.length === 0
      ? []
      : [`${of}: none of ${count(rows, 'row')} has the ${word('label', empty)} ${empty.join(', ')}`]),
    ...(bySplit.size === 1 && rows >= fewest
      ? [
          `${of}: all ${count(rows, 'row')} have the label ${[...bySplit.keys()][0]}: nothing can be learnt from them`,
        ]
      : []),
    ...(untaught.length === 0
      ? []
      : [
          `${of}: no train row has the ${word('label', untaught)} ${untaught
            .map(
              ([label, counts]) =>
                `${label} (${splits.map((split) => `${counts[split]} ${split}`).join(', ')})`,
            )
            .join(', ')}`,
        ]),
  ];
}

function ratersRemark({ source, inquiry, rows, divided }: Raters): string[] {
  if (divided > 0 || rows < fewest) return [];
  return [
    `${source}: the raters of all ${count(rows, 'row')} of ${nameOf(inquiry)} agree entirely: their spread tells nothing`,
  ];
}

function word(name: string, list: readonly unknown[]): string {
  return list.length === 1 ? name : `${name}s`;
}
