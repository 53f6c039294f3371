/** A model in an executor: its weights in slots, and the graphs that were compiled last. */
import type { CompileHints, Executor, HostTensor, Program, RunIO } from '@emotune/engine';
import type { Value } from '@emotune/graph';
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import type { BaseCompute } from './frozen.js';
import { GraphWeights, heldTensors, type Method } from './model.js';
import { type Adapter, adaptedTensors } from './peft.js';

/** Compiled graphs that are kept, the last used ones; those that may have a copy of the weights are fewer. */
const keptPrograms = 64;
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

export class ModelExecutor {
  /** By key, the last used one last. */
  private readonly programs = new Map<string, { readonly program: Program; readonly fewRows: boolean }>();

  private constructor(
    private readonly executor: Executor,
    readonly config: ModelConfig,
    private readonly method: Method,
    private readonly baseCompute: BaseCompute,
  ) {}

  /** Close it, and with it the executor. */
  static async create(model: Loaded, executor: Executor): Promise<ModelExecutor> {
    const { config, method, tensors, baseCompute } = model;
    for (const [name, tensor] of tensors) await executor.hold(name, tensor);
    return new ModelExecutor(executor, config, method, baseCompute);
  }

  /** The graph of this key, compiled when it is not among the last used. */
  async program(
    key: string,
    build: (weights: GraphWeights) => Readonly<Record<string, Value>>,
    { fewRows = false }: Pick<CompileHints, 'fewRows'> = {},
  ): Promise<Program> {
    const known = this.programs.get(key);
    const graph = () => build(new GraphWeights(this.config, this.method, this.baseCompute));
    const program = known?.program ?? (await this.executor.compile(graph(), { fewRows }));
    this.programs.delete(key);
    this.programs.set(key, { program, fewRows });
    const alike = [...this.programs].filter(([, kept]) => kept.fewRows === fewRows);
    if (alike.length > (fewRows ? keptOfFewRows : keptPrograms)) {
      const [oldest, unused] = alike[0];
      this.programs.delete(oldest);
      await this.executor.release(unused.program);
    }
    return program;
  }

  /** Runs a program: of `feeds` what it reads, weights and state from the slots of the same name. */
  run(program: Program, io: Omit<RunIO, 'from'>): Promise<Record<string, HostTensor>> {
    const inputs = Object.entries(program.inputs);
    const feeds = Object.fromEntries(
      inputs.flatMap(([name]) => (name in io.feeds ? [[name, io.feeds[name]]] : [])),
    );
    const from = Object.fromEntries(
      inputs.flatMap(([name, { kind }]) => (kind === 'feed' ? [] : [[name, name]])),
    );
    return this.executor.run(program, { ...io, feeds, from });
  }

  /** Fills a slot; the tensor's array moves there. */
  put(slot: string, tensor: HostTensor): Promise<void> {
    return this.executor.put(slot, tensor, { move: true });
  }

  close(): Promise<void> {
    return this.executor.close();
  }
}

/** n rounded up to three significant bits: few graphs serve all sizes, and less than a quarter is padding. */
export function roundUp(n: number): number {
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(Math.max(1, n))) - 3);
  return Math.max(1, Math.ceil(n / step) * step);
}
