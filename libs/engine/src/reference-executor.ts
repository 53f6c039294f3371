/**
 * An executor that interprets graphs by the op table's float64 reference: slow, and with nothing of a runtime's own. What the
 * port asks for beyond this would be one runtime's. Has no float16.
 */
import { FailedPrecondition, Internal, InvalidArgument } from '@emotune/base';
import { bytesOf, type DType, evaluate, isLeaf, listed, sizeOf, type Value } from '@emotune/graph';
import { checkRun, checkSweep } from './check-io.js';
import type {
  Executor,
  ExecutorMemory,
  GraphMemory,
  Outputs,
  Program,
  RunIO,
  SlotPart,
  SweepGraph,
  SweepIO,
  SweepProgram,
} from './executor.js';
import { checkPart, programOf } from './interpreting.js';
import { bool, float32, type HostTensor, int8, int64, release, uint8 } from './tensor.js';

const noHalves = () => InvalidArgument.at('dtype', 'expected no float16');

const tensorOf: Readonly<Record<DType, (shape: readonly number[], data: Float64Array) => HostTensor>> = {
  float32,
  float16: () => {
    throw noHalves();
  },
  int64,
  int8: (shape, data) => int8(shape, Int8Array.from(data)),
  uint8: (shape, data) => uint8(shape, Uint8Array.from(data)),
  bool: (shape, data) => bool(shape, Uint8Array.from(data)),
};

function numbersOf({ dtype, data }: HostTensor): number[] {
  if (dtype === 'float16') throw noHalves();
  return Array.from(data, Number);
}

function copyOf({ dtype, shape, data }: HostTensor): HostTensor {
  return { dtype, shape: [...shape], data: data.slice() };
}

/** Every value is there to the end of a run, and nothing stays. */
function followed(outputs: Outputs): GraphMemory {
  const computed = listed(Object.values(outputs)).filter((value) => !isLeaf(value));
  const running = computed.reduce((sum, value) => sum + bytesOf(value), 0);
  return { compiled: 0, running, replacing: running, kept: running };
}

const memory: ExecutorMemory = { base: 0, of: followed, ofSweep: (graph, n) => followed(graph(n)) };

export class ReferenceExecutor implements Executor {
  readonly memory = memory;
  private readonly slots = new Map<string, HostTensor>();
  private readonly held = new Set<string>();
  private readonly graphs = new Map<Program, Outputs>();
  private closed = false;

  private open(): void {
    if (this.closed) throw new FailedPrecondition('the executor is closed');
  }

  private graphOf(program: Program): Outputs {
    const graph = this.graphs.get(program);
    if (!graph) throw InvalidArgument.at('program', 'expected a program of this executor');
    return graph;
  }

  private slot(name: string): HostTensor {
    this.open();
    const tensor = this.slots.get(name);
    if (!tensor) throw new Internal(`expected a slot that was filled, got "${name}"`);
    return tensor;
  }

  async compile(outputs: Outputs): Promise<Program> {
    this.open();
    const program = programOf(outputs, this.held);
    this.graphs.set(program, outputs);
    return program;
  }

  async compileSweep(graph: SweepGraph, elements: number): Promise<SweepProgram> {
    const outputs = graph(elements);
    const program: SweepProgram = { ...(await this.compile(outputs)), swept: true };
    this.graphs.set(program, outputs);
    return program;
  }

  async release(program: Program): Promise<void> {
    this.graphOf(program);
    this.graphs.delete(program);
  }

  async put(slot: string, tensor: HostTensor, { move = false } = {}): Promise<void> {
    this.open();
    const { dtype, shape, data } = tensor;
    this.slots.set(slot, copyOf({ dtype, shape, data }));
    if (move && data.byteLength === data.buffer.byteLength) release(tensor);
  }

  async hold(name: string, tensor: HostTensor, options: { move?: boolean } = {}): Promise<void> {
    await this.put(name, tensor, options);
    this.held.add(name);
  }

  async get(slot: string): Promise<HostTensor> {
    return copyOf(this.slot(slot));
  }

  async take(slot: string): Promise<HostTensor> {
    const tensor = this.slot(slot);
    this.slots.delete(slot);
    return tensor;
  }

  async drop(slot: string): Promise<void> {
    this.open();
    this.slots.delete(slot);
  }

  private computed(graph: Outputs, names: readonly string[], given: ReadonlyMap<string, HostTensor>) {
    const feeds = Object.fromEntries([...given].map(([name, tensor]) => [name, numbersOf(tensor)]));
    for (const name of this.held) feeds[name] ??= numbersOf(this.slot(name));
    const values: Value[] = names.map((name) => graph[name]);
    const results = evaluate(values, feeds);
    return new Map(
      names.map((name, i) => [name, tensorOf[values[i].dtype](values[i].shape, results[i].data)]),
    );
  }

  async run(program: Program, io: RunIO): Promise<Record<string, HostTensor>> {
    checkRun(program, io);
    const { feeds, from = {}, to = {}, into = {}, fetch } = io;
    const given = new Map([
      ...Object.entries(feeds),
      ...Object.entries(from).map(([name, slot]) => [name, this.slot(slot)] as const),
    ]);
    const names = [...new Set([...fetch, ...Object.keys(to), ...Object.keys(into)])];
    const results = this.computed(this.graphOf(program), names, given);
    for (const [name, part] of Object.entries(into)) this.write(part, results.get(name)!);
    for (const [name, slot] of Object.entries(to)) this.slots.set(slot, results.get(name)!);
    return Object.fromEntries(fetch.map((name) => [name, copyOf(results.get(name)!)]));
  }

  private write(part: SlotPart, source: HostTensor): void {
    const { slot, axis, at } = part;
    const target = this.slot(slot);
    checkPart(part, target, source);
    const inner = sizeOf(source.shape.slice(axis + 1));
    const block = source.shape[axis] * inner;
    const [written, read] = [target.data as Float32Array, source.data as Float32Array];
    for (let done = 0; done < read.length; done += block)
      written.set(
        read.subarray(done, done + block),
        (done / block) * target.shape[axis] * inner + at * inner,
      );
  }

  /** In one piece where the slots together are not longer than the program's vectors, else piece by piece. */
  async sweep(program: SweepProgram, io: SweepIO): Promise<Record<string, Float32Array>> {
    checkSweep(program, io);
    const graph = this.graphOf(program);
    const lanes = [...Object.entries(io.from), ...Object.entries(io.to)].map(([name, slots]) => ({
      name,
      tensors: slots.map((slot) => this.slot(slot)),
    }));
    const sizes = lanes[0].tensors.map(({ data }) => data.length);
    for (const { name, tensors } of lanes) {
      const own = tensors.map(({ data }) => data.length);
      if (String(own) !== String(sizes))
        throw new Internal(`expected slots of [${sizes}] elements for "${name}", got [${own}]`);
    }
    const [n] = program.inputs[lanes[0].name].shape;
    const all = sizes.reduce((sum, size) => sum + size, 0);
    const end = (slots: readonly HostTensor[]) =>
      Float32Array.from(slots.flatMap(({ data }) => [...data] as number[]));
    const ends = new Map(lanes.map(({ name, tensors }) => [name, end(tensors)]));
    const scalars: Record<string, number[]> = Object.fromEntries(io.fetch.map((name) => [name, []]));
    for (let begin = 0; begin < all; begin += n) {
      const given = new Map(Object.entries(io.feeds));
      for (const name of Object.keys(io.from)) {
        const piece = new Float32Array(n);
        piece.set(ends.get(name)!.subarray(begin, begin + n));
        given.set(name, float32([n], piece));
      }
      const results = this.computed(graph, [...Object.keys(io.to), ...io.fetch], given);
      for (const name of Object.keys(io.to)) {
        const made = results.get(name)!.data as Float32Array;
        ends.get(name)!.set(made.subarray(0, Math.min(n, all - begin)), begin);
      }
      for (const name of io.fetch) scalars[name].push(Number(results.get(name)!.data[0]));
    }
    for (const [name, slots] of Object.entries(io.to)) {
      let begin = 0;
      for (const slot of slots) {
        const { data } = this.slot(slot);
        (data as Float32Array).set(ends.get(name)!.subarray(begin, begin + data.length));
        begin += data.length;
      }
    }
    return Object.fromEntries(io.fetch.map((name) => [name, Float32Array.from(scalars[name])]));
  }

  async close(): Promise<void> {
    this.closed = true;
    this.slots.clear();
    this.graphs.clear();
  }
}
