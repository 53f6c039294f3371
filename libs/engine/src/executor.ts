/** Runs graphs on ONNX Runtime in a thread of their own. */
import { relative } from 'node:path';
import { type Transferable, Worker } from 'node:worker_threads';
import { FailedPrecondition, Internal, InvalidArgument, ResourceExhausted } from '@emotune/base';
import { type External, type OnnxModel, sameShape, toOnnx, type Value } from '@emotune/graph';
import { FileTensor, type HostTensor } from './tensor.js';
import type { Reply, Request, RunIO, SweepIO } from './worker.js';

/** A model loaded into an executor. */
export interface Session {
  readonly id: number;
  readonly model: Pick<OnnxModel, 'inputs' | 'outputs'>;
}

/** A graph of vectors that sweeps run over slots. */
export interface SweepSession extends Session {
  readonly swept: true;
}

export interface ExecutorOptions {
  /** Of ONNX Runtime, at least 1. */
  readonly threads?: number | undefined;
  /** Threads wait for each other's next node without sleeping: faster where the processor is theirs alone, else slower. */
  readonly spin?: boolean | undefined;
  /** A folder for a file of timings of each session, in Chrome's trace event format: see `endProfiling`. */
  readonly profile?: string | undefined;
}

/** Threads that sweep, beside those of ONNX Runtime. Many more would wait for the memory together. */
export function sweepersOf(threads: number): number {
  return Math.min(threads, 8);
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const outOfMemory = /bad_alloc|Failed to allocate memory|out of memory|AllocateRaw/i;

/** The buffer of a tensor that has one to itself. */
function ownBuffer({ data }: HostTensor): ArrayBuffer[] {
  return data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength
    ? [data.buffer]
    : [];
}

/**
 * One worker thread with its sessions and slots. Calls are answered in order. Tensors given to `feeds`, and to `put`
 * unless it moves them, are copied, so the caller keeps them.
 */
export class Executor {
  private readonly waiting = new Map<number, Waiting>();
  /** What `hold` was given: in files, and as bytes in slots. */
  private readonly linked = new Map<string, External>();
  private readonly held = new Map<string, External>();
  private nextId = 0;
  private ended: Error | undefined;

  private constructor(private readonly worker: Worker) {
    worker.on('message', ({ id, value, error }: Reply) => {
      const call = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) call?.resolve(value);
      else
        call?.reject(
          outOfMemory.test(error) ? new ResourceExhausted(`out of memory: ${error}`) : new Internal(error),
        );
    });
    const fail = (error: Error) => {
      this.ended ??= error;
      for (const call of this.waiting.values()) call.reject(this.ended);
      this.waiting.clear();
    };
    worker.on('error', (error) =>
      fail(new Internal(`the executor failed: ${error.message}`, { cause: error })),
    );
    worker.on('exit', () => fail(new FailedPrecondition('the executor is closed')));
  }

  static create({ threads = 1, spin = false, profile }: ExecutorOptions = {}): Executor {
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
    const workerData = { threads, sweepers: sweepersOf(threads), spin, profile };
    const worker = new Worker(new URL(file, import.meta.url), { workerData });
    worker.unref();
    return new Executor(worker);
  }

  private call(request: Request, moved: readonly Transferable[] = []): Promise<unknown> {
    if (this.ended) return Promise.reject(this.ended);
    const id = this.nextId++;
    // Only a thread with work to do keeps the process alive.
    this.worker.ref();
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, request }, moved);
    }).finally(() => {
      if (this.waiting.size === 0) this.worker.unref();
    });
  }

  /**
   * Compiles the graph with these outputs. With `arena` the session keeps the memory of its runs for the next one, which
   * is then faster; without, what it needed is free for others in between. With `pack` it takes tensors of bytes that are
   * held as constants and packs a copy of its own of them: products with few rows are then about twice as fast.
   */
  async load(
    outputs: Readonly<Record<string, Value>>,
    { arena = true, pack = false } = {},
  ): Promise<Session> {
    const model = toOnnx(outputs, new Map([...this.linked, ...(pack ? this.held : [])]));
    const constants = model.externals.filter((name) => this.held.has(name));
    const mapped = !pack && model.externals.length > 0;
    const id = (await this.call({ kind: 'load', model: model.bytes, arena, constants, mapped })) as number;
    return { id, model: { inputs: model.inputs, outputs: model.outputs } };
  }

  /** Compiles a graph of vectors [n] for `sweep`. */
  async loadSweep(outputs: Readonly<Record<string, Value>>): Promise<SweepSession> {
    const { bytes, inputs, outputs: made } = toOnnx(outputs);
    const id = (await this.call({ kind: 'loadSweep', model: bytes })) as number;
    return { id, model: { inputs, outputs: made }, swept: true };
  }

  /** Writes what was timed since the executor was made with `profile`. */
  async endProfiling(): Promise<void> {
    await this.call({ kind: 'endProfiling' });
  }

  async release(session: Session): Promise<void> {
    await this.call({ kind: 'release', session: session.id });
  }

  /**
   * Fills a slot. With `move` the tensor's buffer goes to the executor instead of a copy of it, and the caller's array
   * is empty afterwards; an array that is part of a larger buffer is copied all the same. With `shared` it lies where sweeps
   * want it from the start; else the first sweep puts it there.
   */
  async put(slot: string, tensor: HostTensor, { move = false, shared = false } = {}): Promise<void> {
    const { dtype, shape, data } = tensor;
    const read = { dtype, shape, data };
    await this.call({ kind: 'put', slot, tensor: read, shared }, move ? ownBuffer(read) : []);
  }

  /**
   * A tensor that never changes. One that lies in a file becomes a constant of all graphs loaded from now on that have an
   * input of this name, and is mapped into memory instead of read; any other fills the slot of this name, as `put` does.
   */
  async hold(name: string, tensor: HostTensor, options: { move?: boolean } = {}): Promise<void> {
    if (!(tensor instanceof FileTensor)) {
      if (tensor.dtype === 'int8')
        this.held.set(name, { location: name, offset: 0, length: tensor.data.byteLength });
      return this.put(name, tensor, options);
    }
    const { path, offset, length } = tensor.range;
    this.linked.set(name, { location: relative('/', path), offset, length });
  }

  /** A copy of what is in a slot. */
  async get(slot: string): Promise<HostTensor> {
    return (await this.call({ kind: 'get', slot })) as HostTensor;
  }

  /** What is in a slot, which is empty afterwards. */
  async take(slot: string): Promise<HostTensor> {
    return (await this.call({ kind: 'take', slot })) as HostTensor;
  }

  async drop(slot: string): Promise<void> {
    await this.call({ kind: 'drop', slot });
  }

  /**
   * Runs a session once: inputs from `feeds` and from slots, outputs to slots, into parts of slots and, for `fetch`, to
   * the caller.
   * @throws InvalidArgument naming an input that is missing, unknown or of the wrong shape; ResourceExhausted.
   */
  async run(session: Session, io: RunIO): Promise<Record<string, HostTensor>> {
    const { inputs, outputs } = session.model;
    const given = new Set([...Object.keys(io.feeds), ...Object.keys(io.from ?? {})]);
    const violations = [
      ...Object.keys(inputs)
        .filter((name) => !given.has(name))
        .map((name) => ({
          field: name,
          description: `expected a tensor of [${inputs[name].shape}], got nothing`,
        })),
      ...[...given]
        .filter((name) => !(name in inputs))
        .map((name) => ({
          field: name,
          description: `expected one of the graph's inputs: ${Object.keys(inputs).join(', ')}`,
        })),
      ...[...io.fetch, ...Object.keys(io.to ?? {}), ...Object.keys(io.into ?? {})]
        .filter((name) => !(name in outputs))
        .map((name) => ({
          field: name,
          description: `expected one of the graph's outputs: ${Object.keys(outputs).join(', ')}`,
        })),
      ...Object.entries(io.feeds)
        .filter(
          ([name, t]) =>
            name in inputs && (t.dtype !== inputs[name].dtype || !sameShape(t.shape, inputs[name].shape)),
        )
        .map(([name, t]) => ({
          field: name,
          description: `expected ${inputs[name].dtype} [${inputs[name].shape}], got ${t.dtype} [${t.shape}]`,
        })),
    ];
    if (violations.length > 0) throw new InvalidArgument(violations);
    return (await this.call({ kind: 'run', session: session.id, io })) as Record<string, HostTensor>;
  }

  /**
   * Runs a graph of vectors [n], whose elements have nothing to do with each other, over slots of any shape, n elements after
   * n: what it makes of them stays in the processor's cache. Each of the threads sweeps over neighbouring pieces of its own.
   * Returns the scalars of `fetch`, one for each piece, in their order.
   * @throws InvalidArgument naming an input that is missing or unknown; Internal where slots differ in size; ResourceExhausted.
   */
  async sweep(session: SweepSession, io: SweepIO): Promise<Record<string, Float32Array>> {
    const { inputs } = session.model;
    const given = [...Object.keys(io.feeds), ...Object.keys(io.from)];
    const violations = [
      ...Object.keys(inputs)
        .filter((name) => !given.includes(name))
        .map((name) => ({ field: name, description: 'expected slots or a tensor, got nothing' })),
      ...given
        .filter((name) => !(name in inputs))
        .map((field) => ({
          field,
          description: `expected one of the graph's inputs: ${Object.keys(inputs)}`,
        })),
    ];
    if (violations.length > 0) throw new InvalidArgument(violations);
    const [length] = inputs[Object.keys(io.from)[0]].shape;
    return (await this.call({ kind: 'sweep', session: session.id, length, io })) as Record<
      string,
      Float32Array
    >;
  }

  /** Ends the thread; calls under way are refused. */
  async close(): Promise<void> {
    await this.worker.terminate();
  }
}
