/** What an optimizer is: a graph from a weight, its gradient and its state to the next ones. */

import type { Shape, Value } from '@emotune/graph';
import type { Parameter } from '@emotune/models';

interface UpdateInputs {
  readonly weight: Value;
  /** After clipping. */
  readonly gradient: Value;
  /** By the names of `state`. */
  readonly state: Readonly<Record<string, Value>>;
  /** Scalar. */
  readonly rate: Value;
  /** By the names of `scalars`. */
  readonly scalars: Readonly<Record<string, Value>>;
  /** Decoupled. */
  readonly weightDecay: number;
}

export interface Optimizer {
  /** An element's next values hang on its own alone. */
  readonly elementwise: boolean;
  /** What is kept beside a weight, by name; it starts at zero. */
  state(parameter: Parameter): Readonly<Record<string, Shape>>;
  /** What changes with the updates made, besides the rate. `update` counts from 1. */
  scalars(update: number): Readonly<Record<string, number>>;
  update(inputs: UpdateInputs): { readonly weight: Value; readonly state: Readonly<Record<string, Value>> };
}
