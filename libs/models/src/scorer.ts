/**
 * Log-likelihoods of candidate answers, without sampling: the prompt and the trie of all its candidates lie in one row,
 * each trie node attending to the prompt and its ancestors, so one forward pass scores every candidate of a batch of
 * prompts. (Tree attention as in speculative decoding: Miao et al. 2024, SpecInfer, section 4.) Keys and values of
 * beginnings that many prompts share are computed once and attended to by all. Whenever a thread becomes free it takes the rows
 * whose turn it is and those that fit to them, whoever asked: calls are batched as they come.
 */
import { InvalidArgument } from '@emotune/base';
import { type ExecutorFactory, FileTensor } from '@emotune/engine';
import { sizeOf } from '@emotune/graph';
import type { Model } from './checkpoint.js';
import { longestRow, type ModelConfig } from './config.js';
import { FairQueue, type Line, type Piece } from './fair-queue.js';
import { keptBytes, type Loaded, type LoadOptions, loaded, ModelExecutor } from './model-executor.js';
import { keptPrefixBytes, passTokens, ScoreLane } from './score-lane.js';
import {
  candidateScores,
  type Layout,
  layout,
  paddedLength,
  prefixTokens,
  type ScoreRequest,
} from './score-layout.js';

/** A row that waits, and whom to tell. */
interface Row extends Piece {
  readonly layout: Layout;
  scored(scores: Float64Array): void;
  failed(error: unknown): void;
}

/** A call's place among the others, for as many requests as come to it. */
export type Turn = Line<Row>;

export interface ScoreOptions {
  /** What was asked with it before counts; without, these requests are a call of their own. */
  readonly turn?: Turn | undefined;
  /** What has not begun when it aborts is not computed; the call fails with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Of weights in files the lanes share what they read. */
function weightBytes({ tensors }: Loaded, lanes: number): number {
  return [...tensors.values()].reduce(
    (sum, tensor) =>
      sum + (tensor instanceof FileTensor ? tensor.range.length : lanes * tensor.data.byteLength),
    0,
  );
}

/** Up to this size a model is held once per thread: its layers are too small to be worth dividing. */
const smallModelBytes = 256 * 1024 * 1024;

/** Passes that a lane has: while one runs, the next lies ready. */
const passesAhead = 2;

interface Lane {
  readonly score: ScoreLane;
  passes: number;
}

/** A model that answers by likelihood. Holds threads of its own; close it. */
export class Scorer {
  private readonly queue = new FairQueue<Row>();

  private constructor(
    private readonly lanes: readonly Lane[],
    private readonly config: ModelConfig,
    /** What it takes at most, about: weights, also those that lie in files, graphs and prefixes. */
    readonly memoryBytes: number,
  ) {}

  static async create(
    model: Model,
    executorOf: ExecutorFactory,
    { threads = 1, ...options }: LoadOptions & { readonly threads?: number } = {},
  ): Promise<Scorer> {
    const ready = loaded(model, options);
    const bytes = [...ready.tensors.values()].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
    const count = bytes > smallModelBytes ? 1 : threads;
    const lanes: Lane[] = [];
    while (lanes.length < count) {
      const executor = executorOf({ threads: threads / count });
      const held = await ModelExecutor.create(ready, executor, keptBytes / count);
      lanes.push({ score: new ScoreLane(held), passes: 0 });
    }
    return new Scorer(lanes, model.config, keptBytes + count * keptPrefixBytes + weightBytes(ready, count));
  }

  /** A place for a call of `caller`, to be given back with `leave`. */
  enter(caller: string): Turn {
    return this.queue.open(caller);
  }

  leave(turn: Turn): void {
    this.queue.close(turn);
  }

  /**
   * For each request, log p(candidate | prompt) of each candidate in nats. The same call alone gives the same bits; what else
   * is asked at the same time changes the order in which float32 numbers are added, and a score by about 1e-6 a token.
   * @throws InvalidArgument when a prompt or candidate is empty or a row is longer than the model allows; the signal's reason.
   */
  async score(
    requests: readonly ScoreRequest[],
    { turn: given, signal }: ScoreOptions = {},
  ): Promise<Float64Array[]> {
    const layouts = requests.map((request, i) => this.layoutOf(request, `requests[${i}]`));
    signal?.throwIfAborted();
    if (layouts.length === 0) return [];
    const turn = given ?? this.enter('');
    const waiting = new Set<Row>();
    let leave = () => {};
    try {
      const scored = layouts.map(
        (laid) =>
          new Promise<Float64Array>((scored, failed) => {
            const kind = `${paddedLength(laid)} after ${prefixTokens(laid)}`;
            waiting.add({ layout: laid, cost: paddedLength(laid), kind, scored, failed });
          }),
      );
      this.queue.add(turn, [...waiting]);
      this.start();
      const left = new Promise<never>((_, reject) => {
        leave = () => reject(signal!.reason);
        signal?.addEventListener('abort', leave);
      });
      return await Promise.race([Promise.all(scored), left]);
    } finally {
      signal?.removeEventListener('abort', leave);
      this.queue.remove(turn, waiting);
      if (!given) this.leave(turn);
    }
  }

  /** @throws InvalidArgument */
  private layoutOf(request: ScoreRequest, field: string): Layout {
    if (request.prompt.length === 0) throw InvalidArgument.at(`${field}.prompt`, 'expected tokens, got none');
    const empty = request.candidates.findIndex((candidate) => candidate.length === 0);
    if (empty >= 0) throw InvalidArgument.at(`${field}.candidates[${empty}]`, 'expected tokens, got none');
    const laid = layout(request);
    const last = laid.positions.reduce((top, p) => Math.max(top, p), 0);
    if (last < longestRow(this.config)) return laid;
    throw InvalidArgument.at(field, `expected at most ${longestRow(this.config)} tokens, got ${last + 1}`);
  }

  /** Hands out what waits to the lanes that have least. */
  private start(): void {
    while (this.queue.cost > 0) {
      const lane = this.lanes.reduce((best, next) => (next.passes < best.passes ? next : best));
      if (lane.passes >= passesAhead) return;
      // What is little is divided among the lanes.
      const share = Math.ceil(this.queue.cost / this.lanes.length);
      void this.pass(lane, this.queue.take(Math.min(passTokens, share)));
    }
  }

  private async pass(lane: Lane, rows: readonly Row[]): Promise<void> {
    lane.passes++;
    try {
      const scores = await lane.score.forward(rows.map((row) => row.layout));
      rows.forEach((row, i) => {
        row.scored(candidateScores(row.layout, scores[i]));
      });
    } catch (error) {
      for (const row of rows) row.failed(error);
    }
    lane.passes--;
    this.start();
  }

  /** Lets go of graphs and prefixes: what is asked next takes longer, and is answered the same. */
  async forget(): Promise<void> {
    await Promise.all(this.lanes.map(({ score }) => score.forget()));
  }

  async close(): Promise<void> {
    await Promise.all(this.lanes.map(({ score }) => score.close()));
  }
}
