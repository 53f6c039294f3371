/**
 * Activation recomputation (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"), also called gradient or
 * activation checkpointing: values of the forward pass that the backward pass reads are computed again instead of being
 * kept. Blocks begin at the values that `build.boundary` marks; n is their number.
 *
 * - `none`: everything that a gradient reads is kept.
 * - `selective`: what cheap ops (`OpRow.cheap`) make of values that are kept anyway is computed again, once, when the
 *   first gradient that reads it has arrived: norms, activations, gates. Products and softmax are never repeated.
 *   Selective recomputation (Korthikanti et al. 2022) with a bound of one pass over memory as the rule of selection.
 * - `blocks`: the input of each block is kept; a block is computed again when the gradient of its output has arrived.
 *   PyTorch's and Hugging Face's gradient checkpointing with one decoder layer as the unit. One more forward pass.
 * - `full`: the input of every ⌈√n⌉-th block is kept. The inputs of the blocks between are computed again when the
 *   gradient reaches their group, and each block a second time as with `blocks`. Up to two more forward passes.
 *
 * `blocks` and `full` always keep the last block, whose gradient comes first, so nothing is won, and values from before the
 * first boundary.
 *
 * What is computed again hangs on the gradient that asks for it (`build.after`): otherwise the runtime might compute it
 * early, or find it equal to the original and merge the two.
 */
import * as b from './build.js';
import type { Value } from './ir.js';
import { rowOf } from './ops.js';
import { SelectiveRecomputation } from './selective.js';

export const recomputes = ['none', 'selective', 'blocks', 'full'] as const;
export type Recompute = (typeof recomputes)[number];

/** The boundary at whose block a value lies, by the order of the boundaries; −1 before the first. */
function blocksOf(order: readonly Value[]): { blockOf: Map<Value, number>; boundaries: Value[] } {
  const blockOf = new Map<Value, number>();
  const boundaries: Value[] = [];
  const begins = new Map<Value, number>();
  for (const value of order) {
    blockOf.set(
      value,
      value.inputs.reduce((block, x) => Math.max(block, begins.get(x) ?? blockOf.get(x)!), -1),
    );
    if (value.boundary) begins.set(value, boundaries.push(value) - 1);
  }
  return { blockOf, boundaries };
}

class BlockRecomputation {
  private readonly blockOf: ReadonlyMap<Value, number>;
  private readonly boundaries: readonly Value[];
  /** Blocks of one group: the input of the first is kept. */
  private readonly group: number;
  private readonly again = new Map<number, (value: Value) => Value>();
  private readonly inputsAgain = new Map<number, (value: Value) => Value>();

  /** `order`: the values of the forward pass, inputs before users. */
  constructor(order: readonly Value[], mode: 'blocks' | 'full') {
    ({ blockOf: this.blockOf, boundaries: this.boundaries } = blocksOf(order));
    this.group = mode === 'full' ? Math.ceil(Math.sqrt(this.boundaries.length)) : 1;
  }

  vjp(value: Value, dy: Value): readonly (Value | undefined)[] {
    return rowOf(value.op).vjp!(b, this.read(value, dy), dy);
  }

  /** What the gradient of a value is written with: the value, or what is computed again in its place after `dy`. */
  private read(value: Value, dy: Value): Value {
    const block = this.blockOf.get(value)!;
    if (block < 0 || block === this.boundaries.length - 1) return value;
    let again = this.again.get(block);
    if (!again) {
      again = this.computeAgain(block, block, b.after(this.inputOf(block, dy), dy));
      this.again.set(block, again);
    }
    return again(value);
  }

  /** The input of a block: kept, or computed again from that of its group. */
  private inputOf(block: number, dy: Value): Value {
    const first = block - (block % this.group);
    if (block === first) return this.boundaries[block];
    let again = this.inputsAgain.get(first);
    if (!again) {
      again = this.computeAgain(first, block - 1, b.after(this.boundaries[first], dy));
      this.inputsAgain.set(first, again);
    }
    return again(this.boundaries[block]);
  }

  /** The values of blocks `first` to `last` computed again, with `input` for that of the first. */
  private computeAgain(first: number, last: number, input: Value): (value: Value) => Value {
    const copies = new Map<Value, Value>([[this.boundaries[first], input]]);
    const copy = (value: Value): Value => {
      const known = copies.get(value);
      if (known) return known;
      const block = this.blockOf.get(value)!;
      const made =
        block < first || block > last || value.inputs.length === 0
          ? value
          : { ...value, inputs: value.inputs.map(copy) };
      copies.set(value, made);
      return made;
    };
    return copy;
  }
}

/**
 * The gradients of a value's inputs from its own. `order`: the values of the forward pass, inputs before users;
 * `keepingAll`: the gradients that are asked for, without recomputation.
 */
export function vjpOf(
  order: readonly Value[],
  mode: Recompute,
  keepingAll: () => readonly Value[],
): (value: Value, dy: Value) => readonly (Value | undefined)[] {
  if (mode === 'none') return (value, dy) => rowOf(value.op).vjp!(b, value, dy);
  const recomputation =
    mode === 'selective'
      ? new SelectiveRecomputation(order, keepingAll())
      : new BlockRecomputation(order, mode);
  return (value, dy) => recomputation.vjp(value, dy);
}
