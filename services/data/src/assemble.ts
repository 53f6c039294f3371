/**
 * From examples of many sources to three splits. Pure: the same examples, shares and seed give the same splits.
 *
 * Official splits are kept. Other rows are divided by texts, as `textKey` knows them again, so that no text stands on
 * both sides of a border, and stratified by source, task and answer (`stratify.ts`).
 *
 * A text may carry one answer in one row and another in the next. Such rows are no duplicates: how often each answer was
 * given is all that is known of the right one, so all of them stay, in one split, and are counted.
 */
import type { SourceExample, Split } from '@emotune/affect';
import { textKey } from '@emotune/text';
import { rankOf, type Shares, stratify, type Unit } from './stratify.js';

/** One question about one text that its rows answer differently. */
interface Conflict {
  readonly key: string;
  /** As the first row has it. */
  readonly text: string;
  readonly task: SourceExample['task'];
  readonly emotion: string | null;
  /** Rows by answer: labels joined by "|", or the number on 0..1. */
  readonly answers: Readonly<Record<string, number>>;
}

export interface Assembled {
  readonly splits: Record<Split, SourceExample[]>;
  /** The same question about the same text with the same answer, more than once in one split: the first is kept. */
  readonly duplicatesRemoved: number;
  /** Rows of train whose text stands in validation or test, and rows of validation whose text stands in test. */
  readonly leaksRemoved: number;
  /** In the order of the examples. Their rows are kept. */
  readonly conflicts: readonly Conflict[];
}

/** Later splits win: their rows stay, equal texts before them go. */
const order: readonly Split[] = ['test', 'validation', 'train'];

/** Keeps `limit` examples of a source, by seeded order of their texts. */
export function limitRows(examples: readonly SourceExample[], limit: number, seed: number): SourceExample[] {
  if (limit <= 0 || examples.length <= limit) return [...examples];
  const rank = new Map(examples.map((e) => [e.id, rankOf(`limit\u0000${textKey(e.text)}`, seed)]));
  const kept = new Set(
    [...examples].sort((a, b) => rank.get(a.id)! - rank.get(b.id)! || (a.id < b.id ? -1 : 1)).slice(0, limit),
  );
  return examples.filter((e) => kept.has(e));
}

/** Numbers fall into as many strata of equal size. */
const numberStrata = 5;

/** Of what kind a text is, by its first row: what is asked, and the rarest label or the fifth of the numbers. */
function unitsOf(groups: readonly (readonly [key: string, first: SourceExample])[]): Unit[] {
  const asked = ({ source, task, emotion }: SourceExample) => JSON.stringify([source, task, emotion]);
  const labels = new Map<string, number>();
  const numbers = new Map<string, number[]>();
  for (const [, first] of groups) {
    const { gold } = first;
    for (const label of gold.labels) {
      const at = `${asked(first)}${label}`;
      labels.set(at, (labels.get(at) ?? 0) + 1);
    }
    if (gold.value === null) continue;
    const list = numbers.get(asked(first));
    if (list) list.push(gold.value);
    else numbers.set(asked(first), [gold.value]);
  }
  for (const list of numbers.values()) list.sort((a, b) => a - b);
  const bounds = new Map(
    [...numbers].map(([at, list]) => [
      at,
      Array.from(
        { length: numberStrata - 1 },
        (_, i) => list[Math.floor((list.length * (i + 1)) / numberStrata)],
      ),
    ]),
  );
  return groups.map(([key, first]) => {
    const { gold } = first;
    const at = asked(first);
    const count = (label: string) => labels.get(`${at}${label}`)!;
    const kind =
      gold.value === null
        ? [...gold.labels].sort((a, b) => count(a) - count(b) || (a < b ? -1 : 1))[0]
        : bounds.get(at)!.filter((bound) => bound <= gold.value!).length;
    return { key, stratum: `${at}${kind}`, substratum: gold.labels.join('|') };
  });
}

/** The split of every text. */
function assign(
  groups: ReadonlyMap<string, SourceExample[]>,
  shares: Shares,
  seed: number,
): Map<string, Split> {
  const splitOf = new Map<string, Split>();
  const divided: (readonly [string, SourceExample])[] = [];
  for (const [key, members] of groups) {
    const official = order.find((split) => members.some((m) => m.split === split));
    if (official) splitOf.set(key, official);
    else divided.push([key, members[0]]);
  }
  for (const [key, split] of stratify(unitsOf(divided), shares, seed)) splitOf.set(key, split);
  return splitOf;
}

function questionOf(key: string, { task, emotion, scale, labelSet, multiLabel }: SourceExample): string {
  return JSON.stringify([key, task, emotion, scale?.low, scale?.high, [...labelSet].sort(), multiLabel]);
}

function answerOf({ gold }: SourceExample): string {
  return gold.value === null ? gold.labels.join('|') : String(gold.value);
}

export function assemble(examples: readonly SourceExample[], shares: Shares, seed: number): Assembled {
  const keys = examples.map((example) => textKey(example.text));
  const groups = new Map<string, SourceExample[]>();
  examples.forEach((example, i) => {
    const group = groups.get(keys[i]);
    if (group) group.push(example);
    else groups.set(keys[i], [example]);
  });
  const splitOf = assign(groups, shares, seed);
  let leaksRemoved = 0;
  const questions = new Map<string, SourceExample[]>();
  examples.forEach((example, i) => {
    const split = splitOf.get(keys[i])!;
    if (example.split !== null && example.split !== split) {
      leaksRemoved++;
      return;
    }
    const question = questionOf(keys[i], example);
    const known = questions.get(question);
    if (known) known.push(example);
    else questions.set(question, [example]);
  });
  let duplicatesRemoved = 0;
  const kept = new Set<SourceExample>();
  const conflicts: Conflict[] = [];
  for (const rows of questions.values()) {
    const answers = new Map<string, number>();
    for (const row of rows) answers.set(answerOf(row), (answers.get(answerOf(row)) ?? 0) + 1);
    if (answers.size === 1) {
      kept.add(rows[0]);
      duplicatesRemoved += rows.length - 1;
      continue;
    }
    for (const row of rows) kept.add(row);
    const [{ text, task, emotion }] = rows;
    conflicts.push({ key: textKey(text), text, task, emotion, answers: Object.fromEntries(answers) });
  }
  const splits: Record<Split, SourceExample[]> = { train: [], validation: [], test: [] };
  examples.forEach((example, i) => {
    const split = splitOf.get(keys[i])!;
    if (kept.has(example)) splits[split].push({ ...example, split });
  });
  return { splits, duplicatesRemoved, leaksRemoved, conflicts };
}
