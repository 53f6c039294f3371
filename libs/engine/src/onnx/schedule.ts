/**
 * When each value of a graph is computed, and how much memory that needs. ONNX Runtime visits the graph backwards and
 * depth first, from the last node that nothing reads to the first, and at each node from its last input to its first;
 * a node runs once all its inputs did. So the order in which nodes are listed decides what is alive together.
 */
import { bytesOf, isLeaf, listed, traitsOf, type Value } from '@emotune/graph';
import { Arena, type Chunk } from './arena.js';

/** The order in which the runtime computes the values of a graph; inputs and constants are not computed. */
export function executionOrder(outputs: readonly Value[]): Value[] {
  const list = listed(outputs);
  const index = new Map(list.map((value, i) => [value, i]));
  const used = new Set(list.flatMap((value) => value.inputs));
  const stack = list.filter((value) => !used.has(value)).map((value) => ({ value, entered: false }));
  const order: Value[] = [];
  const seen = new Set<Value>();
  // What a kernel saves is there as soon as its output.
  const saved = Map.groupBy(
    list.filter(({ op }) => op === 'Saved'),
    ({ inputs }) => inputs[0],
  );
  while (stack.length > 0) {
    const { value, entered } = stack.pop()!;
    if (entered) {
      if (value.op !== 'Saved') order.push(value, ...(saved.get(value) ?? []));
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

export interface Liveness {
  /** Largest sum of what is alive at once, bytes: values computed, without inputs and constants. */
  readonly peak: number;
  /** Bytes alive after each value. */
  readonly alive: readonly number[];
}

/** A stretch of memory, and the steps at which it is taken and given back. */
interface Buffer {
  readonly bytes: number;
  readonly from: number;
  to: number;
}

/**
 * What the runtime allocates for values computed in this order. It plans ahead: a buffer that nothing reads any more is
 * used again for the next value of the same shape, and is held until then. So each shape needs as many buffers as there
 * were ever alive of it, also while other shapes are at their own peak. Outputs stay to the end.
 */
function buffersOf(order: readonly Value[], outputs: readonly Value[]): Buffer[] {
  const kept = new Set(outputs);
  const step = new Map(order.map((value, i) => [value, i]));
  /** How many reads of a place are to come, and the value whose shape it has. */
  interface Place {
    readonly first: Value;
    readonly buffer: Buffer;
    reads: number;
  }
  const places = new Map<Value, Place>();
  const reads = new Map<Value, number>();
  for (const value of order) for (const x of new Set(value.inputs)) reads.set(x, (reads.get(x) ?? 0) + 1);
  const buffers: Buffer[] = [];
  const spare = new Map<string, Place[]>();
  const shapeOf = ({ dtype, shape }: Value) => `${dtype} ${shape}`;
  const take = (bytes: number, from: number, to: number): Buffer => {
    const buffer = { bytes, from, to };
    buffers.push(buffer);
    return buffer;
  };
  for (const [i, value] of order.entries()) {
    const inputs = [...new Set(value.inputs)];
    const joined = (place: Place) => {
      place.reads += reads.get(value) ?? 0;
      places.set(value, place);
    };
    const { view, inPlace, scratch } = traitsOf(value);
    const shared = view ? places.get(value.inputs[0]) : undefined;
    const overwritten = inPlace
      ? inputs.map((x) => places.get(x)).find((x) => x?.reads === 1 && shapeOf(x.first) === shapeOf(value))
      : undefined;
    if (kept.has(value)) {
      const place = {
        first: value,
        buffer: take(bytesOf(value), i, order.length),
        reads: Number.POSITIVE_INFINITY,
      };
      places.set(value, place);
    } else if (shared && shared.reads !== Number.POSITIVE_INFINITY) joined(shared);
    else if (overwritten) joined(overwritten);
    else if (!view || shared) {
      const old = spare.get(shapeOf(value))?.pop();
      joined({ first: value, buffer: old?.buffer ?? take(bytesOf(value), i, i), reads: 0 });
    }
    const besides = scratch?.(value) ?? 0;
    if (besides > 0) take(besides, i, i);
    for (const x of inputs) {
      const place = places.get(x);
      if (!place) continue;
      place.buffer.to = Math.max(place.buffer.to, step.get(value)!);
      if (--place.reads > 0) continue;
      const key = shapeOf(place.first);
      if (!spare.has(key)) spare.set(key, []);
      spare.get(key)!.push(place);
    }
  }
  return buffers;
}

/** Calls back in the order of the steps: at each step first what is taken, then what is given back. */
function replay(
  buffers: readonly Buffer[],
  steps: number,
  memory: { take(buffer: Buffer): void; give(buffer: Buffer): void; done?(): void },
): void {
  const ends: Buffer[][] = Array.from({ length: steps + 1 }, () => []);
  let next = 0;
  for (let i = 0; i < steps; i++) {
    for (; next < buffers.length && buffers[next].from === i; next++) {
      memory.take(buffers[next]);
      ends[buffers[next].to].push(buffers[next]);
    }
    for (const buffer of ends[i]) memory.give(buffer);
    memory.done?.();
  }
  for (const buffer of ends[steps]) memory.give(buffer);
}

/** Memory of values computed in this order. */
export function liveness(order: readonly Value[], outputs: readonly Value[]): Liveness {
  let now = 0;
  let peak = 0;
  const alive: number[] = [];
  replay(buffersOf(order, outputs), order.length, {
    take: ({ bytes }) => {
      now += bytes;
      peak = Math.max(peak, now);
    },
    give: ({ bytes }) => {
      now -= bytes;
    },
    done: () => alive.push(now),
  });
  return { peak, alive };
}

/**
 * What the runtime's arena takes from the system for these values, bytes: it does not find room for each in the gaps that
 * others left. The second run finds the arena as the first left it. Outputs lie elsewhere, where the caller wants them.
 */
export function arenaBytes(order: readonly Value[], outputs: readonly Value[]): number {
  const arena = new Arena();
  const buffers = buffersOf(order, outputs).filter(({ to }) => to < order.length);
  for (let run = 0; run < 2; run++) {
    const chunks = new Map<Buffer, Chunk>();
    replay(buffers, order.length, {
      take: (buffer) => chunks.set(buffer, arena.take(buffer.bytes)),
      give: (buffer) => arena.give(chunks.get(buffer)!),
    });
  }
  return arena.touched();
}
