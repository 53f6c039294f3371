/**
 * What a training run will hold in memory, before it holds any of it: weights, gradients and the optimizer's state by
 * their sizes, and what the executor says that its graphs take. Pure.
 */
import { ResourceExhausted } from '@emotune/base';
import type { ExecutorMemory } from '@emotune/engine';
import { bytesOf, listed, recomputes, sizeOf } from '@emotune/graph';
import {
  ascentGraph,
  type GridShape,
  lossGraph,
  type ModelConfig,
  modelParameters,
  type NumberShape,
  referenceGraph,
  type StepOptions,
  trainableParameters,
  trainGraph,
} from '@emotune/models';
import type { BatchShape } from './batches.js';
import { memoryOf, partsOf } from './optimizers/update.js';
import { optimizerOf } from './optimizers/update-graph.js';
import { bucketElements } from './ranks/sum-gradients.js';
import { perturbationOf } from './regularisers/methods.js';
import { maskingOf } from './regularisers/settings.js';
import type { TrainSpec } from './spec.js';

/** A batch, and what it is fed besides where candidates are compared. */
export interface PlannedShape extends BatchShape {
  readonly digits?: NumberShape;
  /** The sizes of the batches that come, each once: it has a graph of its own. */
  readonly grids?: readonly GridShape[];
}

/** What of a run decides its memory. */
export interface PlannedRun {
  readonly memory: ExecutorMemory;
  readonly config: ModelConfig;
  readonly spec: Pick<
    TrainSpec,
    | 'method'
    | 'optimizer'
    | 'ema'
    | 'loss'
    | 'regularisation'
    | 'recompute'
    | 'gradientAccumulation'
    | 'ranks'
    | 'batchTokens'
    | 'distillation'
  >;
  /** Each has a graph of its own, with memory of its own. */
  readonly shapes: readonly PlannedShape[];
  readonly validates: boolean;
  readonly checkpoints: boolean;
  /** The caller keeps the model's weights besides. */
  readonly keepsWeights: boolean;
}

/** Bytes. */
interface MemoryParts {
  /** Frozen and trained. */
  readonly weights: number;
  /** Moments and the moving average. */
  readonly optimizer: number;
  readonly gradients: number;
  /** A copy of the trained weights as they were at their best. */
  readonly best: number;
  /** What the graphs of training steps keep from run to run. */
  readonly activations: number;
  /** At the worst moment: another graph's values, a copy that is written to disk. */
  readonly passing: number;
  /** Programs, compiled graphs, threads. */
  readonly runtime: number;
}

export interface MemoryPlan extends MemoryParts {
  /** Resident, bytes. */
  readonly peak: number;
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const floats = (shapes: readonly { readonly shape: readonly number[] }[]) =>
  4 * sum(shapes.map(({ shape }) => sizeOf(shape)));

/** Sizes that hold each of these. */
function largestGrid(grids: readonly GridShape[]): GridShape | undefined {
  return grids.reduce<GridShape | undefined>(
    (most, grid) => ({
      items: Math.max(grid.items, most?.items ?? 0),
      choices: Math.max(grid.choices, most?.choices ?? 0),
      depth: Math.max(grid.depth, most?.depth ?? 0),
      asked: Math.max(grid.asked, most?.asked ?? 0),
      edges: Math.max(grid.edges, most?.edges ?? 0),
    }),
    undefined,
  );
}

export function planMemory(run: PlannedRun): MemoryPlan {
  const { memory, config, spec, shapes, validates, checkpoints } = run;
  const { method, regularisation, recompute, loss, distillation } = spec;
  const gridLoss = distillation ?? (loss.regression.name === 'ordinal' ? 'crossEntropy' : 'squaredError');
  const perturbation = regularisation.perturbation && perturbationOf(regularisation.perturbation);
  const optionsOf = ({ digits, grids = [] }: PlannedShape): StepOptions => {
    const grid = largestGrid(grids);
    return {
      labelSmoothing: loss.labelSmoothing,
      recompute,
      ...maskingOf(regularisation),
      ...perturbation?.needs,
      ...(digits ? { digits: { ...digits, squared: loss.numberTokens?.distance === 'squared' } } : {}),
      ...(grid ? { grid: { ...grid, loss: gridLoss } } : {}),
    };
  };
  const trained = trainableParameters(config, method);
  const steps = shapes.map((shape) => trainGraph(config, method, shape, optionsOf(shape)));
  const graphs = steps.map((step, i) => ({ ...memory.of(step), grids: shapes[i].grids?.length ?? 0 }));
  const others = shapes.flatMap((shape) => {
    const options = optionsOf(shape);
    return [
      ...(perturbation?.ascends ? [ascentGraph(config, method, shape, options)] : []),
      ...(perturbation?.needs.consistency ? [referenceGraph(config, method, shape, options)] : []),
      ...(validates ? [lossGraph(config, method, shape, distillation ? options : {})] : []),
    ].map(memory.of);
  });
  const held = sum(
    listed(Object.values(steps[0]))
      .filter(({ kind }) => kind === 'weight')
      .map(bytesOf),
  );
  const weights = held + (run.keepsWeights ? floats(modelParameters(config)) : 0);
  const rule = optimizerOf(spec.optimizer);
  const averaged = spec.ema === undefined ? [] : trained;
  const optimizer = floats([
    ...trained.flatMap((parameter) => Object.values(rule.state(parameter)).map((shape) => ({ shape }))),
    ...averaged,
  ]);
  const gradients = floats(trained);
  const largest = Math.max(...trained.map((parameter) => floats([parameter])));
  // Graphs of grids keep no memory from run to run.
  const activations = sum(graphs.filter(({ grids }) => grids === 0).map(({ kept }) => kept));
  const passing = Math.max(
    // Every output of a run is there once more, as a copy; the gradient of one more micro-batch stays besides.
    (spec.gradientAccumulation > 1 ? 2 : 1) * gradients,
    ...partsOf(trained, rule, { weightDecay: 1, ema: spec.ema !== undefined }).map(
      (part) => memoryOf(part, memory).replacing,
    ),
    ...graphs.filter(({ grids }) => grids > 0).map(({ running }) => running),
    ...others.map(({ running }) => running),
    // One tensor after another is copied for a checkpoint.
    checkpoints ? largest : 0,
    // One bucket is summed while the next is read, and the gradients lie in their slots.
    spec.ranks > 1 ? 2 * Math.min(gradients, 4 * bucketElements + largest) + largest : 0,
  );
  const best = validates ? floats(trained) : 0;
  const compiled = [
    ...graphs.map((graph) => graph.compiled * Math.max(1, graph.grids)),
    ...others.map((graph) => graph.compiled),
  ];
  const runtime = memory.base + sum(compiled);
  const parts = { weights, optimizer, gradients, best, activations, passing, runtime };
  return { ...parts, peak: sum(Object.values(parts)) };
}

const mib = (bytes: number) => Math.ceil(bytes / 2 ** 20).toLocaleString('en-US');

/** A plan in words: its peak, and its parts, MiB. */
export function planText({ peak, ...parts }: MemoryPlan): string {
  const each = Object.entries(parts).map(([part, bytes]) => `${part} ${mib(bytes)}`);
  return `${mib(peak)} MiB (${each.join(', ')})`;
}

/** The same run with batches of `lines` lines. */
function withLines(run: PlannedRun, lines: number): PlannedRun {
  const shapes = run.shapes.map(({ batch, sequence, answers }) => ({
    batch: Math.min(batch, lines),
    sequence,
    answers: Math.ceil((answers * Math.min(1, lines / batch)) / 8) * 8,
  }));
  return { ...run, shapes };
}

/** What fits of a run that does not: fewer lines of a batch, or else another way to train. */
function advice(run: PlannedRun, limit: number): string {
  const fits = (some: PlannedRun) => planMemory(some).peak <= limit;
  let [most, tooMany] = [0, Math.max(...run.shapes.map(({ batch }) => batch))];
  while (tooMany - most > 1) {
    const lines = (most + tooMany) >> 1;
    if (fits(withLines(run, lines))) most = lines;
    else tooMany = lines;
  }
  if (most > 0) {
    const tokens = Math.max(...withLines(run, most).shapes.map(({ batch, sequence }) => batch * sequence));
    return `the largest batchTokens that fits is ${tokens}`;
  }
  const { spec } = run;
  const one = withLines(run, 1);
  const lora = { name: 'lora', rank: 8, alpha: 16 } as const;
  const others: [string, Partial<PlannedRun['spec']>][] = [
    ...recomputes
      .slice(recomputes.indexOf(spec.recompute) + 1)
      .map((recompute): [string, Partial<PlannedRun['spec']>] => [`recompute: ${recompute}`, { recompute }]),
    ...(spec.method.name === 'full'
      ? ([
          ['method: lora', { method: lora }],
          ['method: lora with baseCompute: int4', { method: { ...lora, baseCompute: 'int4' } }],
        ] as [string, Partial<PlannedRun['spec']>][])
      : ([
          ['baseCompute: int4', { method: { ...spec.method, baseCompute: 'int4' } }],
          [
            'baseCompute: int4 with recompute: blocks',
            { method: { ...spec.method, baseCompute: 'int4' }, recompute: 'blocks' },
          ],
        ] as [string, Partial<PlannedRun['spec']>][])),
  ];
  const needs = others.map(([name, change]) => {
    const { peak } = planMemory({ ...one, spec: { ...spec, ...change } });
    return `${name} ${mib(peak)}`;
  });
  return `no batchTokens fits; a batch of one line would need, MiB: as it is ${mib(planMemory(one).peak)}, with ${needs.join(', ')}`;
}

/** Why a run of this plan does not fit into `limit` bytes, and what would; undefined where it fits. */
export function shortage(run: PlannedRun, plan: MemoryPlan, limit: number): string | undefined {
  if (plan.peak <= limit) return undefined;
  return `the run would need ${planText(plan)}, has ${mib(limit)} MiB; ${advice(run, limit)}`;
}

/** @throws ResourceExhausted with the plan and what would fit, where the run needs more than `limit` bytes. */
export function checkMemory(run: PlannedRun, limit: number): MemoryPlan {
  const plan = planMemory(run);
  const missing = shortage(run, plan, limit);
  if (missing === undefined) return plan;
  throw new ResourceExhausted(`out of memory: ${missing}`);
}

/** What went wrong with a run of this plan: memory that the runtime did not get is told with the plan. */
export function withPlan(error: unknown, plan: MemoryPlan): unknown {
  if (!(error instanceof ResourceExhausted) || !error.message.startsWith('out of memory')) return error;
  return new ResourceExhausted(
    `${error.message}; planned were ${planText(plan)}: a lower memoryLimitMiB refuses what does not fit before it runs`,
    { cause: error },
  );
}
