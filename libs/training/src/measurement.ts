/** What a run tells of itself, and what it is told in answer. */
import type { Forgetting } from './curriculum.js';

export interface Validated {
  /** Mean over rows of the negative log-likelihood of the whole answer, nats. */
  readonly objective: number;
  /** The same over the rows of each task. */
  readonly objectives: Readonly<Record<string, number>>;
}

/** What was measured after a step (or, with an objective, at a validation). */
export interface Measurement extends Partial<Validated> {
  readonly step: number;
  /** Tokens trained on, padding not counted. */
  readonly tokens: number;
  /** Rows trained on. */
  readonly examples: number;
  readonly totalTokens: number;
  readonly seconds: number;
  readonly stage: number;
  /** Mean over the step's answer tokens, nats. */
  readonly trainLoss: number;
  readonly learningRate: number;
  /** The gradient's norm before clipping; 0 where the step was skipped because its scaled gradient was not finite. */
  readonly gradientNorm: number;
  /** At the end of a stage that follows others: what they taught and is left. */
  readonly forgetting?: Forgetting;
}

export type Directive = 'continue' | 'checkpoint' | 'stop';

/** What is known of a run beside its tensors. */
export interface Summary {
  readonly best: { readonly objective: number; readonly tokens: number; readonly step: number } | null;
  readonly step: number;
  readonly tokens: number;
  /** Rows trained on. */
  readonly examples: number;
  readonly seconds: number;
  /** The speed of this process, without validation and checkpoints. */
  readonly tokensPerSecond: number;
  /** Why it ended before its tokens were used up. */
  readonly stopped: 'patience' | 'directive' | null;
  /** After the last stage whose end was measured, where it follows others. */
  readonly forgetting: Forgetting | null;
}
