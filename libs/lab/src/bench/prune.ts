/**
 * Pruners on learning curves of known ends: what they save, and what they lose by it. Families over the same objective:
 * where small learning rates learn slowly, the early order of the trials is against the last one; where all learn at one
 * rate, it is the last one, also with two objectives that ask for other learning rates. And on trials of folds, some of
 * which are harder than others.
 */
import { Rng } from '@emotune/base';
import {
  type Assignment,
  type EarlyStopping,
  hyperbandBracket,
  hypervolume,
  judge,
  mean,
  paretoSet,
  parseEarlyStopping,
  suggest,
  type TrialCurve,
  type TrialRecord,
} from '@emotune/search';
import { llm7 } from './test-functions.js';
import { median, pause } from './timing.js';

const algorithms = ['random', 'tpe'] as const;

export interface PruneWorkload {
  /** Trials of each search. */
  readonly trials: number;
  /** Searches with each pruner. */
  readonly seeds: number;
  /** Start trials until they have done as many steps as so many whole ones would. */
  readonly equalBudget: boolean;
  readonly signal: AbortSignal;
}

interface PruneRow {
  readonly curves: string;
  readonly algorithm: (typeof algorithms)[number];
  readonly pruner: string;
  /**
   * Median over the seeds of how far the best whole trial is above the optimum; of several objectives, of what their
   * front leaves undominated of the unit square.
   */
  readonly regret: number;
  /** Mean over the seeds of what the regret is above that of the same search with whole trials, as a share of its mean. */
  readonly lost: number;
  /** Standard error of that: other measurements of equal trials make another one the best. */
  readonly error: number;
  /** Median share of the steps of as many whole trials. */
  readonly budget: number;
  /** Median of how many were started. */
  readonly trials: number;
}

export interface PruneFigures {
  readonly trials: number;
  readonly seeds: number;
  readonly equalBudget: boolean;
  readonly stepsPerTrial: number;
  /** What the default may lose. */
  readonly limit: number;
  readonly rows: readonly PruneRow[];
}

const { space, valueOf: regretOf } = llm7.of(0);
const stepsPerTrial = 27;
const noise = 0.01;
const folds = 9;
const foldSpread = 0.05;
const limit = 0.02;

interface Family {
  readonly name: string;
  /** Where the objectives end, above their optima of 0. */
  ends(values: Assignment): readonly number[];
  /** How far above that an objective is after so many steps. */
  ahead(values: Assignment, step: number, end: number): number;
  /** Trials of `folds` in place of steps, whose mean is the objective. */
  readonly folded?: boolean;
}

const early = (_: Assignment, step: number, end: number) => (1 + end) * Math.exp(-step / 3);

const families: readonly Family[] = [
  {
    name: 'slow at small learning rates',
    ends: (values) => [regretOf(values)],
    ahead(values, step) {
      const slow = 4 * 10 ** (-0.25 * (Math.log10(values['learningRate'] as number) + 4));
      return Math.exp(-step / Math.min(15, Math.max(1, slow)));
    },
  },
  { name: 'early order is the last', ends: (values) => [regretOf(values)], ahead: early },
  {
    name: 'the same, two objectives',
    ends(values) {
      const faster = { ...values, learningRate: (values['learningRate'] as number) / 10 };
      return [regretOf(values), regretOf(faster)];
    },
    ahead: early,
  },
  {
    name: `${folds} folds`,
    ends: (values) => [regretOf(values)],
    ahead: (_, fold) => foldSpread * Rng.of('fold', fold).normal(),
    folded: true,
  },
];

/** Steps, or folds, of a whole trial. */
const lengthOf = ({ folded = false }: Family) => (folded ? folds : stepsPerTrial);

const all = { warmUp: 0, strata: [] };

interface Pruning {
  readonly label: string;
  readonly name: string;
  readonly settings?: object;
}

/** Steps count as examples. */
const pruners: readonly Pruning[] = [
  { label: 'none', name: 'none' },
  { label: 'default', name: '' },
  { label: 'median', name: 'median', settings: all },
  { label: 'median, warm-up 3', name: 'median', settings: { ...all, warmUp: 3 } },
  { label: 'median, patience 3', name: 'median', settings: { ...all, patience: 3 } },
  { label: 'median, stratified', name: 'median', settings: { warmUp: 3 } },
  { label: 'ASHA, factor 4', name: 'asha', settings: { ...all, minExamples: 1 } },
  { label: 'ASHA, factor 3', name: 'asha', settings: { ...all, minExamples: 1, reductionFactor: 3 } },
  {
    label: 'ASHA, factor 3, stratified',
    name: 'asha',
    settings: { warmUp: 0, minExamples: 1, reductionFactor: 3 },
  },
  {
    label: 'Hyperband 1..27',
    name: 'hyperband',
    settings: { ...all, minExamples: 1, maxExamples: stepsPerTrial },
  },
];

const foldPruners: readonly Pruning[] = [
  { label: 'none', name: 'none' },
  { label: 'Wilcoxon, p < 0.05', name: 'wilcoxon', settings: { strata: [], pThreshold: 0.05 } },
  { label: 'Wilcoxon, p < 0.1', name: 'wilcoxon', settings: { strata: [] } },
  { label: 'Wilcoxon, p < 0.3', name: 'wilcoxon', settings: { strata: [], pThreshold: 0.3 } },
  { label: 'Wilcoxon, stratified', name: 'wilcoxon' },
];

/** Trials of one Hyperband bracket do not inform the suggestions of another. */
function sameBracket(spec: EarlyStopping, number: number): (trial: { number: number }) => boolean {
  if (spec.name !== 'hyperband') return () => true;
  const settings = spec.settings as Parameters<typeof hyperbandBracket>[1];
  const bracket = hyperbandBracket(number, settings);
  return (trial) => hyperbandBracket(trial.number, settings) === bracket;
}

function search(
  family: Family,
  algorithm: string,
  spec: EarlyStopping,
  seed: number,
  { trials, equalBudget }: PruneWorkload,
): { regret: number; steps: number; trials: number } {
  const records: TrialRecord[] = [];
  const curves: TrialCurve[] = [];
  let steps = 0;
  const length = lengthOf(family);
  // The mean of folds has the noise of a curve's end.
  const spread = family.folded ? noise * Math.sqrt(folds) : noise;
  const goesOn = () => (equalBudget ? steps < trials * length : records.length < trials);
  while (goesOn()) {
    const number = records.length;
    const known = records.filter(sameBracket(spec, number));
    const parameters = suggest({ name: algorithm }, space, known, { seed, trialNumber: number });
    const rng = Rng.of(seed, 'noise', number);
    const ends = family.ends(parameters);
    const points: { examples: number; values: number[] }[] = [];
    let state: 'succeeded' | 'stopped' = 'succeeded';
    const scores: Record<string, number> = {};
    for (let step = 1; step <= length; step++) {
      const values = ends.map(
        (end) => 0.3 + end + family.ahead(parameters, step, end) + spread * rng.normal(),
      );
      points.push({ examples: step, values });
      if (family.folded) [scores[step]] = values;
      if (step === length) break;
      const curve = { number, state: 'running', parameters, points, folds: scores } as const;
      const { decision } = judge(curve, curves, spec);
      if (decision === 'stop') state = 'stopped';
      if (decision !== 'continue') break;
    }
    steps += points.length;
    curves.push({ number, state, parameters, points, folds: scores });
    records.push({
      number,
      state,
      parameters,
      objectives: family.folded ? [mean(Object.values(scores))] : points[points.length - 1].values,
      step: points.length,
    });
  }
  const whole = records.filter(({ state }) => state === 'succeeded');
  const best = paretoSet(whole.map(({ objectives = [] }) => objectives)).map((i) =>
    family.ends(whole[i].parameters),
  );
  return {
    regret:
      1 -
      hypervolume(
        best,
        best[0].map(() => 1),
      ),
    steps,
    trials: records.length,
  };
}

export async function benchPrune(workload: PruneWorkload): Promise<PruneFigures> {
  const { trials, seeds, equalBudget, signal } = workload;
  const rows: PruneRow[] = [];
  for (const family of families)
    for (const algorithm of algorithms) {
      let whole: readonly number[] = [];
      for (const { label, name, settings } of family.folded ? foldPruners : pruners) {
        const spec = parseEarlyStopping({ name, settings });
        const found: ReturnType<typeof search>[] = [];
        while (found.length < seeds) {
          await pause(signal);
          found.push(search(family, algorithm, spec, found.length, workload));
        }
        const regrets = found.map((run) => run.regret);
        if (name === 'none') whole = regrets;
        const lost = regrets.map((regret, seed) => (regret - whole[seed]) / mean(whole));
        rows.push({
          curves: family.name,
          algorithm,
          pruner: label,
          regret: median(regrets),
          lost: mean(lost),
          error: Math.sqrt(mean(lost.map((l) => (l - mean(lost)) ** 2)) / seeds),
          budget: median(found.map((run) => run.steps)) / (trials * lengthOf(family)),
          trials: median(found.map((run) => run.trials)),
        });
      }
    }
  return { trials, seeds, equalBudget, stepsPerTrial, limit, rows };
}
