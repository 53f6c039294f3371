/** A model in an executor: its weights in slots, and the graphs that were compiled last. */
import type { CompileHints, Executor, HostTensor, Program, RunIO } from '@emotune/engine';
import type { Value } from '@emotune/graph';
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import type { BaseCompute } from './frozen.js';
import { GraphWeights, heldTensors, type Method } from './model.js';
import { type Adapter, adaptedTensors } from './peft.js';

/** Memory of compiled graphs that are kept, the last used ones; those that may have a copy of the weights are two. */
export const keptBytes = 512 * 2 ** 20;
const keptOfFewRows = 2;

/** Weights that a model is run with, by slot, and how graphs read them. */
export interface Loaded {
  readonly config: ModelConfig;
  readonly method: Method;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly baseCompute: BaseCompute;
}

export interface LoadOptions {
  readonly adapter?: Adapter | undefined;
  /** How the linear layers of the blocks are multiplied; `int8` moves answers a little and is faster. Default `fp32`. */
  readonly baseCompute?: InferenceCompute | undefined;
}

/** Without gradients `int8-backward` is nothing of its own. */
export type InferenceCompute = Exclude<BaseCompute, 'int8-backward'>;

export function loaded(model: Model, { adapter, baseCompute = 'fp32' }: LoadOptions): Loaded {
  const { config } = model;
  const method: Method = adapter ? { name: 'lora', ...adapter.lora } : { name: 'full' };
  const tensors = adapter ? adaptedTensors(model, adapter) : model.tensors;
  return {
    config,
    method,
    tensors: heldTensors(config, tensors, baseCompute, { differentiable: false }),
    baseCompute,
  };
}

interface Kept {
  readonly program: Program;
  readonly fewRows: boolean;
  readonly bytes: number;
}

export class ModelExecutor {
  /** By key, the last used one last. */
  private readonly programs = new Map<string, Kept>();

  private constructor(
    private readonly executor: Executor,
    readonly config: ModelConfig,
    private readonly method: Method,
    private readonly baseCompute: BaseCompute,
    private readonly keptBytes: number,
  ) {}

  /**
   * Close it, and with it the executor.
   * @param kept bytes of compiled graphs that stay
   */
  static async create(model: Loaded, executor: Executor, kept = keptBytes): Promise<ModelExecutor> {
    const { config, method, tensors, baseCompute } = model;
    for (const [name, tensor] of tensors) await executor.hold(name, tensor);
    return new ModelExecutor(executor, config, method, baseCompute, kept);
  }

  /** The graph of this key, compiled when it is not among the last used. */
  async program(
    key: string,
    build: (weights: GraphWeights) => Readonly<Record<string, Value>>,
    hints: CompileHints = {},
  ): Promise<Program> {
    const kept = this.programs.get(key) ?? (await this.compile(build, hints));
    this.programs.delete(key);
    this.programs.set(key, kept);
    for (const [oldest, unused] of this.tooMany(kept.fewRows)) {
      this.programs.delete(oldest);
      await this.executor.release(unused.program);
    }
    return kept.program;
  }

  private async compile(
    build: (weights: GraphWeights) => Readonly<Record<string, Value>>,
    hints: CompileHints,
  ): Promise<Kept> {
    const graph = build(new GraphWeights(this.config, this.method, this.baseCompute));
    const { fewRows = false, runs = 'often' } = hints;
    const { compiled, kept } = this.executor.memory.of(graph);
    const program = await this.executor.compile(graph, hints);
    return { program, fewRows, bytes: compiled + (runs === 'often' ? kept : 0) };
  }

  /** Lets go of every graph; each is compiled again when it is asked for. */
  async forget(): Promise<void> {
    const kept = [...this.programs.values()];
    this.programs.clear();
    for (const { program } of kept) await this.executor.release(program);
  }

  /** Which go, the oldest first; the last used one stays. */
  private tooMany(fewRows: boolean): [string, Kept][] {
    const alike = [...this.programs].filter(([, kept]) => kept.fewRows === fewRows);
    if (fewRows) return alike.slice(0, -keptOfFewRows);
    let bytes = 0;
    const staying = alike.findLastIndex(([, kept], i) => {
      bytes += kept.bytes;
      return bytes > this.keptBytes && i < alike.length - 1;
    });
    return alike.slice(0, staying + 1);
  }

  /** Runs a program: of `feeds` what it reads, weights from the slots of their names, state from those that `slotOf` says. */
  run(
    program: Program,
    io: Omit<RunIO, 'from'>,
    slotOf = (state: string) => state,
  ): Promise<Record<string, HostTensor>> {
    const inputs = Object.entries(program.inputs);
    const feeds = Object.fromEntries(
      inputs.flatMap(([name]) => (name in io.feeds ? [[name, io.feeds[name]]] : [])),
    );
    const from = Object.fromEntries(
      inputs
        .filter(([, { kind }]) => kind !== 'feed')
        .map(([name, { kind }]) => [name, kind === 'state' ? slotOf(name) : name]),
    );
    return this.executor.run(program, { ...io, feeds, from });
  }

  drop(slot: string): Promise<void> {
    return this.executor.drop(slot);
  }

  /** Fills a slot; the tensor's array moves there. */
  put(slot: string, tensor: HostTensor): Promise<void> {
    return this.executor.put(slot, tensor, { move: true });
  }

  close(): Promise<void> {
    return this.executor.close();
  }
}

/** n rounded up to a few significant bits: few graphs serve all sizes; with three, less than a quarter is padding. */
export function roundUp(n: number, bits = 3): number {
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(Math.max(1, n))) - bits);
  return Math.max(1, Math.ceil(n / step) * step);
}
