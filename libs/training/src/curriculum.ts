/** Which rows a stage draws, and what it made the model forget. Pure. */
import { mean } from '@emotune/base';
import type { Row } from './batches.js';

/**
 * c(t) = min(1, √(t(1 − c₀²) + c₀²)): the share of rows, easiest first, that a model is ready for (Platanios et al.
 * 2019, equation 5). `progress`: of the stage, 0..1; `start`: c₀ > 0.
 */
export function competence(progress: number, start: number): number {
  return Math.min(1, Math.sqrt(progress * (1 - start ** 2) + start ** 2));
}

/**
 * For each row the share of rows that are at most as hard, in (0, 1]. Rows of unknown spread are ranked among each
 * other by length.
 */
export function difficultyRanks(rows: readonly Row[], by: 'length' | 'spread'): number[] {
  const ranks = new Array<number>(rows.length);
  const rank = (members: readonly number[], difficulty: (row: Row) => number) => {
    const order = [...members].sort(
      (p, q) => difficulty(rows[p]) - difficulty(rows[q]) || (rows[p].id < rows[q].id ? -1 : 1),
    );
    order.forEach((member, i) => {
      ranks[member] = (i + 1) / order.length;
    });
  };
  const known = (row: Row) => by === 'spread' && row.spread != null;
  const all = [...rows.keys()];
  rank(
    all.filter((i) => known(rows[i])),
    ({ spread }) => spread!,
  );
  rank(
    all.filter((i) => !known(rows[i])),
    ({ tokens }) => tokens.length,
  );
  return ranks;
}

/**
 * Rows of each task in an epoch of Σnᵢ rows with pᵢ ∝ nᵢ^(1/T): at T = 1 each row once, at large T as many of each task
 * (Raffel et al. 2020, section 3.5.2). `counts`: nᵢ.
 */
export function mixingQuotas(counts: readonly number[], temperature: number): number[] {
  const total = counts.reduce((a, b) => a + b, 0);
  // From the largest, so that no power overflows.
  const largest = Math.max(...counts);
  const weights = counts.map((n) => (n > 0 ? (n / largest) ** (1 / temperature) : 0));
  const all = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => Math.round((total * weight) / all));
}

/** Objectives (smaller is better) of each task, measured at the end of a stage. */
export type StageObjectives = Readonly<Record<string, number>>;

export interface Forgetting {
  /** Mean objective of the tasks trained so far. */
  readonly average: number;
  /** Mean over earlier tasks of how much smaller their objective is than at the end of their own stage: > 0 is transfer. */
  readonly backwardTransfer: number;
  /** Largest over earlier tasks of the objective less its smallest value at the end of an earlier stage. */
  readonly maximum: number;
  /** That difference for each earlier task. */
  readonly tasks: StageObjectives;
}

/**
 * What is left of earlier stages' tasks after the last one measured: average and backward transfer as Lopez-Paz and
 * Ranzato 2017 (equations 2 and 3), forgetting as Chaudhry et al. 2018 (equation 3), turned for objectives that fall.
 * `ends`: measured at the end of each stage so far; `stages`: their tasks. Undefined without an earlier task.
 */
export function forgettingOf(
  ends: readonly StageObjectives[],
  stages: readonly { readonly tasks: readonly string[] }[],
): Forgetting | undefined {
  const last = ends.length - 1;
  const now = ends[last];
  const learntAt = new Map<string, number>();
  for (const [stage, { tasks }] of stages.slice(0, ends.length).entries())
    for (const task of tasks) if (!learntAt.has(task) && now[task] !== undefined) learntAt.set(task, stage);
  const earlier = [...learntAt].filter(([, stage]) => stage < last);
  if (earlier.length === 0) return undefined;
  const tasks = Object.fromEntries(
    earlier.map(([task, stage]) => [
      task,
      now[task] - Math.min(...ends.slice(stage, last).map((objectives) => objectives[task])),
    ]),
  );
  return {
    average: mean([...learntAt.keys()].map((task) => now[task])),
    backwardTransfer: mean(earlier.map(([task, stage]) => ends[stage][task] - now[task])),
    maximum: Math.max(...Object.values(tasks)),
    tasks,
  };
}
