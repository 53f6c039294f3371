/** What a method that perturbs is made of: its settings, and how one micro-batch passes through the model. */
import type { Rng } from '@emotune/base';
import type { HostTensor } from '@emotune/engine';
import type { Batch, Feeds } from '../batches.js';
import type { Extent } from './perturbation.js';

export interface RunOptions {
  /** Added to the token embeddings, [N, width]; absent adds nothing. */
  readonly delta?: Float32Array;
  /** Weight of the answers' loss; 1. */
  readonly answers?: number;
  /** Weight of the consistency with the run remembered under this name. */
  readonly consistency?: { readonly with: string; readonly weight: number };
  /** Runs of equal draw have equal masks of dropout and mixout; 0. */
  readonly draw?: number;
  /** Other feeds than the batch's own. */
  readonly feeds?: Readonly<Record<string, HostTensor>>;
}

/** One micro-batch, and the runs that a method can ask of it. Gradients add up over runs. */
export interface Pass {
  readonly batch: Batch;
  readonly feeds: Feeds;
  readonly extent: Extent;
  /** The stream of that name for this micro-batch. */
  random(name: string): Rng;
  /**
   * Forward and backward: gradients of the weights are added up. `loss`: of the answers, a mean over their tokens; with
   * `remember`, log-probabilities are kept under that name; `deltaGradient` [N, width] where the method takes a delta.
   */
  learn(options?: RunOptions & { readonly remember?: string }): Promise<{
    loss: number;
    deltaGradient: Float32Array;
  }>;
  /** Forward, and backward to the embeddings only: the gradient of the micro-batch's own mean, not of its share. */
  ascend(options: RunOptions): Promise<Float32Array>;
  /** Forward only: the answers' log-probabilities are kept under that name; with `average`, those of the averaged weights. */
  remember(name: string, options?: RunOptions & { readonly average?: boolean }): Promise<void>;
}

/** Which inputs the graphs of a method have. */
interface Needs {
  readonly delta?: boolean;
  readonly consistency?: boolean;
  readonly mixup?: boolean;
}

export interface Perturbation<Settings> {
  readonly needs: Needs;
  /** It asks for `ascend`. */
  readonly ascends?: boolean;
  /** One micro-batch: runs whose gradients add up to the objective's. Returns the mean loss of the answers' tokens, nats. */
  pass(pass: Pass, settings: Settings): Promise<number>;
}
