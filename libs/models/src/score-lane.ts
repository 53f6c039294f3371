/** One executor that scores rows, and the keys and values of prefixes that lie there. */
import { bool, int64 } from '@emotune/engine';
import { build as b, bytesOf, type Value } from '@emotune/graph';
import { modelInputs } from './blocks.js';
import type { ModelConfig } from './config.js';
import { cacheNames, pastInputs, presentOutputs } from './kv-cache.js';
import { type GraphWeights, hiddenStates, logitsOf } from './model.js';
import { type ModelExecutor, roundUp } from './model-executor.js';
import { type Layout, paddedLength, prefixTokens } from './score-layout.js';

interface ScoreShape {
  /** Tokens before, which all rows share. */
  readonly prefix: number;
  readonly batch: number;
  readonly sequence: number;
  /** Distinct rows that are asked, and questions, padding included. */
  readonly asked: number;
  readonly edges: number;
}

/** `scores` [edges]: log-probability of the token `edge` picks in the flat [asked, V] table, at hidden rows `asked_index`. */
function scoreGraph(
  config: ModelConfig,
  weights: GraphWeights,
  { prefix, batch, sequence, asked, edges }: ScoreShape,
): Record<string, Value> {
  const rows = b.input('asked_index', 'int64', [asked]);
  const places = BigInt64Array.from({ length: batch * prefix }, (_, i) => BigInt(i % prefix));
  const shared = {
    mask: b.input('mask', 'bool', [batch, 1, sequence, prefix + sequence]),
    cache: {
      past: pastInputs(config, 1, prefix),
      pastPositions: b.constant(places, [batch, prefix]),
      present: [],
    },
  };
  const inputs = { ...modelInputs(batch, sequence), ...(prefix > 0 ? shared : {}) };
  const hidden = hiddenStates(config, weights, inputs, rows);
  const table = b.reshape(b.logSoftmax(logitsOf(weights, hidden)), [asked * config.vocabSize]);
  return { scores: b.gather(table, b.input('edge', 'int64', [edges])) };
}

/** Keys and values of one row of `length` tokens. */
function prefixGraph(config: ModelConfig, weights: GraphWeights, length: number): Record<string, Value> {
  const cache = { past: [], present: [] };
  hiddenStates(config, weights, { ...modelInputs(1, length), cache });
  return presentOutputs(config, cache.present);
}

/** Padded tokens of one forward pass: activations stay in the processor's cache (512 took 1.2 times the time, 64 as well). */
export const passTokens = 256;

/** What one run takes and gives back is given back to the system: as fast, and many graphs keep nothing. */
const hints = { runs: 'seldom' } as const;

/** Memory of the keys and values of prefixes, the last used ones. */
export const keptPrefixBytes = 64 * 2 ** 20;

/** The next power of two. */
const doubled = (n: number) => 2 ** Math.ceil(Math.log2(Math.max(1, n)));

const filled = (values: readonly number[], n: number) => [
  ...values,
  ...new Array<number>(n - values.length).fill(0),
];

export class ScoreLane {
  /** Names of prefixes by their tokens, the last used one last. */
  private readonly prefixes = new Map<string, { readonly name: string; readonly bytes: number }>();
  private named = 0;
  /** What is laid out and handed over, in this order. */
  private handedOver: Promise<unknown> = Promise.resolve();

  constructor(private readonly executor: ModelExecutor) {}

  /** Log-probabilities of every edge of every row, which are of one padded length and begin with the same prefix. */
  async forward(rows: readonly Layout[]): Promise<Float32Array[]> {
    // What a run reads is there, and stays there, until it has been handed over.
    const handed = this.handedOver.then(() => this.handOver(rows));
    this.handedOver = handed.catch(() => undefined);
    const { scores } = await (await handed).running;
    let end = 0;
    return rows.map(({ edges }) => {
      const begin = end;
      end += edges.length;
      return (scores.data as Float32Array).slice(begin, end);
    });
  }

  /** Lets go of all that was computed or compiled to be used again. What is laid out meanwhile comes after it. */
  forget(): Promise<void> {
    const forgotten = this.handedOver.then(async () => {
      for (const [key, { name }] of this.prefixes) {
        this.prefixes.delete(key);
        await this.dropPrefix(name);
      }
      await this.executor.forget();
    });
    this.handedOver = forgotten.catch(() => undefined);
    return forgotten;
  }

  private async dropPrefix(name: string): Promise<void> {
    for (const { past } of cacheNames(this.executor.config)) await this.executor.drop(`${name} ${past}`);
  }

  private async handOver(rows: readonly Layout[]) {
    const { config } = this.executor;
    const prefixName = await this.share(prefixTokens(rows[0]));
    const { prefix } = rows[0];
    const sequence = paddedLength(rows[0]);
    const batch = Math.min(roundUp(rows.length, 2), Math.max(rows.length, Math.floor(passTokens / sequence)));
    const keys = prefix + sequence;
    const ids = new Array<number>(batch * sequence).fill(0);
    const positions = new Array<number>(batch * sequence).fill(0);
    const mask = new Uint8Array(batch * sequence * keys);
    const asked: number[] = [];
    const edge: number[] = [];
    for (let r = 0; r < batch; r++) {
      const row = rows[r];
      for (let t = 0; t < sequence; t++) {
        const at = r * sequence + t;
        // Padding attends to itself, so that nothing is undefined.
        mask[at * keys + prefix + t] = 1;
        const own = prefix + t;
        if (row === undefined || own >= row.tokens.length) continue;
        ids[at] = row.tokens[own];
        positions[at] = row.positions[own];
        for (let a = row.parents[own]; a >= 0; a = row.parents[a]) mask[at * keys + a] = 1;
      }
      const place = new Map<number, number>();
      for (const { row: at, token } of row?.edges ?? []) {
        const n = place.get(at) ?? asked.push(r * sequence + at - prefix) - 1;
        place.set(at, n);
        edge.push(n * config.vocabSize + token);
      }
    }
    const shape = { prefix, batch, sequence, asked: roundUp(asked.length), edges: doubled(edge.length) };
    const program = await this.executor.program(
      JSON.stringify(shape),
      (weights) => scoreGraph(config, weights, shape),
      hints,
    );
    const feeds = {
      input_ids: int64([batch, sequence], ids),
      positions: int64([batch, sequence], positions),
      mask: bool([batch, 1, sequence, keys], mask),
      asked_index: int64([shape.asked], filled(asked, shape.asked)),
      edge: int64([shape.edges], filled(edge, shape.edges)),
    };
    return {
      running: this.executor.run(program, { feeds, fetch: ['scores'] }, (name) => `${prefixName} ${name}`),
    };
  }

  /** Has keys and values of these tokens computed where they are not there yet. @returns the beginning of their slots' names */
  private async share(tokens: readonly number[]): Promise<string> {
    if (tokens.length === 0) return '';
    const key = tokens.join(' ');
    const known = this.prefixes.get(key) ?? (await this.computePrefix(tokens));
    this.prefixes.delete(key);
    this.prefixes.set(key, known);
    let bytes = [...this.prefixes.values()].reduce((sum, kept) => sum + kept.bytes, 0);
    for (const [oldest, unused] of this.prefixes) {
      if (bytes <= keptPrefixBytes || oldest === key) break;
      this.prefixes.delete(oldest);
      bytes -= unused.bytes;
      await this.dropPrefix(unused.name);
    }
    return known.name;
  }

  private async computePrefix(tokens: readonly number[]): Promise<{ name: string; bytes: number }> {
    const { config } = this.executor;
    const n = tokens.length;
    const name = `prefix ${this.named++}`;
    const build = (weights: GraphWeights) => prefixGraph(config, weights, n);
    const program = await this.executor.program(`prefix ${n}`, build, hints);
    await this.executor.run(program, {
      feeds: {
        input_ids: int64([1, n], tokens),
        positions: int64([1, n], tokens.keys()),
        mask: bool(
          [1, 1, n, n],
          Uint8Array.from({ length: n * n }, (_, i) => (i % n <= Math.floor(i / n) ? 1 : 0)),
        ),
      },
      to: Object.fromEntries(cacheNames(config).map(({ past, present }) => [present, `${name} ${past}`])),
      fetch: [],
    });
    const bytes = pastInputs(config, 1, n).reduce(
      (sum, { key, value }) => sum + bytesOf(key) + bytesOf(value),
      0,
    );
    return { name, bytes };
  }

  async close(): Promise<void> {
    await this.executor.close();
  }
}
