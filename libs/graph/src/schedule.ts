/**
 * When each value of a graph is computed, and how much memory that needs. ONNX Runtime visits the graph backwards and
 * depth first, from the last node that nothing reads to the first, and at each node from its last input to its first;
 * a node runs once all its inputs did. So the order in which nodes are listed decides what is alive together.
 */
import { type DType, sizeOf, topological, type Value } from './ir.js';

const bytesPerElement: Record<DType, number> = { float32: 4, float16: 2, int64: 8, int8: 1, uint8: 1, bool: 1 };

export function bytesOf({ dtype, shape }: Pick<Value, 'dtype' | 'shape'>): number {
  return sizeOf(shape) * bytesPerElement[dtype];
}

function isLeaf({ op }: Value): boolean {
  return op === 'Input' || op === 'Constant';
}

/** Values in the order in which they are listed in a model: leaves of the graph last, in the order of the outputs. */
export function listed(outputs: readonly Value[]): Value[] {
  const order = topological(outputs);
  const used = new Set(order.flatMap((value) => value.inputs));
  return [...order.filter((value) => used.has(value)), ...order.filter((value) => !used.has(value))];
}

/** The order in which the runtime computes values that are listed so; inputs and constants are not computed. */
export function executionOrder(list: readonly Value[]): Value[] {
  const index = new Map(list.map((value, i) => [value, i]));
  const used = new Set(list.flatMap((value) => value.inputs));
  const stack = list.filter((value) => !used.has(value)).map((value) => ({ value, entered: false }));
  const order: Value[] = [];
  const seen = new Set<Value>();
  while (stack.length > 0) {
    const { value, entered } = stack.pop()!;
    if (entered) {
      order.push(value);
      continue;
    }
    if (seen.has(value) || isLeaf(value)) continue;
    seen.add(value);
    stack.push({ value, entered: true });
    const inputs = [...new Set(value.inputs)].sort((a, b) => index.get(a)! - index.get(b)!);
    for (const x of inputs) if (!seen.has(x)) stack.push({ value: x, entered: false });
  }
  return order;
}

/** Ops whose output is their input's memory under another shape. */
const views = new Set(['Reshape']);
/** Ops that may write their output over an input of the same size that nothing reads afterwards. */
const inPlace = new Set(
  'Add Sub Mul Div Neg Exp Log Sqrt Cos Sin Tanh Sigmoid Relu Softmax LogSoftmax'.split(' '),
);

export interface Liveness {
  /** Largest sum of what is alive at once, bytes: values computed, without inputs and constants. */
  readonly peak: number;
  /** Bytes alive after each value. */
  readonly alive: readonly number[];
}

/** Memory of values computed in this order. Outputs stay to the end. */
export function liveness(order: readonly Value[], outputs: readonly Value[]): Liveness {
  const kept = new Set(outputs);
  /** The value whose memory this one is. */
  const owners = new Map<Value, Value>();
  const ownerOf = (value: Value): Value => owners.get(value) ?? value;
  for (const value of order)
    if (views.has(value.op) && !kept.has(value)) owners.set(value, ownerOf(value.inputs[0]));
  const readers = new Map<Value, number>(outputs.map((value) => [value, 1]));
  for (const value of order) {
    for (const x of new Set(value.inputs.map(ownerOf))) readers.set(x, (readers.get(x) ?? 0) + 1);
  }
  let now = 0;
  let peak = 0;
  const alive: number[] = [];
  for (const value of order) {
    const read = new Set(value.inputs.map(ownerOf));
    const last = [...read].filter((x) => !isLeaf(x) && readers.get(x) === 1);
    const overwritten =
      inPlace.has(value.op) && !kept.has(value)
        ? last.find((x) => bytesOf(x) === bytesOf(value) && !kept.has(x))
        : undefined;
    if (!owners.has(value) && overwritten === undefined) now += bytesOf(value);
    peak = Math.max(peak, now + scratchBytes(value));
    for (const x of read) readers.set(x, readers.get(x)! - 1);
    for (const x of last) if (x !== overwritten) now -= bytesOf(x);
    alive.push(now);
  }
  return { peak, alive };
}

/** What a kernel holds besides its inputs and its output. */
function scratchBytes(value: Value): number {
  return value.op === 'Where' ? 2 * bytesOf(value) : 0;
}
