/**
 * What trials will take of memory, told from their settings before any row is read: the plan of a run whose batches have
 * the shape that rows of such lengths are packed to. Pure.
 */
import { type ExecutorMemory, memoryOn } from '@emotune/engine';
import type { ModelConfig } from '@emotune/models';
import { paddedLength } from './packing.js';
import { type PlannedRun, planMemory, shortage } from './plan.js';
import type { TrainingSettings } from './settings.js';
import { type TrainSpec, trainSpecOf } from './spec.js';

/** What of the rows decides the shape of batches. */
export interface RowLengths {
  /** Tokens of the longest row. */
  readonly longest: number;
  /** The share of answer tokens among all tokens, from 0 to 1. */
  readonly answerShare: number;
}

/** Which rows come when is nothing to the memory. */
const anyRows = { tasks: ['one', 'other'], validationTokens: 0 };
/** By how much of its peak a plan errs (plan.test.ts). */
const planError = 0.15;

/**
 * Probability that a run with a plan of this peak fits: 1 up to the limit; above it no likelier than not, and 0 from
 * where even the plan's error leaves nothing.
 */
export function chanceToFit(peak: number, limit: number): number {
  return peak <= limit ? 1 : 0.5 * Math.max(0, 1 - (peak / limit - 1) / planError);
}

/**
 * Lines of a batch and ranks of which plans are made: at powers of these. What lies between them errs by up to 2.6 % (180 runs
 * of the three shipped models, with and without a perturbation).
 */
const lineBase = 2;
const rankBase = 16;
const betweenError = 0.03;

/** Numbers of losses, regularisers and optimizers change a graph only by being 0 or not. */
function levelled<T>(settings: T): T {
  const level = (_: string, value: unknown) => (typeof value === 'number' ? Math.sign(value) / 2 : value);
  return JSON.parse(JSON.stringify(settings, level));
}

/** The same for every spec whose plans differ by nothing but lines and LoRA's rank. */
function formOf({ method, optimizer, ema, loss, regularisation, ...spec }: TrainSpec): PlannedRun['spec'] {
  return {
    ...levelled({ optimizer, ema, loss, regularisation }),
    method: method.name === 'lora' ? { ...method, rank: 1, alpha: 1, loraPlusRatio: undefined } : method,
    recompute: spec.recompute,
    gradientAccumulation: Math.min(2, spec.gradientAccumulation),
    ranks: Math.min(2, spec.ranks),
    batchTokens: 0,
  };
}

/** What `of` would give for x, between the powers around it. */
function between(x: number, base: number, of: (power: number) => number): number {
  let low = 1;
  while (low * base <= x) low *= base;
  if (x === low) return of(x);
  const share = (x / low - 1) / (base - 1);
  return (1 - share) * of(low) + share * of(base * low);
}

/** Forecasts the memory of training one base model on one set of rows. */
export class MemoryForecast {
  private readonly peaks = new Map<string, number>();

  /** @param rows Undefined while they are not known: then a run is planned with one short row, the least that it can have. */
  constructor(
    private readonly config: ModelConfig,
    private readonly rows: RowLengths | undefined,
  ) {}

  private linesOf({ batchTokens }: TrainSpec): number {
    return this.rows ? Math.max(1, Math.floor(batchTokens / paddedLength(this.rows.longest))) : 1;
  }

  private runOf(spec: PlannedRun['spec'], batch: number, memory: ExecutorMemory): PlannedRun {
    const sequence = paddedLength(this.rows?.longest ?? 1);
    const answers = paddedLength((this.rows?.answerShare ?? 1) * batch * sequence);
    return {
      memory,
      config: this.config,
      spec,
      shapes: [{ batch, sequence, answers }],
      validates: true,
      checkpoints: true,
      keepsWeights: false,
    };
  }

  /**
   * Peak of a run, bytes, of all its ranks together: not below its plan and at most a few percent above it, from few plans for all values of a search.
   * @throws InvalidArgument naming settings that contradict each other.
   */
  peak(settings: TrainingSettings): number {
    const spec = trainSpecOf(settings, anyRows);
    const { method, device, threads } = spec;
    const form = formOf(spec);
    const key = JSON.stringify([form, device, threads]);
    const peak = between(this.linesOf(spec), lineBase, (lines) =>
      between(method.name === 'lora' ? method.rank : 1, rankBase, (rank) => {
        const at = `${lines} ${rank} ${key}`;
        const known = this.peaks.get(at);
        if (known !== undefined) return known;
        const ranked = form.method.name === 'lora' ? { ...form, method: { ...form.method, rank } } : form;
        const { peak } = planMemory(this.runOf(ranked, lines, memoryOn(device, threads)));
        this.peaks.set(at, peak);
        return peak;
      }),
    );
    return (1 + betweenError) * peak * spec.ranks;
  }

  /**
   * Why a run does not fit into `limit` bytes, with its plan, and what would; undefined where it fits.
   * @throws InvalidArgument naming settings that contradict each other.
   */
  shortage(settings: TrainingSettings, limit: number): string | undefined {
    const spec = trainSpecOf(settings, anyRows);
    const run = this.runOf(spec, this.linesOf(spec), memoryOn(spec.device, spec.threads));
    return shortage(run, planMemory(run), limit / spec.ranks);
  }
}
