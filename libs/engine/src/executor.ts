/**
 * The port that everything which is computed goes through: graphs in, tensors out, and slots between runs. Where it runs,
 * in what pieces and on how many threads is an adapter's own business (`onnx/` here).
 */
import type { DType, InputKind, Shape, Value } from '@emotune/graph';
import type { HostTensor } from './tensor.js';

/** What a graph computes, by name. */
export type Outputs = Readonly<Record<string, Value>>;

interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A graph that an executor has compiled. It belongs to that executor. */
export interface Program {
  /** What a run has to be given: the graph's inputs without those that are held. */
  readonly inputs: Readonly<Record<string, TensorType & { readonly kind: InputKind }>>;
  readonly outputs: Readonly<Record<string, TensorType>>;
}

/** A graph of vectors [n] whose elements have nothing to do with each other, and of scalars. */
export type SweepGraph = (n: number) => Outputs;

/** A graph that is swept over slots. */
export interface SweepProgram extends Program {
  readonly swept: true;
}

export interface CompileHints {
  /**
   * `often` (default): what a run needs of memory may be kept for the next, which is then faster. `seldom`: it is given back
   * between runs.
   */
  readonly runs?: 'often' | 'seldom';
  /** Products have few rows: a copy of held weights, laid out for that, may be worth its memory. */
  readonly fewRows?: boolean;
}

/** Indices `at`, `at` + 1, … of an axis of what is in a slot. */
export interface SlotPart {
  readonly slot: string;
  readonly axis: number;
  readonly at: number;
}

export interface RunIO {
  readonly feeds: Readonly<Record<string, HostTensor>>;
  /** Input → slot to read it from. */
  readonly from?: Readonly<Record<string, string>>;
  /** Output → slot to leave it in. */
  readonly to?: Readonly<Record<string, string>>;
  /** Output → part of a filled slot to write it over. */
  readonly into?: Readonly<Record<string, SlotPart>>;
  /** Outputs to return. */
  readonly fetch: readonly string[];
}

/** Slots that are laid end to end and cut into pieces. */
export interface SweepIO {
  /** The same for every piece. */
  readonly feeds: Readonly<Record<string, HostTensor>>;
  /** Input [n] → slots. The slots of one place have one size under all inputs and outputs. */
  readonly from: Readonly<Record<string, readonly string[]>>;
  /** Output [n] → slots that it is written over. */
  readonly to: Readonly<Record<string, readonly string[]>>;
  /** Outputs that are scalars, to return. Zeros fill up the last piece. */
  readonly fetch: readonly string[];
}

/** What a graph takes of memory, bytes, inputs not counted. */
export interface GraphMemory {
  /** From compilation on. */
  readonly compiled: number;
  /** While it runs. */
  readonly running: number;
  /** While it runs and its outputs take the place of slots that it reads. */
  readonly replacing: number;
  /** From run to run where it `runs` `often`: `running` is part of it then. */
  readonly kept: number;
}

/** What an executor takes of memory besides what is put and held: known before there is one. */
export interface ExecutorMemory {
  /** Bytes of its process with no graph compiled. */
  readonly base: number;
  of(outputs: Outputs): GraphMemory;
  ofSweep(graph: SweepGraph, elements: number): GraphMemory;
}

/**
 * Calls are answered in order. Tensors given to `feeds`, and to `put` unless it moves them, are copied, so the caller keeps
 * them.
 */
export interface Executor {
  readonly memory: ExecutorMemory;

  compile(outputs: Outputs, hints?: CompileHints): Promise<Program>;

  /** Compiles a graph for sweeps over so many elements. Of how many a piece is, up to all of them, is the executor's choice. */
  compileSweep(graph: SweepGraph, elements: number): Promise<SweepProgram>;

  release(program: Program): Promise<void>;

  /**
   * Fills a slot. With `move` the tensor's buffer goes to the executor instead of a copy of it, and the caller's array
   * is empty afterwards; an array that is part of a larger buffer is copied all the same. `swept`: it will be, so it can be
   * laid where sweeps want it from the start.
   */
  put(slot: string, tensor: HostTensor, options?: { move?: boolean; swept?: boolean }): Promise<void>;

  /**
   * A tensor that never changes: graphs that are compiled from now on and have an input of this name are not given it. One
   * that lies in a file may stay there; any other can be read with `get` too.
   */
  hold(name: string, tensor: HostTensor, options?: { move?: boolean }): Promise<void>;

  /** A copy of what is in a slot. */
  get(slot: string): Promise<HostTensor>;

  /** What is in a slot, which is empty afterwards. */
  take(slot: string): Promise<HostTensor>;

  drop(slot: string): Promise<void>;

  /**
   * Runs a program once: inputs from `feeds` and from slots, outputs to slots, into parts of slots and, for `fetch`, to
   * the caller. A slot may be read and written by one run.
   * @throws InvalidArgument naming an input that is missing, unknown or of the wrong shape; ResourceExhausted.
   */
  run(program: Program, io: RunIO): Promise<Record<string, HostTensor>>;

  /**
   * Runs a sweep's program over slots of any shape, piece by piece. Returns the scalars of `fetch`, one for each piece, in
   * their order.
   * @throws InvalidArgument naming an input that is missing or unknown; Internal where slots differ in size; ResourceExhausted.
   */
  sweep(program: SweepProgram, io: SweepIO): Promise<Record<string, Float32Array>>;

  /** Gives everything back; calls under way are refused, and later ones. */
  close(): Promise<void>;
}

/** Makes an executor with so many threads. */
export type ExecutorFactory = (options: { readonly threads: number }) => Executor;
