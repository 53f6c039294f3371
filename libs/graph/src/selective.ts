import * as b from './build.js';
import { isLeaf, topological, type Value } from './ir.js';
import { rowOf, traitsOf } from './ops.js';

/** What of the forward pass `order` the nodes of `gradients` read. A kernel's `Saved` output is there without its value. */
function readBy(gradients: readonly Value[], order: readonly Value[]): Set<Value> {
  const forward = new Set(order);
  const read = new Set<Value>();
  for (const value of topological(gradients))
    if (!forward.has(value) && value.op !== 'Saved')
      for (const x of value.inputs) if (forward.has(x)) read.add(x);
  for (const value of [...order].reverse())
    if (read.has(value) && traitsOf(value).view) read.add(value.inputs[0]);
  return read;
}

/** Those of the forward pass that cheap ops make of what is kept anyway. */
function cheaplyComputed(order: readonly Value[], kept: Set<Value>): Set<Value> {
  const again = new Set<Value>();
  for (const value of order) {
    if (!traitsOf(value).cheap || !value.inputs.every((x) => isLeaf(x) || kept.has(x) || again.has(x)))
      continue;
    // A view of what is kept takes no memory.
    if (traitsOf(value).view && !again.has(value.inputs[0])) kept.add(value);
    else again.add(value);
  }
  return again;
}

/** `selective` of `recompute.ts`. */
export class SelectiveRecomputation {
  private readonly forward: ReadonlySet<Value>;
  private readonly cheap: ReadonlySet<Value>;
  private readonly again = new Map<Value, Value>();
  private readonly written = new Map<Value, Value>();

  /** `order`: the values of the forward pass, inputs before users; `gradients`: those that keep everything. */
  constructor(order: readonly Value[], gradients: readonly Value[]) {
    this.forward = new Set(order);
    this.cheap = cheaplyComputed(order, readBy(gradients, order));
  }

  vjp(value: Value, dy: Value): readonly (Value | undefined)[] {
    return rowOf(value.op).vjp!(b, value, dy).map((dx) => dx && this.rewritten(dx, dy));
  }

  /** A node of the backward pass that reads what is computed again instead of what was. */
  private rewritten(value: Value, dy: Value): Value {
    if (this.forward.has(value)) return this.computed(value, dy);
    const known = this.written.get(value);
    if (known) return known;
    const inputs = value.op === 'Saved' ? value.inputs : value.inputs.map((x) => this.rewritten(x, dy));
    const made = inputs.every((x, i) => x === value.inputs[i]) ? value : { ...value, inputs };
    this.written.set(value, made);
    this.written.set(made, made);
    return made;
  }

  /** A value of the forward pass: itself where it is kept, else once more, after the first gradient that asks for it. */
  private computed(value: Value, dy: Value): Value {
    if (!this.cheap.has(value)) return value;
    const known = this.again.get(value);
    if (known) return known;
    const inputs = value.inputs.map((x) => this.computed(x, dy));
    if (inputs.every((x, i) => x === value.inputs[i])) {
      const tied = Math.max(
        0,
        inputs.findIndex((x) => !isLeaf(x)),
      );
      inputs[tied] = b.after(inputs[tied], dy);
    }
    const made = { ...value, inputs };
    this.again.set(value, made);
    return made;
  }
}
