/**
 * What each feature of an ablation is worth: metrics with it less those without it, as seeds and rows are resampled together.
 *
 * Rows are drawn with replacement, the same ones for every run, since all runs answer the same rows; a text that is asked in
 * several ways goes in or out as a whole. Seeds are the second level: of n of them n − 1 are drawn with replacement, which
 * makes the variance of a mean over so few unbiased (Rao and Wu 1988, "Resampling inference with complex survey data",
 * section 2), and a feature is compared within a seed. Pure: the same runs give the same numbers.
 */
import {
  classificationMeasure,
  type Interval,
  isRegression,
  type LabelRow,
  labelRows,
  type Measure,
  quantile,
  regressionMeasure,
  type Task,
  tasks,
} from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { KeptAnswer, Part } from './answers.js';
import { type Feature, features, reference } from './features.js';
import type { AblationRun } from './runs-file.js';

/** Pearson's r, 0 where it is not defined: an answer that never varies tells nothing. Macro-F1 of labels. */
const metricOf = (task: Task) => (isRegression(task) ? 'pearson' : 'macroF1');

/** By subtask; `usual` is their mean, `otherwise` the mean where rows are asked as training never does. */
export type Figures = Readonly<Partial<Record<Task, number>> & { usual: number; otherwise: number }>;
export type FigureName = Task | 'usual' | 'otherwise';

export interface Effect {
  readonly feature: string;
  /** Seeds that both have. */
  readonly seeds: readonly number[];
  /** With the feature less without it: mean over the seeds, and 95 % interval. */
  readonly difference: Readonly<Partial<Record<FigureName, number>>>;
  readonly interval: Readonly<Partial<Record<FigureName, Interval>>>;
  /** Seconds of training with it, by those without. */
  readonly time: number;
}

const resamples = 1000;

const numbers = (value: KeptAnswer['gold']) => value as number;
const labels = (value: KeptAnswer['gold']) => value as readonly string[];

function measureOf(task: Task, answers: readonly KeptAnswer[]): Measure {
  return isRegression(task)
    ? regressionMeasure(answers.map(({ gold, answer }) => ({ gold: numbers(gold), answer: numbers(answer) })))
    : classificationMeasure(
        answers.map(({ gold, answer }) => ({ gold: labels(gold), answer: labels(answer) })),
      );
}

/** The rows of one subtask, asked in one way, with a measure for each run. */
interface Block {
  readonly task: Task;
  readonly how: 'usual' | 'otherwise';
  /** Number of each row's example. */
  readonly example: Int32Array;
  readonly examples: number;
  readonly measures: readonly Measure[];
}

function blocksOf(runs: readonly AblationRun[], part: Part): Block[] {
  const blocks: Block[] = [];
  for (const how of ['usual', 'otherwise'] as const)
    for (const task of tasks) {
      const of = runs.map(({ answers }) => answers[part][how].filter((answer) => answer.task === task));
      const [first] = of;
      if (first.length === 0) continue;
      const number = new Map<string, number>();
      const example = Int32Array.from(first, ({ id }) => {
        if (!number.has(id)) number.set(id, number.size);
        return number.get(id)!;
      });
      blocks.push({
        task,
        how,
        example,
        examples: number.size,
        measures: of.map((answers) => measureOf(task, answers)),
      });
    }
  return blocks;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Of each run. @param rng draws rows; absent: each once. */
function figuresOf(blocks: readonly Block[], runs: number, rng?: Rng): Figures[] {
  const found = Array.from({ length: runs }, () => ({
    byTask: {} as Partial<Record<Task, number>>,
    otherwise: [] as number[],
  }));
  for (const { task, how, example, examples, measures } of blocks) {
    let weights: Uint32Array | undefined;
    if (rng) {
      const drawn = new Uint32Array(examples);
      for (let i = 0; i < examples; i++) drawn[rng.int(examples)]++;
      weights = Uint32Array.from(example, (i) => drawn[i]);
    }
    measures.forEach((measure, run) => {
      const value = (weights ? measure.of(weights) : measure.of())[metricOf(task)] ?? 0;
      if (how === 'usual') found[run].byTask[task] = value;
      else found[run].otherwise.push(value);
    });
  }
  return found.map(({ byTask, otherwise }) => ({
    ...byTask,
    usual: mean(Object.values(byTask)),
    otherwise: mean(otherwise),
  }));
}

/** Numbers of the runs with a feature and without it, seed by seed. */
interface Pairs {
  readonly feature: Feature;
  readonly seeds: readonly number[];
  readonly pairs: readonly { readonly on: number; readonly off: number }[];
}

function pairsOf(runs: readonly AblationRun[]): Pairs[] {
  const at = (variant: string, seed: number) =>
    runs.findIndex((run) => run.variant === variant && run.seed === seed);
  const known = [...new Set(runs.map(({ seed }) => seed))].sort((a, b) => a - b);
  return features.flatMap((feature) => {
    const seeds = known.filter((seed) => at(feature.name, seed) >= 0 && at(reference, seed) >= 0);
    if (seeds.length === 0) return [];
    const pairs = seeds.map((seed) => {
      const [base, turned] = [at(reference, seed), at(feature.name, seed)];
      return feature.inReference ? { on: base, off: turned } : { on: turned, off: base };
    });
    return [{ feature, seeds, pairs }];
  });
}

function differences(figures: readonly Figures[], pairs: Pairs['pairs']): Map<FigureName, number> {
  const names = Object.keys(figures[pairs[0].on]) as FigureName[];
  return new Map(
    names.map((name) => [name, mean(pairs.map(({ on, off }) => figures[on][name]! - figures[off][name]!))]),
  );
}

/** Of each feature with runs beside the reference's, in the order of the features. */
export function effectsOf(runs: readonly AblationRun[], part: Part): Effect[] {
  const all = pairsOf(runs);
  const blocks = blocksOf(runs, part);
  const rng = Rng.of('ablation', part);
  const seen = figuresOf(blocks, runs.length);
  const drawn = all.map(() => new Map<FigureName, Float64Array>());
  for (let r = 0; r < resamples; r++) {
    const figures = figuresOf(blocks, runs.length, rng);
    all.forEach(({ pairs }, i) => {
      const some = pairs.length === 1 ? pairs : pairs.slice(1).map(() => pairs[rng.int(pairs.length)]);
      for (const [name, value] of differences(figures, some)) {
        if (!drawn[i].has(name)) drawn[i].set(name, new Float64Array(resamples));
        drawn[i].get(name)![r] = value;
      }
    });
  }
  return all.map(({ feature, seeds, pairs }, i) => ({
    feature: feature.name,
    seeds,
    difference: Object.fromEntries(differences(seen, pairs)),
    interval: Object.fromEntries(
      [...drawn[i]].map(([name, values]) => {
        const sorted = values.sort();
        return [name, { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) }];
      }),
    ),
    time: mean(pairs.map(({ on }) => runs[on].seconds)) / mean(pairs.map(({ off }) => runs[off].seconds)),
  }));
}

/** Of the runs of a variant: mean over their seeds. */
export function levels(runs: readonly AblationRun[], part: Part): Figures {
  const all = figuresOf(blocksOf(runs, part), runs.length);
  const names = Object.keys(all[0]) as FigureName[];
  return Object.fromEntries(names.map((name) => [name, mean(all.map((f) => f[name]!))])) as Figures;
}

/**
 * Whether a feature helps, by what the validation rows say: where rows are asked as usual, or otherwise, the interval lies
 * above 0, and in the other way not below it.
 */
export function helps({ interval: { usual, otherwise } }: Effect): boolean {
  const [better, worse] = [
    [usual, otherwise].some((interval) => interval!.low > 0),
    [usual, otherwise].some((interval) => interval!.high < 0),
  ];
  return better && !worse;
}

/** A label with fewer test rows may be missed by chance. */
const enoughRows = 30;

/** Labels of enough test rows that no answer had where it was right, of each run. */
export function neverFound(
  runs: readonly AblationRun[],
): (Pick<LabelRow, 'label' | 'gold'> & { readonly variant: string; readonly seed: number })[] {
  return runs.flatMap(({ variant, seed, answers }) => {
    const outcomes = answers.test.usual.flatMap(({ gold, answer, labelSet }) =>
      labelSet ? [{ gold: labels(gold), answer: labels(answer), labelSet }] : [],
    );
    return labelRows(outcomes)
      .filter(({ gold, right }) => gold >= enoughRows && right === 0)
      .map(({ label, gold }) => ({ variant, seed, label, gold }));
  });
}
