/**
 * Continues prompts token by token. The prompts of a batch are computed once; each further token is one pass over the
 * new tokens alone, against keys and values that stay in the executor and are written in place.
 */
import { FailedPrecondition, InvalidArgument, Rng } from '@emotune/base';
import { bool, type ExecutorFactory, float32, int64, type SlotPart } from '@emotune/engine';
import { build as b, sizeOf, type Value } from '@emotune/graph';
import { modelInputs } from './blocks.js';
import type { Model } from './checkpoint.js';
import { longestRow, type ModelConfig } from './config.js';
import { cacheNames, cacheShape, pastInputs, presentOutputs } from './kv-cache.js';
import { type GraphWeights, hiddenStates, logitsOf } from './model.js';
import { type LoadOptions, loaded, ModelExecutor, roundUp } from './model-executor.js';

export interface Sampling {
  /** Above 0; logits are divided by it. */
  readonly temperature: number;
  /** On (0, 1]: tokens are drawn from the fewest likeliest that hold this much (Holtzman et al. 2020, nucleus). */
  readonly topP?: number;
  readonly seed: number;
}

export interface GenerateOptions {
  /** At least 1. */
  readonly maxNewTokens: number;
  /** The model's ends of sequence, where it names some. */
  readonly stopTokens?: readonly number[];
  /** The likeliest token where it is absent. */
  readonly sampling?: Sampling;
  readonly signal?: AbortSignal;
}

export interface Generation {
  /** What follows the prompt, without the stop token. */
  readonly tokens: Int32Array;
  /** A stop token came, or `maxNewTokens` did. */
  readonly finish: 'stop' | 'length';
}

/** Rows that go through the model together, and prompt tokens of theirs, padding included. */
const batchRows = 16;
const batchTokens = 4096;
const granule = 16;
/** Room for so many more tokens is made at a time. */
const room = 64;

/** Capacities of the cache: few, so that few graphs are compiled. */
const roomFor = (columns: number) => Math.max(room, roundUp(columns));

const roundTo = (n: number, step: number) => Math.ceil(n / step) * step;

/** Which prompts go together, of similar length. */
function batchesOf(prompts: readonly Int32Array[]): number[][] {
  const order = [...prompts.keys()].sort((p, q) => prompts[p].length - prompts[q].length || p - q);
  const batches: number[][] = [];
  for (const i of order) {
    const open = batches.at(-1);
    const fits = open && open.length < batchRows && (open.length + 1) * prompts[i].length <= batchTokens;
    if (fits) open.push(i);
    else batches.push([i]);
  }
  return batches;
}

/** Index of the largest; the first of equals. */
function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Draws from softmax(logits/temperature), cut to its nucleus. */
export function draw(logits: Float32Array, { temperature, topP = 1 }: Sampling, rng: Rng): number {
  const top = logits[argmax(logits)];
  const weights = Float64Array.from(logits, (v) => Math.exp((v - top) / temperature));
  const whole = weights.reduce((sum, w) => sum + w, 0);
  // All tokens below this hold less than 1 − topP together, so the nucleus has none of them.
  const least = ((1 - topP) * whole) / weights.length;
  const likely = [...weights.keys()].filter((i) => weights[i] >= least);
  if (topP < 1) likely.sort((p, q) => weights[q] - weights[p] || p - q);
  let [size, held] = [0, 0];
  while (size < likely.length && held < topP * whole) held += weights[likely[size++]];
  let left = rng.uniform() * held;
  const drawn = likely.slice(0, size).find((i) => {
    left -= weights[i];
    return left < 0;
  });
  return drawn ?? likely[size - 1];
}

/** Longest row of tokens that the model can take. */
function longestOf(config: ModelConfig): number {
  const stretched = config.family === 'llama' && config.ropeScaling?.type === 'dynamic';
  return stretched ? Number.POSITIVE_INFINITY : longestRow(config);
}

function check(config: ModelConfig, prompts: readonly Int32Array[], options: GenerateOptions): void {
  const { maxNewTokens, sampling } = options;
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1)
    throw InvalidArgument.at('maxNewTokens', `expected a whole number of at least 1, got ${maxNewTokens}`);
  if (sampling && !(sampling.temperature > 0))
    throw InvalidArgument.at('sampling.temperature', `expected more than 0, got ${sampling.temperature}`);
  if (sampling?.topP !== undefined && !(sampling.topP > 0 && sampling.topP <= 1))
    throw InvalidArgument.at('sampling.topP', `expected more than 0 and at most 1, got ${sampling.topP}`);
  for (const [i, prompt] of prompts.entries()) {
    if (prompt.length === 0) throw InvalidArgument.at(`prompts[${i}]`, 'expected tokens, got none');
    const wrong = prompt.find((token) => token < 0 || token >= config.vocabSize);
    if (wrong !== undefined)
      throw InvalidArgument.at(`prompts[${i}]`, `expected tokens below ${config.vocabSize}, got ${wrong}`);
    // The last token is not read again.
    const longest = prompt.length + maxNewTokens - 1;
    if (longest > longestOf(config)) {
      throw InvalidArgument.at(
        `prompts[${i}]`,
        `expected room for ${maxNewTokens} tokens in the model's ${longestOf(config)}, got a prompt of ${prompt.length}`,
      );
    }
  }
}

/** A model that writes. Holds a thread; close it. */
export class Generator {
  private last: Promise<unknown> = Promise.resolve();
  /** Rows and columns of the slots that hold keys and values. */
  private cache = { batch: 0, capacity: 0 };

  private constructor(private readonly executor: ModelExecutor) {}

  static async create(
    model: Model,
    executorOf: ExecutorFactory,
    { threads = 1, ...options }: LoadOptions & { readonly threads?: number } = {},
  ): Promise<Generator> {
    return new Generator(await ModelExecutor.create(loaded(model, options), executorOf({ threads })));
  }

  /**
   * What the model writes after each prompt. Rows of a call do not see each other: how many there are changes the order
   * in which float32 numbers are added, about 1e-6 of a logit, and nothing else.
   * @throws InvalidArgument when a prompt is empty, holds a token that the model does not have, or leaves no room;
   *   FailedPrecondition when logits are not finite.
   */
  async generate(prompts: readonly Int32Array[], options: GenerateOptions): Promise<Generation[]> {
    check(this.executor.config, prompts, options);
    const generated = this.last.then(async () => {
      const results = new Array<Generation>(prompts.length);
      for (const members of batchesOf(prompts)) {
        const { sampling } = options;
        const written = await this.batch(
          members.map((i) => prompts[i]),
          options,
          (row, step, logits) =>
            sampling
              ? draw(logits, sampling, Rng.of(sampling.seed, 'generate', members[row], step))
              : argmax(logits),
        ).catch((error) => {
          // What a failed pass left in the cache must not reach the next call.
          this.cache = { batch: 0, capacity: 0 };
          throw error;
        });
        members.forEach((i, row) => {
          results[i] = written[row];
        });
      }
      return results;
    });
    this.last = generated.catch(() => undefined);
    return generated;
  }

  private async batch(
    prompts: readonly Int32Array[],
    { maxNewTokens, stopTokens, signal }: GenerateOptions,
    choose: (row: number, step: number, logits: Float32Array) => number,
  ): Promise<Generation[]> {
    const { vocabSize, eosTokenIds } = this.executor.config;
    const stops = new Set(stopTokens ?? eosTokenIds);
    const batch = roundUp(prompts.length);
    const longest = Math.max(...prompts.map(({ length }) => length));
    const sequence = roundTo(longest, granule);
    await this.allocate(batch, Math.max(sequence, roomFor(longest + Math.min(room, maxNewTokens))));
    const written = prompts.map((): number[] => []);
    const finish = prompts.map((): Generation['finish'] | undefined => undefined);
    let logits = await this.prefill(prompts, batch, sequence);
    for (let step = 0; step < maxNewTokens; step++) {
      signal?.throwIfAborted();
      for (const row of written.keys()) {
        if (finish[row]) continue;
        const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
        const token = choose(row, step, own);
        if (!Number.isFinite(own[token]))
          throw new FailedPrecondition(`expected finite logits of the model, got ${own[token]}`);
        if (stops.has(token)) finish[row] = 'stop';
        else if (written[row].push(token) === maxNewTokens) finish[row] = 'length';
      }
      if (finish.every((end) => end !== undefined)) break;
      logits = await this.decode(prompts, written, longest, step);
    }
    return written.map((tokens, row) => ({ tokens: Int32Array.from(tokens), finish: finish[row]! }));
  }

  /** Logits [B, V] after each prompt, whose keys and values fill the first columns of the cache. */
  private async prefill(
    prompts: readonly Int32Array[],
    batch: number,
    sequence: number,
  ): Promise<Float32Array> {
    const program = await this.executor.program(`prefill ${batch} ${sequence}`, (weights) => {
      const cache = { past: [], present: [] };
      const mask = b.input('mask', 'bool', [1, 1, sequence, sequence]);
      const inputs = { ...modelInputs(batch, sequence), mask, cache };
      const rows = b.input('rows', 'int64', [batch]);
      const hidden = hiddenStates(this.executor.config, weights, inputs, rows);
      return { logits: logitsOf(weights, hidden), ...presentOutputs(this.executor.config, cache.present) };
    });
    const at = Array.from({ length: batch * sequence }, (_, i) => i % sequence);
    const { logits } = await this.executor.run(program, {
      feeds: {
        input_ids: int64(
          [batch, sequence],
          at.map((t, i) => prompts[Math.floor(i / sequence)]?.[t] ?? 0),
        ),
        positions: int64(
          [batch, sequence],
          at.map((t, i) => (t < (prompts[Math.floor(i / sequence)]?.length ?? 0) ? t : 0)),
        ),
        mask: bool(
          [1, 1, sequence, sequence],
          Uint8Array.from({ length: sequence ** 2 }, (_, i) =>
            i % sequence <= Math.floor(i / sequence) ? 1 : 0,
          ),
        ),
        rows: int64(
          [batch],
          Array.from({ length: batch }, (_, row) => row * sequence + (prompts[row]?.length ?? 1) - 1),
        ),
      },
      into: this.cacheParts(0),
      fetch: ['logits'],
    });
    return logits.data as Float32Array;
  }

  /** Logits [B, V] after the tokens written last, the `step`th of each row. */
  private async decode(
    prompts: readonly Int32Array[],
    written: readonly (readonly number[])[],
    longest: number,
    step: number,
  ): Promise<Float32Array> {
    const column = longest + step;
    if (column >= this.cache.capacity) await this.grow(roomFor(2 * column));
    const { batch, capacity } = this.cache;
    const build = (weights: GraphWeights) => {
      const { config } = this.executor;
      const cache = {
        past: pastInputs(config, batch, capacity),
        pastPositions: b.input('past_positions', 'int64', [batch, capacity]),
        present: [],
      };
      const mask = b.input('mask', 'bool', [batch, 1, 1, capacity + 1]);
      const hidden = hiddenStates(config, weights, { ...modelInputs(batch, 1), mask, cache });
      return { logits: logitsOf(weights, hidden), ...presentOutputs(config, cache.present) };
    };
    const program = await this.executor.program(`decode ${batch} ${capacity}`, build, { fewRows: true });
    const mask = new Uint8Array(batch * (capacity + 1));
    const pastPositions = new Array<number>(batch * capacity).fill(0);
    for (let row = 0; row < batch; row++) {
      // A row's prompt begins at the first column; what it wrote begins after the longest prompt.
      const own = prompts[row]?.length ?? 0;
      for (let c = 0; c < column; c++) {
        if (c >= own && c < longest) continue;
        mask[row * (capacity + 1) + c] = 1;
        pastPositions[row * capacity + c] = c < own ? c : own + c - longest;
      }
      mask[row * (capacity + 1) + capacity] = 1;
    }
    const { logits } = await this.executor.run(program, {
      feeds: {
        input_ids: int64(
          [batch, 1],
          Array.from({ length: batch }, (_, row) => written[row]?.[step] ?? 0),
        ),
        positions: int64(
          [batch, 1],
          Array.from({ length: batch }, (_, row) => (prompts[row]?.length ?? 0) + step),
        ),
        past_positions: int64([batch, capacity], pastPositions),
        mask: bool([batch, 1, 1, capacity + 1], mask),
      },
      into: this.cacheParts(column),
      fetch: ['logits'],
    });
    return logits.data as Float32Array;
  }

  private cacheParts(at: number): Record<string, SlotPart> {
    const parts = cacheNames(this.executor.config).map(({ past, present }) => [
      present,
      { slot: past, axis: 2, at },
    ]);
    return Object.fromEntries(parts);
  }

  private async allocate(batch: number, capacity: number): Promise<void> {
    if (this.cache.batch === batch && this.cache.capacity === capacity) return;
    const shape = cacheShape(this.executor.config, batch, capacity);
    for (const { past } of cacheNames(this.executor.config))
      await this.executor.put(past, float32(shape, new Float32Array(sizeOf(shape))));
    this.cache = { batch, capacity };
  }

  /** Adds empty columns. */
  private async grow(capacity: number): Promise<void> {
    const { batch, capacity: before } = this.cache;
    const { config } = this.executor;
    const more = b.zeros(cacheShape(config, batch, capacity - before));
    const longer = (x: Value) => b.concat([x, more], 2);
    const program = await this.executor.program(`grow ${batch} ${before} ${capacity}`, () =>
      presentOutputs(
        config,
        pastInputs(config, batch, before).map(({ key, value }) => ({
          key: longer(key),
          value: longer(value),
        })),
      ),
    );
    const to = Object.fromEntries(cacheNames(config).map(({ past, present }) => [present, past]));
    await this.executor.run(program, { feeds: {}, to, fetch: [] });
    this.cache = { batch, capacity };
  }

  async close(): Promise<void> {
    await this.executor.close();
  }
}
