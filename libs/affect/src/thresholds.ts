/** Which labels are the answer: those that are more probable than such labels usually are. */
import type { Marginal } from './distribution.js';
import { neutralNames } from './label-names.js';

/** By label, above 0. Several labels: the probability from which on it is part of the answer. One: what it is divided by. */
export type Thresholds = Readonly<Record<string, number>>;

/** A label's threshold where there is none for it. */
const ofOne = 1;

/** How far a label is above its threshold. */
const excess = ({ label, probability }: Marginal, thresholds: Thresholds) =>
  probability / (Object.hasOwn(thresholds, label) ? thresholds[label] : ofOne);

/** The label that is most above its threshold; the first in the alphabet among equals. */
export function leading(marginals: readonly Marginal[], thresholds: Thresholds = {}): string {
  return marginals.reduce((best, next) => (excess(next, thresholds) > excess(best, thresholds) ? next : best))
    .label;
}

/**
 * Where several labels may be the answer, those that reach their thresholds, in alphabetical order; the leading one where none
 * does. No emotion stands beside that there is none: the one that leads stays.
 */
export function severalLabels(marginals: readonly Marginal[], thresholds: Thresholds): string[] {
  const first = leading(marginals, thresholds);
  if (neutralNames.has(first)) return [first];
  const held = marginals
    .filter((marginal) => excess(marginal, thresholds) >= 1 && !neutralNames.has(marginal.label))
    .map(({ label }) => label);
  return held.length > 0 ? held.sort() : [first];
}

export interface LabelledMarginals {
  readonly marginals: readonly Marginal[];
  readonly gold: readonly string[];
}

/** Mean F1 of the labels that occur in golds. */
function macroF1(rows: readonly LabelledMarginals[], answers: readonly (readonly string[])[]): number {
  const counts = new Map<string, { gold: number; answered: number; right: number }>();
  const of = (label: string) => {
    const known = counts.get(label) ?? { gold: 0, answered: 0, right: 0 };
    counts.set(label, known);
    return known;
  };
  rows.forEach(({ gold }, i) => {
    for (const label of gold) of(label).gold++;
    for (const label of answers[i]) {
      of(label).answered++;
      if (gold.includes(label)) of(label).right++;
    }
  });
  const occurring = [...counts.values()].filter(({ gold }) => gold > 0);
  return occurring.reduce((sum, c) => sum + (2 * c.right) / (c.gold + c.answered), 0) / occurring.length;
}

/** How much of what a model usually says is held against a label: nothing, …, all (contextual calibration, Zhao et al. 2021). */
const strengths = Array.from({ length: 9 }, (_, i) => i / 8);
/** Thresholds of the most usual label. */
const levels = Array.from({ length: 18 }, (_, i) => 0.9 * 0.8 ** i);
/** Labels of an answer beside those of a gold, on average, at most: to answer all labels has the best F1 where nothing is known. */
const mostLabels = 1.5;
/** What all thresholds are multiplied by while answers hold too many labels: above 1 all of them hold one alone. */
const raised = 1.05;
/** Examples of a label that count as much for its own threshold as all labels do for the common rule. */
const common = 50;

/** Whether answers hold not too many labels (label cardinality, Read et al. 2011, section 6.2). */
function fewEnough(rows: readonly LabelledMarginals[], answers: readonly (readonly string[])[]): boolean {
  const labels = (sets: readonly (readonly string[])[]) => sets.reduce((sum, { length }) => sum + length, 0);
  return labels(answers) <= Math.max(rows.length, mostLabels * labels(rows.map(({ gold }) => gold)));
}

/** The mean of what is said of each label, of the most usual one 1. */
function usual(rows: readonly LabelledMarginals[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { marginals } of rows)
    for (const { label, probability } of marginals) sums.set(label, (sums.get(label) ?? 0) + probability);
  const most = Math.max(...sums.values());
  return new Map([...sums].map(([label, sum]) => [label, sum / most]));
}

/** The threshold of the best F1 of one label; undefined where no row has it. */
function ownThreshold(rows: readonly LabelledMarginals[], label: string): number | undefined {
  const scored = rows
    .map(({ marginals, gold }) => ({
      p: marginals.find((m) => m.label === label)?.probability ?? 0,
      is: gold.includes(label),
    }))
    .sort((a, b) => b.p - a.p);
  const golds = scored.filter(({ is }) => is).length;
  let [right, best, threshold] = [0, 0, undefined as number | undefined];
  scored.forEach(({ p, is }, i) => {
    if (is) right++;
    const next = scored[i + 1]?.p ?? 0;
    // Equal ones are answered alike.
    if (next === p) return;
    const f1 = (2 * right) / (i + 1 + golds);
    if (f1 > best) [best, threshold] = [f1, Math.sqrt(p * Math.max(next, p / 4))];
  });
  return threshold;
}

/**
 * The thresholds with the best macro-F1. One rule for all labels comes first, level × (what the model usually says of the label)
 * ^ strength, the least strength among equals; where several labels may be the answer, each label's own best threshold is then
 * mixed in, on the scale of logarithms, as far as it has examples. Answers hold at most 1.5 times as many labels as golds do.
 */
export function fitThresholds(rows: readonly LabelledMarginals[], multiLabel: boolean): Thresholds {
  const prior = usual(rows);
  const rule = (level: number, strength: number): Record<string, number> =>
    Object.fromEntries([...prior].map(([label, p]) => [label, level * p ** strength]));
  const answersBy = (thresholds: Thresholds) =>
    rows.map(({ marginals }) =>
      multiLabel ? severalLabels(marginals, thresholds) : [leading(marginals, thresholds)],
    );
  let best = { f1: -1, thresholds: rule(1, 0) };
  for (const strength of strengths)
    for (const level of multiLabel ? levels : [1]) {
      const thresholds = rule(level, strength);
      const answers = answersBy(thresholds);
      const f1 = macroF1(rows, answers);
      if (f1 > best.f1 + 1e-12 && fewEnough(rows, answers)) best = { f1, thresholds };
    }
  if (!multiLabel) return best.thresholds;
  let mixed = Object.fromEntries(
    Object.entries(best.thresholds).map(([label, pooled]) => {
      const own = ownThreshold(rows, label) ?? pooled;
      const examples = rows.filter(({ gold }) => gold.includes(label)).length;
      const weight = examples / (examples + common);
      return [label, Math.exp(weight * Math.log(own) + (1 - weight) * Math.log(pooled))];
    }),
  );
  while (!fewEnough(rows, answersBy(mixed)))
    mixed = Object.fromEntries(
      Object.entries(mixed).map(([label, threshold]) => [label, threshold * raised]),
    );
  return mixed;
}
