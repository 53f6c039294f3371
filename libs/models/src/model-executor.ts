/** A model in an executor: its weights in slots, and the graphs that were compiled last. */
import { Executor, type HostTensor, type RunIO, type Session } from '@emotune/engine';
import type { Value } from '@emotune/graph';
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import { GraphWeights, type Method } from './model.js';
import { type Adapter, adaptedTensors } from './peft.js';

/** Compiled graphs that are kept, the last used ones. */
const keptSessions = 64;

/** Weights that a model is run with, by slot, and how graphs read them. */
export interface Loaded {
  readonly config: ModelConfig;
  readonly method: Method;
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

export function withAdapter(model: Model, adapter?: Adapter): Loaded {
  const { config, tensors } = model;
  if (!adapter) return { config, method: { name: 'full' }, tensors };
  return { config, method: { name: 'lora', ...adapter.lora }, tensors: adaptedTensors(model, adapter) };
}

export class ModelExecutor {
  /** By key, the last used one last. */
  private readonly sessions = new Map<string, Session>();

  private constructor(
    private readonly executor: Executor,
    readonly config: ModelConfig,
    private readonly method: Method,
  ) {}

  /** Holds a thread; close it. */
  static async create({ config, method, tensors }: Loaded, threads: number): Promise<ModelExecutor> {
    const executor = Executor.create({ threads });
    for (const [name, tensor] of tensors) await executor.hold(name, tensor);
    return new ModelExecutor(executor, config, method);
  }

  /** The graph of this key, compiled when it is not among the last used. */
  async session(
    key: string,
    build: (weights: GraphWeights) => Readonly<Record<string, Value>>,
  ): Promise<Session> {
    const session =
      this.sessions.get(key) ?? (await this.executor.load(build(new GraphWeights(this.config, this.method))));
    this.sessions.delete(key);
    this.sessions.set(key, session);
    if (this.sessions.size > keptSessions) {
      const [oldest, unused] = this.sessions.entries().next().value!;
      this.sessions.delete(oldest);
      await this.executor.release(unused);
    }
    return session;
  }

  /** Runs a graph: of `feeds` what it reads, everything else from the slots of the same name. */
  run(session: Session, io: Omit<RunIO, 'from'>): Promise<Record<string, HostTensor>> {
    const names = Object.keys(session.model.inputs);
    const feeds = Object.fromEntries(
      names.filter((name) => name in io.feeds).map((name) => [name, io.feeds[name]]),
    );
    const from = Object.fromEntries(names.filter((name) => !(name in feeds)).map((name) => [name, name]));
    return this.executor.run(session, { ...io, feeds, from });
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
