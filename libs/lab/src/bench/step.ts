/** Whole optimizer steps as a trainer does them: batch, forward, backward, clipping, AdamW. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { InvalidArgument, Rng, systemClock } from '@emotune/base';
import type { Device } from '@emotune/engine';
import { type Recompute, sizeOf } from '@emotune/graph';
import {
  type BaseCompute,
  loadModel,
  longestRow,
  type Method,
  type Model,
  type ModelConfig,
  methodSettings,
  modelParameters,
} from '@emotune/models';
import { type Row, train, trainSpec, withExecutor } from '@emotune/training';
import { gemmGflops } from './gemm.js';
import { withCheckpoint } from './model-folder.js';
import { type NodeKind, nodeKinds } from './profile.js';
import { linearProducts, type StepShape, stepFlops } from './step-flops.js';
import { median } from './timing.js';

export interface StepWorkload extends StepShape {
  /** Checkpoint folder, or one with config.json alone. */
  readonly folder: string;
  readonly method: 'full' | 'lora';
  readonly device: Device;
  readonly threads: number;
  /** That are counted. */
  readonly steps: number;
  /** Also run without, to compare; default: `selective`, alone. */
  readonly recompute?: Recompute | undefined;
  /** How LoRA's frozen base is multiplied. */
  readonly baseCompute: BaseCompute;
  /** A folder of feature shards whose train rows are used instead of random ones, packed into such batches. */
  readonly features?: string | undefined;
  /** Time every node too, in steps of their own. */
  readonly profile: boolean;
  readonly signal: AbortSignal;
}

export interface StepFigures extends StepShape {
  readonly model: string;
  /** Weights of the model. */
  readonly parameters: number;
  readonly method: 'full' | 'lora';
  readonly device: Device;
  readonly threads: number;
  readonly steps: number;
  readonly recompute: Recompute;
  readonly baseCompute: BaseCompute;
  /** Rows and their mean length, where they are not random. */
  readonly rows?: { readonly count: number; readonly meanTokens: number };
  /** Padding not counted. */
  readonly tokensPerSecond: number;
  /** The peak of the whole process until the last step. */
  readonly peakMemoryMiB: number;
  /** With recomputation: what it saves of the peak without, and the time that it adds as a share of the time without. */
  readonly savedMemoryMiB?: number;
  readonly recomputeTime?: number;
  /** What the model asks for (`stepFlops`), 10⁹ operations per second. */
  readonly gflops: number;
  /** The runtime's own rate of products of these shapes. */
  readonly gemmGflops: number;
  readonly profile?: readonly NodeKind[];
}

/** Compilation, and runs in which the runtime finds out how much memory it needs. */
export const uncountedSteps = 3;
const profiledSteps = 5;
export const lora = { rank: 8, alpha: 16 };

/** The peak of the physical memory of this process. */
async function peakMemoryMiB(): Promise<number> {
  // Linux counts what the parent process held before the program was started into resourceUsage().
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Number(kib) / 1024;
}

function randomRows({ batch, sequence, answers }: StepShape, vocabSize: number): Row[] {
  const rng = Rng.of(1, 'bench step');
  return Array.from({ length: 4 * batch }, (_, i) => ({
    id: `${i}`,
    task: 'random',
    tokens: Int32Array.from({ length: sequence }, () => rng.int(vocabSize)),
    answerStart: sequence - answers,
  }));
}

async function rowsOf(workload: StepWorkload, config: ModelConfig): Promise<Row[]> {
  if (workload.features === undefined) return randomRows(workload, config.vocabSize);
  const { checkRows, readRows } = await import('@emotune/trainer');
  const rows = await readRows(workload.features, ['train']);
  checkRows(rows, config);
  return rows.map((row) => ({ ...row, task: 'bench' }));
}

interface Measured {
  readonly tokensPerSecond: number;
  readonly peakMemoryMiB: number;
}

/** One run of the training loop, which takes the model's weights. */
async function measured(
  model: Model,
  rows: readonly Row[],
  workload: StepWorkload,
  options: { readonly recompute: Recompute; readonly profile?: string },
): Promise<Measured> {
  const { batch, sequence, threads, steps, signal } = workload;
  const spec = trainSpec.parse({
    method: methodOf(workload),
    optimizer: { learningRate: 1e-4, weightDecay: 0.01 },
    stages: [{ tasks: [rows[0].task], tokens: (uncountedSteps + steps) * batch * sequence }],
    // Graphs are made for multiples of 8 tokens.
    batchTokens: batch * 8 * Math.ceil(sequence / 8),
    recompute: options.recompute,
    seed: 1,
    threads,
  });
  const ends = [{ seconds: 0, tokens: 0 }];
  await withExecutor({ device: workload.device, threads, profile: options.profile }, (executor) =>
    train({
      executor,
      clock: systemClock,
      model,
      rows: { train: rows, validation: [] },
      spec,
      onMeasurement: ({ seconds, tokens }) => {
        ends.push({ seconds, tokens });
        return ends.length > uncountedSteps + steps ? 'stop' : 'continue';
      },
      signal,
      takeWeights: true,
    }),
  );
  const rates = ends
    .slice(1)
    .map((end, i) => (end.tokens - ends[i].tokens) / (end.seconds - ends[i].seconds));
  return {
    tokensPerSecond: median(rates.slice(uncountedSteps)),
    peakMemoryMiB: await peakMemoryMiB(),
  };
}

async function profiled(
  model: Model,
  rows: readonly Row[],
  workload: StepWorkload,
  recompute: Recompute,
): Promise<NodeKind[]> {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-profile-'));
  try {
    await measured(model, rows, { ...workload, steps: profiledSteps }, { recompute, profile: folder });
    return await nodeKinds(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function methodOf({ method, baseCompute }: StepWorkload): Method {
  return methodSettings.parse(method === 'full' ? { name: 'full' } : { name: 'lora', ...lora, baseCompute });
}

/** Operations that the model asks for, by token of the rows: see `stepFlops`. */
function flopsPerToken(config: ModelConfig, rows: readonly Row[], workload: StepWorkload): number {
  const method = methodOf(workload);
  let [flops, tokens] = [0, 0];
  for (const row of rows) {
    const sequence = row.tokens.length;
    flops += stepFlops(config, method, { batch: 1, sequence, answers: sequence - row.answerStart });
    tokens += sequence;
  }
  return flops / tokens;
}

/** @throws InvalidArgument when the model cannot take such rows, and as `withCheckpoint`. */
export function benchStep(workload: StepWorkload): Promise<StepFigures> {
  return withCheckpoint(workload.folder, (folder) => stepFigures({ ...workload, folder }));
}

async function stepFigures(workload: StepWorkload): Promise<StepFigures> {
  const { folder, batch, sequence, answers, threads, steps, baseCompute, signal } = workload;
  const recompute = workload.recompute ?? 'selective';
  if (workload.method === 'full' && baseCompute !== 'fp32')
    throw InvalidArgument.at('--base-compute', `expected fp32 with --method full, got ${baseCompute}`);
  if (answers >= sequence)
    throw InvalidArgument.at('--answers', `expected at most ${sequence - 1} of ${sequence}, got ${answers}`);
  const model = await loadModel(folder, { inFiles: true });
  const { config } = model;
  if (sequence > longestRow(config))
    throw InvalidArgument.at('--sequence', `expected at most ${longestRow(config)}, got ${sequence}`);
  const rows = await rowsOf(workload, config);
  const { tokensPerSecond, peakMemoryMiB } = await measured(model, rows, workload, { recompute });
  // Keeping everything needs more memory: the peak that the process has reached by then is its own.
  const kept =
    (workload.recompute ?? 'none') === 'none'
      ? undefined
      : await measured(await loadModel(folder, { inFiles: true }), rows, workload, { recompute: 'none' });
  const profile = workload.profile
    ? await profiled(await loadModel(folder, { inFiles: true }), rows, workload, recompute)
    : undefined;
  const tokens = rows.reduce((sum, row) => sum + row.tokens.length, 0);
  return {
    model: basename(folder),
    parameters: modelParameters(config).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    method: workload.method,
    batch,
    sequence,
    answers,
    device: workload.device,
    threads,
    steps,
    recompute,
    baseCompute,
    ...(workload.features === undefined
      ? {}
      : { rows: { count: rows.length, meanTokens: tokens / rows.length } }),
    tokensPerSecond,
    peakMemoryMiB,
    ...(kept
      ? {
          savedMemoryMiB: kept.peakMemoryMiB - peakMemoryMiB,
          recomputeTime: kept.tokensPerSecond / tokensPerSecond - 1,
        }
      : {}),
    gflops: (flopsPerToken(config, rows, workload) * tokensPerSecond) / 1e9,
    gemmGflops: await gemmGflops(linearProducts(config, workload), threads, signal),
    ...(profile ? { profile } : {}),
  };
}
