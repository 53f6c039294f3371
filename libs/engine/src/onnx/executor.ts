/** Runs graphs on ONNX Runtime in a thread of their own. */
import { relative } from 'node:path';
import { type Transferable, Worker } from 'node:worker_threads';
import { FailedPrecondition, Internal, InvalidArgument, ResourceExhausted } from '@emotune/base';
import { build, type External, listed, type OnnxTarget, toOnnx } from '@emotune/graph';
import { checkRun, checkSweep } from '../check-io.js';
import type {
  CompileHints,
  Executor,
  Outputs,
  Program,
  RunIO,
  SweepGraph,
  SweepIO,
  SweepProgram,
} from '../executor.js';
import { FileTensor, float32, type HostTensor, int8 } from '../tensor.js';
import { onnxMemory, piece, sweepersOf } from './memory.js';
import './silence.js';
import type { Reply, Request } from './worker.js';

/** Where ONNX Runtime computes; what it has no kernel for there, and sweeps, are the processor's. */
export type OnnxProvider = 'cpu' | 'cuda' | 'webgpu';

export interface OnnxOptions {
  readonly provider?: OnnxProvider | undefined;
  /** Threads of ONNX Runtime, at least 1. */
  readonly threads?: number | undefined;
  /** Threads wait for each other's next node without sleeping: faster where the processor is theirs alone, else slower. */
  readonly spin?: boolean | undefined;
  /** A folder for a file of timings of each program, in Chrome's trace event format, written when the executor is closed. */
  readonly profile?: string | undefined;
  /** Elements of a sweep's piece, at most. */
  readonly pieceElements?: number | undefined;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** What the thread knows of a program. */
interface Session {
  readonly id: number;
  /** Inputs that are read from the slots in which they are held. */
  readonly held: readonly string[];
}

const outOfMemory = /bad_alloc|Failed to allocate memory|out of memory|AllocateRaw/i;

/** What the thread itself allocates lives shortly; left alone it would keep some 40 MiB for it. */
const resourceLimits = { maxYoungGenerationSizeMb: 8 };

/** The buffer of a tensor that has one to itself. */
function ownBuffer({ data }: HostTensor): ArrayBuffer[] {
  return data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength
    ? [data.buffer]
    : [];
}

/** One worker thread with its sessions and slots, and threads that sweep. */
export class OnnxExecutor implements Executor {
  readonly memory;
  private readonly waiting = new Map<number, Waiting>();
  private readonly sessions = new WeakMap<Program, Session>();
  /** What is held: in files, and in slots, there with what it would be as a constant. */
  private readonly mapped = new Map<string, External>();
  private readonly held = new Map<string, External & Pick<HostTensor, 'dtype'>>();
  /** Asked once a process. */
  private static exactSignedBytes: Promise<boolean> | undefined;
  private nextId = 0;
  private ended: Error | undefined;

  private constructor(
    private readonly worker: Worker,
    private readonly options: { readonly pieceElements: number; readonly profiles: boolean },
    threads: number,
  ) {
    this.memory = onnxMemory(threads, options.pieceElements);
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

  static create({
    provider = 'cpu',
    threads = 1,
    spin = false,
    profile,
    pieceElements = piece,
  }: OnnxOptions = {}): OnnxExecutor {
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
    const workerData = { provider, threads, sweepers: sweepersOf(threads), spin, profile };
    const worker = new Worker(new URL(file, import.meta.url), { workerData, resourceLimits });
    worker.unref();
    return new OnnxExecutor(worker, { pieceElements, profiles: profile !== undefined }, threads);
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

  private sessionOf(program: Program): Session {
    const session = this.sessions.get(program);
    if (!session) throw InvalidArgument.at('program', 'expected a program of this executor');
    return session;
  }

  async compile(outputs: Outputs, hints: CompileHints = {}): Promise<Program> {
    return this.load(outputs, hints, { exactSignedBytes: await this.multipliesExactly(outputs) });
  }

  /** Whether this processor's products of bytes, if there are any among these values, are exact as they are. */
  private async multipliesExactly(outputs: Outputs): Promise<boolean> {
    if (!listed(Object.values(outputs)).some(({ op }) => op === 'Int8MatMul')) return true;
    OnnxExecutor.exactSignedBytes ??= this.probe().catch((error) => {
      // Of an executor that was closed meanwhile, for example: the next one asks again.
      OnnxExecutor.exactSignedBytes = undefined;
      throw error;
    });
    return OnnxExecutor.exactSignedBytes;
  }

  /** The product of the largest bytes, by names that nothing that is held has. */
  private async probe(): Promise<boolean> {
    const x = build.input('probe/x', 'float32', [8, 64]);
    const weight = [
      build.input('probe/w', 'int8', [64, 32]),
      build.input('probe/scale', 'float32', [32]),
    ] as const;
    const program = await this.load({ y: build.int8MatMul(x, weight) }, {}, { exactSignedBytes: true });
    const feeds = {
      'probe/x': float32([8, 64], new Float32Array(8 * 64).fill(1)),
      'probe/w': int8([64, 32], new Int8Array(64 * 32).fill(127)),
      'probe/scale': float32([32], new Float32Array(32).fill(1 / 127)),
    };
    const { y } = await this.run(program, { feeds, fetch: ['y'] });
    await this.release(program);
    return (y.data as Float32Array).every((sum) => Math.abs(sum - 64) < 1e-3);
  }

  private async load(
    outputs: Outputs,
    { runs = 'often', fewRows = false }: CompileHints,
    target: OnnxTarget,
  ): Promise<Program> {
    // Weights of bytes as constants are packed: products with few rows are then about twice as fast.
    const packed = [...this.held].flatMap(([name, { dtype, ...data }]): [string, External][] =>
      fewRows && dtype === 'int8' ? [[name, data]] : [],
    );
    const model = toOnnx(outputs, new Map([...this.mapped, ...packed]), target);
    const id = (await this.call({
      kind: 'load',
      model: model.bytes,
      arena: runs === 'often',
      constants: model.externals.filter((name) => this.held.has(name)),
      mapped: !fewRows && model.externals.length > 0,
    })) as number;
    const inputs = Object.entries(model.inputs);
    const given = inputs.filter(([name]) => !this.held.has(name));
    const program = { inputs: Object.fromEntries(given), outputs: model.outputs };
    const held = inputs.flatMap(([name]) => (this.held.has(name) ? [name] : []));
    this.sessions.set(program, { id, held });
    return program;
  }

  async compileSweep(graph: SweepGraph, elements: number): Promise<SweepProgram> {
    const length = Math.min(this.options.pieceElements, elements);
    const { bytes, inputs, outputs } = toOnnx(graph(length));
    const id = (await this.call({ kind: 'loadSweep', model: bytes })) as number;
    const program: SweepProgram = { inputs, outputs, swept: true };
    this.sessions.set(program, { id, held: [] });
    return program;
  }

  async release(program: Program): Promise<void> {
    const { id } = this.sessionOf(program);
    this.sessions.delete(program);
    await this.call({ kind: 'release', session: id });
  }

  async put(slot: string, tensor: HostTensor, { move = false, swept = false } = {}): Promise<void> {
    const { dtype, shape, data } = tensor;
    const read = { dtype, shape, data };
    await this.call({ kind: 'put', slot, tensor: read, shared: swept }, move ? ownBuffer(read) : []);
  }

  /** One that lies in a file is mapped into memory instead of read. */
  async hold(name: string, tensor: HostTensor, options: { move?: boolean } = {}): Promise<void> {
    if (!(tensor instanceof FileTensor)) {
      const { dtype, data } = tensor;
      this.held.set(name, { dtype, location: name, offset: 0, length: data.byteLength });
      return this.put(name, tensor, options);
    }
    const { path, offset, length } = tensor.range;
    this.mapped.set(name, { location: relative('/', path), offset, length });
  }

  async get(slot: string): Promise<HostTensor> {
    return (await this.call({ kind: 'get', slot })) as HostTensor;
  }

  async take(slot: string): Promise<HostTensor> {
    return (await this.call({ kind: 'take', slot })) as HostTensor;
  }

  async drop(slot: string): Promise<void> {
    await this.call({ kind: 'drop', slot });
  }

  async run(program: Program, io: RunIO): Promise<Record<string, HostTensor>> {
    checkRun(program, io);
    const { id, held } = this.sessionOf(program);
    const from = { ...io.from, ...Object.fromEntries(held.map((name) => [name, name])) };
    return (await this.call({ kind: 'run', session: id, io: { ...io, from } })) as Record<string, HostTensor>;
  }

  /** Each of the threads sweeps over neighbouring pieces of its own, which stay in its processor's cache. */
  async sweep(program: SweepProgram, io: SweepIO): Promise<Record<string, Float32Array>> {
    checkSweep(program, io);
    const { id } = this.sessionOf(program);
    const [length] = program.inputs[Object.keys(io.from)[0]].shape;
    return (await this.call({ kind: 'sweep', session: id, length, io })) as Record<string, Float32Array>;
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    // What cannot be timed any more has failed where it was called.
    if (this.options.profiles) await this.call({ kind: 'endProfiling' }).catch(() => undefined);
    await this.worker.terminate();
  }
}
