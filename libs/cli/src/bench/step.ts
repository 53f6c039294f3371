/** Whole optimizer steps as a trainer does them: batch, forward, backward, clipping, AdamW. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { InvalidArgument, Rng } from '@emotune/base';
import { type Recompute, sizeOf } from '@emotune/graph';
import { type Method, type Model, methodSettings, modelParameters } from '@emotune/models';
import { type Row, train, trainSpec } from '@emotune/training';
import { gemmGflops } from './gemm.js';
import { modelOfShape } from './model-folder.js';
import { linearProducts, type StepShape, stepFlops } from './step-flops.js';
import { median } from './timing.js';

export interface StepWorkload extends StepShape {
  /** Checkpoint folder, or one with config.json alone. */
  readonly folder: string;
  readonly method: 'full' | 'lora';
  readonly threads: number;
  /** That are counted. */
  readonly steps: number;
  readonly recompute: Recompute;
  readonly signal: AbortSignal;
}

export interface StepFigures extends StepShape {
  readonly model: string;
  /** Weights of the model. */
  readonly parameters: number;
  readonly method: 'full' | 'lora';
  readonly threads: number;
  readonly steps: number;
  readonly recompute: Recompute;
  readonly tokensPerSecond: number;
  /** Of the whole process until the last step. */
  readonly peakMemoryMiB: number;
  /** With recomputation: what it saves of the peak without, and the time that it adds as a share of the time without. */
  readonly savedMemoryMiB?: number;
  readonly recomputeTime?: number;
  /** What the model asks for (`stepFlops`), 10⁹ operations per second. */
  readonly gflops: number;
  /** The runtime's own rate of products of these shapes. */
  readonly gemmGflops: number;
}

/** Compilation, and runs in which the runtime finds out how much memory it needs. */
export const uncountedSteps = 3;
export const lora = { rank: 8, alpha: 16 };

/** Of the physical memory. */
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

/** One run of the training loop, which takes the model's weights. */
async function measured(
  model: Model,
  workload: StepWorkload,
  recompute: Recompute,
): Promise<{ seconds: number; peakMemoryMiB: number }> {
  const { batch, sequence, threads, steps, signal } = workload;
  const tokens = batch * sequence;
  const spec = trainSpec.parse({
    method: methodOf(workload),
    optimizer: { learningRate: 1e-4, weightDecay: 0.01 },
    stages: [{ tasks: ['random'], tokens: (uncountedSteps + steps) * tokens }],
    // Graphs are made for multiples of 8 tokens.
    batchTokens: batch * 8 * Math.ceil(sequence / 8),
    recompute,
    seed: 1,
    threads,
  });
  const ends = [0];
  await train(model, { train: randomRows(workload, model.config.vocabSize), validation: [] }, spec, {
    onMeasurement: ({ seconds }) => {
      ends.push(seconds);
      return undefined;
    },
    signal,
    takeWeights: true,
  });
  const each = ends.slice(1).map((end, i) => end - ends[i]);
  return { seconds: median(each.slice(uncountedSteps)), peakMemoryMiB: await peakMemoryMiB() };
}

function methodOf({ method }: StepWorkload): Method {
  return methodSettings.parse(method === 'full' ? { name: 'full' } : { name: 'lora', ...lora });
}

/** @throws InvalidArgument when the model cannot take such rows, and as `modelOfShape`. */
export async function benchStep(workload: StepWorkload): Promise<StepFigures> {
  const { folder, batch, sequence, answers, threads, steps, recompute, signal } = workload;
  if (answers >= sequence)
    throw InvalidArgument.at('--answers', `expected at most ${sequence - 1} of ${sequence}, got ${answers}`);
  const model = await modelOfShape(folder);
  const { config } = model;
  if (config.family !== 'bloom' && sequence > config.maxPositions)
    throw InvalidArgument.at('--sequence', `expected at most ${config.maxPositions}, got ${sequence}`);
  const { seconds, peakMemoryMiB } = await measured(model, workload, recompute);
  // Keeping everything needs more memory: the peak that the process has reached by then is its own.
  const kept =
    recompute === 'none' ? undefined : await measured(await modelOfShape(folder), workload, 'none');
  return {
    model: basename(folder),
    parameters: modelParameters(config).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    method: workload.method,
    batch,
    sequence,
    answers,
    threads,
    steps,
    recompute,
    tokensPerSecond: (batch * sequence) / seconds,
    peakMemoryMiB,
    ...(kept
      ? {
          savedMemoryMiB: kept.peakMemoryMiB - peakMemoryMiB,
          recomputeTime: seconds / kept.seconds - 1,
        }
      : {}),
    gflops: stepFlops(config, methodOf(workload), workload) / seconds / 1e9,
    gemmGflops: await gemmGflops(linearProducts(config, workload), threads, signal),
  };
}
