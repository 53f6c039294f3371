/** Models in memory: the last used stay, as many as there is room for, and one that must go goes when nobody asks it any more. */
import { Answerer } from '@emotune/answering';
import { FailedPrecondition, Idle, InvalidArgument, machineMemoryMiB, NotFound } from '@emotune/base';
import type { InferenceCompute } from '@emotune/models';
import type { tuning } from '@emotune/proto';
import type { ServiceContext } from '@emotune/service';

export interface InferenceContext extends ServiceContext {
  /** Threads of each loaded model, at least 1. */
  readonly threads: number;
  /** How the linear layers of the models are multiplied. Default `fp32`. */
  readonly baseCompute?: InferenceCompute;
  /** A call is refused where others would keep it waiting for more seconds. Default 30. */
  readonly waitSeconds?: number;
  /** Memory of the models that stay. Default: half of what the machine has. */
  readonly modelBytes?: number;
}

interface Entry {
  readonly loading: Promise<Answerer>;
  /** Whether its files are still those that were loaded, and when that was last asked. */
  looked: Promise<void>;
  lookedAt: number;
  users: number;
  /** Once nobody asks it, it keeps its weights alone: its graphs can take hundreds of MiB. */
  readonly idle: Idle;
  leaving: boolean;
  /** 0 until it has been loaded. */
  bytes: number;
}

/** Its files are mapped and may be damaged meanwhile: they are looked at again after this long. */
const lookMs = 1_000;

export class LoadedModels {
  /** By the model's folder, which never changes what it holds; the last used one last. */
  private readonly entries = new Map<string, Entry>();
  private readonly closing = new Set<Promise<void>>();

  constructor(
    private readonly context: Pick<
      InferenceContext,
      'objects' | 'threads' | 'baseCompute' | 'modelBytes' | 'clock' | 'log'
    >,
  ) {}

  /**
   * Loads the model, once however many want it, and keeps it open while `work` runs.
   * @throws FailedPrecondition when its files cannot be used; DataLoss when they are damaged.
   */
  async use<T>(model: tuning.Model, work: (answerer: Answerer) => Promise<T>): Promise<T> {
    const key = model.prefix;
    await this.forgetDamaged(key);
    const entry = this.entries.get(key) ?? this.open(model);
    entry.users++;
    entry.idle.use();
    this.entries.delete(key);
    this.entries.set(key, entry);
    this.makeRoom();
    try {
      return await work(await entry.loading);
    } finally {
      entry.users--;
      const failed = await entry.loading.then(
        () => false,
        () => true,
      );
      if (failed && this.entries.get(key) === entry) this.entries.delete(key);
      if (entry.users === 0) {
        if (entry.leaving) this.end(entry);
        else if (!failed) entry.idle.rest();
      }
    }
  }

  private async forget({ loading, leaving }: Entry): Promise<void> {
    try {
      await (await loading).forget();
    } catch (error) {
      if (!leaving) this.context.log.error('a model that nobody asks kept its graphs', { error });
    }
  }

  /** A model whose files are no longer those that it was loaded from is loaded again, which refuses damaged ones. */
  private async forgetDamaged(key: string): Promise<void> {
    const entry = this.entries.get(key);
    if (!entry) return;
    const now = this.context.clock.now();
    if (now - entry.lookedAt >= lookMs) {
      entry.lookedAt = now;
      entry.looked = entry.loading.then((answerer) => answerer.intact());
      entry.looked.catch(() => {});
    }
    try {
      await entry.looked;
    } catch (error) {
      if (this.entries.get(key) === entry) {
        this.context.log.warn('a model is loaded again', { error });
        this.leave(key, entry);
      }
    }
  }

  private open(model: tuning.Model): Entry {
    const entry: Entry = {
      loading: this.load(model),
      looked: Promise.resolve(),
      lookedAt: this.context.clock.now(),
      users: 0,
      idle: new Idle(() => void this.forget(entry)),
      leaving: false,
      bytes: 0,
    };
    entry.loading.then(
      ({ memoryBytes }) => {
        entry.bytes = memoryBytes;
        this.makeRoom();
      },
      () => undefined,
    );
    return entry;
  }

  /** The last used one stays, however large. */
  private makeRoom(): void {
    const { modelBytes = (machineMemoryMiB() * 2 ** 20) / 2 } = this.context;
    let bytes = [...this.entries.values()].reduce((sum, entry) => sum + entry.bytes, 0);
    for (const [key, entry] of [...this.entries].slice(0, -1)) {
      if (bytes <= modelBytes) return;
      bytes -= entry.bytes;
      this.leave(key, entry);
    }
  }

  private leave(key: string, entry: Entry): void {
    this.entries.delete(key);
    entry.leaving = true;
    if (entry.users === 0) this.end(entry);
  }

  private end({ loading, idle }: Entry): void {
    idle.use();
    const closed = loading.then(
      (answerer) => answerer.close(),
      () => undefined,
    );
    const ended = closed.finally(() => this.closing.delete(ended));
    this.closing.add(ended);
  }

  /** Lets every model go. */
  async close(): Promise<void> {
    for (const [key, entry] of this.entries) this.leave(key, entry);
    await Promise.all(this.closing);
  }

  private async load(model: tuning.Model): Promise<Answerer> {
    const { objects, threads, baseCompute = 'fp32', log } = this.context;
    const { name, version } = model;
    try {
      const answerer = await Answerer.openStored(model, (prefix) => objects.folder(prefix), {
        threads,
        baseCompute,
      });
      log.info('a model was loaded', { model: `${name}@${version}` });
      return answerer;
    } catch (cause) {
      const kinds = [InvalidArgument, NotFound, FailedPrecondition];
      if (!kinds.some((kind) => cause instanceof kind)) throw cause;
      throw new FailedPrecondition(
        `the model ${name}@${version} cannot be loaded; train or import it again: ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}
