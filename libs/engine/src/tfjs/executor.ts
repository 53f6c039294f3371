/**
 * Interprets graphs on TensorFlow.js. Slots are tensors of its backend and stay on its device between runs: what is fed goes
 * there, what is fetched comes back. Ops are started one after the other, so the thread is free for others in between.
 */
import { setImmediate } from 'node:timers/promises';
import { FailedPrecondition, Internal, InvalidArgument, ResourceExhausted } from '@emotune/base';
import { type DType, isLeaf, listed, type Shape, sizeOf, type Value } from '@emotune/graph';
import type { Tensor } from '@tensorflow/tfjs-core';
import { checkRun, checkSweep } from '../check-io.js';
import type {
  Executor,
  Outputs,
  Program,
  RunIO,
  SlotPart,
  SweepGraph,
  SweepIO,
  SweepProgram,
} from '../executor.js';
import { checkPart, programOf } from '../interpreting.js';
import { type HostTensor, release } from '../tensor.js';
import { kernelOf } from './kernels.js';
import type { Tfjs } from './load.js';
import { tfjsMemory } from './memory.js';
import { readBy } from './reads.js';
import { toDevice, toHost } from './tensors.js';

/** How long ops are started without asking who else wants the thread, ms. */
const turn = 10;

const outOfMemory = /OOM|out of memory|RESOURCE_EXHAUSTED|failed to allocate|ResourceExhausted/i;

/** A tensor on the device, with the type that the graph knows it by. */
interface Placed {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly tensor: Tensor;
}

/** Values in the order in which they are computed; after each, those that nothing reads any more. */
interface Schedule {
  readonly steps: readonly { readonly value: Value; readonly ended: readonly Value[] }[];
}

function scheduled(outputs: readonly Value[]): Schedule {
  const order = listed(outputs);
  const last = new Map<Value, number>();
  for (const [at, value] of order.entries()) for (const read of [value, ...readBy(value)]) last.set(read, at);
  const ended = order.map((): Value[] => []);
  for (const [value, at] of last) if (!outputs.includes(value)) ended[at].push(value);
  return { steps: order.map((value, at) => ({ value, ended: ended[at] })) };
}

interface Compiled {
  readonly outputs: Outputs;
  readonly schedules: Map<string, Schedule>;
  /** A sweep's graph for vectors of each length that it met. */
  readonly sweeps?: { readonly graph: SweepGraph; readonly byLength: Map<number, Compiled> };
}

export class TfjsExecutor implements Executor {
  readonly memory = tfjsMemory;
  private readonly slots = new Map<string, Placed>();
  private readonly held = new Set<string>();
  private readonly programs = new Map<Program, Compiled>();
  private readonly constants = new Map<Value, Tensor>();
  private queue: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(private readonly tfjs: Tfjs) {}

  /** One call after the other, in the order in which they came. */
  private next<T>(work: () => T | Promise<T>): Promise<T> {
    const mine = this.queue.then(async () => {
      this.mustBeOpen();
      try {
        return await work();
      } catch (error) {
        if (error instanceof Error && outOfMemory.test(error.message))
          throw new ResourceExhausted(`out of memory: ${error.message}`, { cause: error });
        throw error;
      }
    });
    this.queue = mine.catch(() => undefined);
    return mine;
  }

  private mustBeOpen(): void {
    if (this.closed) throw new FailedPrecondition('the executor is closed');
  }

  private compiledOf(program: Program): Compiled {
    const compiled = this.programs.get(program);
    if (!compiled) throw InvalidArgument.at('program', 'expected a program of this executor');
    return compiled;
  }

  private slot(name: string): Placed {
    const placed = this.slots.get(name);
    if (!placed) throw new Internal(`expected a slot that was filled, got "${name}"`);
    return placed;
  }

  private fill(name: string, placed: Placed): void {
    const before = this.slots.get(name);
    this.slots.set(name, placed);
    before?.tensor.dispose();
  }

  compile(outputs: Outputs): Promise<Program> {
    return this.next(() => {
      const program = programOf(outputs, this.held);
      this.programs.set(program, { outputs, schedules: new Map() });
      return program;
    });
  }

  /** A piece is a slot. */
  compileSweep(graph: SweepGraph, elements: number): Promise<SweepProgram> {
    return this.next(() => {
      const outputs = graph(elements);
      const program: SweepProgram = { ...programOf(outputs, this.held), swept: true };
      this.programs.set(program, { outputs, schedules: new Map(), sweeps: { graph, byLength: new Map() } });
      return program;
    });
  }

  release(program: Program): Promise<void> {
    return this.next(() => {
      const { outputs, sweeps } = this.compiledOf(program);
      this.programs.delete(program);
      for (const graph of [outputs, ...[...(sweeps?.byLength.values() ?? [])].map((of) => of.outputs)])
        this.forget(graph);
    });
  }

  private forget(outputs: Outputs): void {
    for (const value of listed(Object.values(outputs))) {
      this.constants.get(value)?.dispose();
      this.constants.delete(value);
    }
  }

  put(slot: string, tensor: HostTensor, { move = false } = {}): Promise<void> {
    const { dtype, shape, data } = tensor;
    const read = { dtype, shape, data };
    // What the caller changes afterwards is not what was put.
    const placed = this.closed ? undefined : this.place(slot, read);
    if (move && data.byteLength === data.buffer.byteLength) release(read);
    return this.next(() => {
      this.fill(slot, placed!);
    });
  }

  private place(name: string, tensor: HostTensor): Placed {
    const { dtype, shape } = tensor;
    return { dtype, shape: [...shape], tensor: toDevice(this.tfjs.tf, name, tensor) };
  }

  hold(name: string, tensor: HostTensor, options: { move?: boolean } = {}): Promise<void> {
    this.held.add(name);
    return this.put(name, tensor, options);
  }

  get(slot: string): Promise<HostTensor> {
    return this.next(() => {
      const { tensor, dtype, shape } = this.slot(slot);
      return toHost(tensor, dtype, shape);
    });
  }

  take(slot: string): Promise<HostTensor> {
    return this.next(async () => {
      const { tensor, dtype, shape } = this.slot(slot);
      const taken = await toHost(tensor, dtype, shape);
      this.slots.delete(slot);
      tensor.dispose();
      return taken;
    });
  }

  drop(slot: string): Promise<void> {
    return this.next(() => {
      this.slots.get(slot)?.tensor.dispose();
      this.slots.delete(slot);
    });
  }

  private constant(value: Value): Tensor {
    let tensor = this.constants.get(value);
    if (!tensor) {
      const { dtype, shape, data } = value;
      tensor = toDevice(this.tfjs.tf, 'constant', { dtype, shape, data: data! });
      this.constants.set(value, tensor);
    }
    return tensor;
  }

  /** The outputs of these names, as tensors that are the caller's. */
  private async computed(
    { outputs, schedules }: Compiled,
    names: readonly string[],
    given: ReadonlyMap<string, Tensor>,
  ): Promise<Map<string, Tensor>> {
    const { tf } = this.tfjs;
    const wanted = names.map((name) => outputs[name]);
    const key = names.join('\n');
    let schedule = schedules.get(key);
    if (!schedule) {
      schedule = scheduled(wanted);
      schedules.set(key, schedule);
    }
    const values = new Map<Value, Tensor>();
    const leaf = (value: Value) =>
      value.op === 'Constant'
        ? this.constant(value)
        : (given.get(value.name!) ?? this.slot(value.name!).tensor);
    let began = performance.now();
    try {
      for (const { value, ended } of schedule.steps) {
        if (!isLeaf(value)) {
          const { kernel, of } = kernelOf(value);
          const inputs = readBy(value).map((read) => (isLeaf(read) ? leaf(read) : values.get(read)!));
          values.set(
            value,
            tf.tidy(() => kernel(tf, inputs, of)),
          );
        }
        for (const gone of ended) {
          values.get(gone)?.dispose();
          values.delete(gone);
        }
        if (performance.now() - began > turn) {
          await setImmediate();
          this.mustBeOpen();
          began = performance.now();
        }
      }
      return new Map(
        names.map((name, i) => [
          name,
          (isLeaf(wanted[i]) ? leaf(wanted[i]) : values.get(wanted[i])!).clone(),
        ]),
      );
    } finally {
      for (const tensor of values.values()) tensor.dispose();
    }
  }

  /** Feeds on the device while `work` goes on. */
  private async withFeeds<T>(
    feeds: Readonly<Record<string, HostTensor>>,
    work: (placed: ReadonlyMap<string, Tensor>) => Promise<T>,
  ): Promise<T> {
    const placed = new Map<string, Tensor>();
    try {
      for (const [name, tensor] of Object.entries(feeds))
        placed.set(name, toDevice(this.tfjs.tf, name, tensor));
      return await work(placed);
    } finally {
      for (const tensor of placed.values()) tensor.dispose();
    }
  }

  run(program: Program, io: RunIO): Promise<Record<string, HostTensor>> {
    return this.next(() => {
      checkRun(program, io);
      const compiled = this.compiledOf(program);
      const { feeds, from = {}, to = {}, into = {}, fetch } = io;
      const read = Object.entries(from).map(([name, slot]) => [name, this.slot(slot).tensor] as const);
      const names = [...new Set([...fetch, ...Object.keys(to), ...Object.keys(into)])];
      return this.withFeeds(feeds, async (placed) => {
        const results = await this.computed(compiled, names, new Map([...placed, ...read]));
        try {
          const fetched: Record<string, HostTensor> = {};
          for (const name of fetch) {
            const { dtype, shape } = program.outputs[name];
            fetched[name] = await toHost(results.get(name)!, dtype, shape);
          }
          for (const [name, part] of Object.entries(into))
            this.write(part, { ...program.outputs[name], tensor: results.get(name)! });
          for (const [name, slot] of Object.entries(to))
            this.fill(slot, { ...program.outputs[name], tensor: results.get(name)!.clone() });
          return fetched;
        } finally {
          for (const tensor of results.values()) tensor.dispose();
        }
      });
    });
  }

  /** Tensors of a device do not change: the slot gets one that is put together anew. */
  private write(place: SlotPart, source: Placed): void {
    const { slot, axis, at } = place;
    const target = this.slot(slot);
    checkPart(place, target, source);
    const end = at + source.shape[axis];
    const { tf } = this.tfjs;
    const tensor = tf.tidy(() => {
      const part = (begin: number, stop: number) =>
        tf.slice(
          target.tensor,
          target.shape.map((_, i) => (i === axis ? begin : 0)),
          target.shape.map((d, i) => (i === axis ? stop - begin : d)),
        );
      const parts = [
        ...(at > 0 ? [part(0, at)] : []),
        source.tensor,
        ...(end < target.shape[axis] ? [part(end, target.shape[axis])] : []),
      ];
      return parts.length === 1 ? source.tensor.clone() : tf.concat(parts, axis);
    });
    this.fill(slot, { ...target, tensor });
  }

  sweep(program: SweepProgram, io: SweepIO): Promise<Record<string, Float32Array>> {
    return this.next(() => {
      checkSweep(program, io);
      const { tf } = this.tfjs;
      const { sweeps } = this.compiledOf(program);
      const lanes = [...Object.entries(io.from), ...Object.entries(io.to)].map(([name, slots]) => ({
        name,
        sizes: slots.map((slot) => sizeOf(this.slot(slot).shape)),
      }));
      const [{ sizes }] = lanes;
      for (const { name, sizes: own } of lanes)
        if (String(own) !== String(sizes))
          throw new Internal(`expected slots of [${sizes}] elements for "${name}", got [${own}]`);
      const names = [...Object.keys(io.to), ...io.fetch];
      const scalars: Record<string, number[]> = Object.fromEntries(io.fetch.map((name) => [name, []]));
      return this.withFeeds(io.feeds, async (placed) => {
        for (const [i, size] of sizes.entries()) {
          if (size === 0) continue;
          const piece = this.sweepOf(sweeps!, size);
          const vectors = Object.entries(io.from).map(
            ([name, slots]) => [name, tf.reshape(this.slot(slots[i]).tensor, [size])] as const,
          );
          try {
            const results = await this.computed(piece, names, new Map([...placed, ...vectors]));
            for (const name of io.fetch) scalars[name].push((await results.get(name)!.data())[0]);
            for (const [name, slots] of Object.entries(io.to)) {
              const { dtype, shape } = this.slot(slots[i]);
              this.fill(slots[i], { dtype, shape, tensor: tf.reshape(results.get(name)!, [...shape]) });
            }
            for (const tensor of results.values()) tensor.dispose();
          } finally {
            for (const [, tensor] of vectors) tensor.dispose();
          }
        }
        return Object.fromEntries(io.fetch.map((name) => [name, Float32Array.from(scalars[name])]));
      });
    });
  }

  private sweepOf({ graph, byLength }: NonNullable<Compiled['sweeps']>, length: number): Compiled {
    let piece = byLength.get(length);
    if (!piece) {
      piece = { outputs: graph(length), schedules: new Map() };
      byLength.set(length, piece);
    }
    return piece;
  }

  /** Calls under way end with what is closed. */
  async close(): Promise<void> {
    this.closed = true;
    await this.queue;
    for (const { tensor } of this.slots.values()) tensor.dispose();
    for (const tensor of this.constants.values()) tensor.dispose();
    this.slots.clear();
    this.constants.clear();
    this.programs.clear();
  }
}
