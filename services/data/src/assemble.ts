/**
 * From examples of many sources to three splits. Pure: the same examples, shares and seed give the same splits.
 *
 * Official splits are kept. Other rows are divided by groups of equal normalised text, so that no text stands on
 * both sides of a border; within a stratum (source and first label, or tercile of the value) groups are ordered by
 * a hash of seed and text and cut at the shares.
 */
import type { SourceExample, Split } from '@emotune/affect';
import { sha256 } from '@emotune/base';
import { normalizeText } from '@emotune/text';

export interface Shares {
  readonly validation: number;
  readonly test: number;
}

export interface Assembled {
  readonly splits: Record<Split, SourceExample[]>;
  /** The same question about the same text, more than once in one split: the first is kept. */
  readonly duplicatesRemoved: number;
  /** Rows of train whose text stands in validation or test, and rows of validation whose text stands in test. */
  readonly leaksRemoved: number;
}

/** Later splits win: their rows stay, equal texts before them go. */
const order: readonly Split[] = ['test', 'validation', 'train'];

/** Position of a text in the seeded order, uniform on [0, 1). */
function rankOf(normalisedText: string, seed: number): number {
  return Number.parseInt(sha256(`${seed}\u0000${normalisedText}`).slice(0, 12), 16) / 2 ** 48;
}

/** Keeps `limit` examples' texts of a source, by seeded order of the text; all tasks of a kept text stay. */
export function limitRows(examples: readonly SourceExample[], limit: number, seed: number): SourceExample[] {
  if (limit <= 0 || examples.length <= limit) return [...examples];
  const rank = new Map(examples.map((e) => [e.id, rankOf(`limit\u0000${normalizeText(e.text)}`, seed)]));
  const kept = new Set(
    [...examples].sort((a, b) => rank.get(a.id)! - rank.get(b.id)! || (a.id < b.id ? -1 : 1)).slice(0, limit),
  );
  return examples.filter((e) => kept.has(e));
}

function stratumOf({ source, task, gold }: SourceExample): string {
  const kind = gold.value === null ? gold.labels[0] : Math.min(2, Math.floor(gold.value * 3));
  return `${source}\u0000${task}\u0000${kind}`;
}

/** The split of every group of equal normalised text. */
function assign(
  groups: ReadonlyMap<string, SourceExample[]>,
  shares: Shares,
  seed: number,
): Map<string, Split> {
  const splitOf = new Map<string, Split>();
  const strata = new Map<string, string[]>();
  for (const [text, members] of groups) {
    const official = order.find((split) => members.some((m) => m.split === split));
    if (official) {
      splitOf.set(text, official);
      continue;
    }
    const stratum = stratumOf(members[0]);
    const list = strata.get(stratum);
    if (list) list.push(text);
    else strata.set(stratum, [text]);
  }
  for (const texts of strata.values()) {
    const ranked = texts
      .map((text) => ({ text, rank: rankOf(text, seed) }))
      .sort((a, b) => a.rank - b.rank || (a.text < b.text ? -1 : 1));
    const test = Math.round(ranked.length * shares.test);
    const validation = Math.round(ranked.length * shares.validation);
    ranked.forEach(({ text }, i) => {
      splitOf.set(text, i < test ? 'test' : i < test + validation ? 'validation' : 'train');
    });
  }
  return splitOf;
}

export function assemble(examples: readonly SourceExample[], shares: Shares, seed: number): Assembled {
  const groups = new Map<string, SourceExample[]>();
  const normalised = examples.map((example) => normalizeText(example.text));
  examples.forEach((example, i) => {
    const group = groups.get(normalised[i]);
    if (group) group.push(example);
    else groups.set(normalised[i], [example]);
  });
  const splitOf = assign(groups, shares, seed);
  const splits: Record<Split, SourceExample[]> = { train: [], validation: [], test: [] };
  const seen = new Set<string>();
  let duplicatesRemoved = 0;
  let leaksRemoved = 0;
  examples.forEach((example, i) => {
    const split = splitOf.get(normalised[i])!;
    if (example.split !== null && example.split !== split) {
      leaksRemoved++;
      return;
    }
    const question = `${normalised[i]}\u0000${example.task}\u0000${example.emotion ?? ''}\u0000${example.labelSet.join('|')}`;
    if (seen.has(question)) {
      duplicatesRemoved++;
      return;
    }
    seen.add(question);
    splits[split].push({ ...example, split });
  });
  return { splits, duplicatesRemoved, leaksRemoved };
}
