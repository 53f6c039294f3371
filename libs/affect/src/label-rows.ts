/** Each label by itself, label set by label set: the same label among others is another question. */
import type { LabelOutcome } from './metrics.js';

export interface LabelRow {
  /** In the order of the alphabet. */
  readonly labelSet: readonly string[];
  readonly label: string;
  /** Examples that have the label (support), whose answer has it, and which both have it. */
  readonly gold: number;
  readonly answered: number;
  readonly right: number;
  /** right / answered; undefined where it was never answered. */
  readonly precision: number | undefined;
  /** right / gold; undefined where no example has it. */
  readonly recall: number | undefined;
  /** 2 right / (answered + gold); undefined where it does not occur. */
  readonly f1: number | undefined;
}

function share(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : part / whole;
}

/** An outcome with the labels that were asked. */
export type SetOutcome = LabelOutcome & { readonly labelSet: readonly string[] };

/** Label sets in the order of their first example, labels in that of the alphabet. */
export function byLabelSet(
  outcomes: readonly SetOutcome[],
): { readonly labelSet: readonly string[]; readonly asked: readonly SetOutcome[] }[] {
  const sets = Map.groupBy(outcomes, ({ labelSet }) => JSON.stringify([...labelSet].sort()));
  return [...sets].map(([key, asked]) => ({ labelSet: JSON.parse(key), asked }));
}

/** As `byLabelSet` has them. */
export function labelRows(outcomes: readonly SetOutcome[]): LabelRow[] {
  return byLabelSet(outcomes).flatMap(({ labelSet, asked }) => {
    return labelSet.map((label) => {
      const having = asked.filter((outcome) => outcome.gold.includes(label));
      const gold = having.length;
      const answered = asked.filter(({ answer }) => answer.includes(label)).length;
      const right = having.filter(({ answer }) => answer.includes(label)).length;
      return {
        labelSet,
        label,
        gold,
        answered,
        right,
        precision: share(right, answered),
        recall: share(right, gold),
        f1: share(2 * right, answered + gold),
      };
    });
  });
}
