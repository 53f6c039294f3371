/**
 * Log-likelihoods of candidate answers, without sampling: the prompt and the trie of all its candidates lie in one row,
 * each trie node attending to the prompt and its ancestors, so one forward pass scores every candidate of a batch of
 * prompts. (Tree attention as in speculative decoding: Miao et al. 2024, SpecInfer, section 4.) Where many prompts of a
 * call begin alike, keys and values of that beginning are computed once and attended to by all.
 */
import { InvalidArgument } from '@emotune/base';
import { bool, type ExecutorFactory, int64 } from '@emotune/engine';
import { build as b, sizeOf, type Value } from '@emotune/graph';
import { modelInputs } from './blocks.js';
import { candidateTree } from './candidate-tree.js';
import type { Model } from './checkpoint.js';
import { longestRow, type ModelConfig } from './config.js';
import { cacheNames, pastInputs, presentOutputs } from './kv-cache.js';
import { type GraphWeights, hiddenStates, logitsOf } from './model.js';
import { type LoadOptions, loaded, ModelExecutor, roundUp } from './model-executor.js';
import { prefixGroups } from './shared-prefix.js';

export interface ScoreRequest {
  /** At least one token. */
  readonly prompt: Int32Array;
  /** Token sequences, none of them empty. */
  readonly candidates: readonly Int32Array[];
}

/** A prompt with its trie, laid out as one row. */
interface Layout {
  /** Tokens of the prompt, which come first. */
  readonly prompt: number;
  readonly tokens: readonly number[];
  readonly positions: readonly number[];
  /** Index in the row of what each token follows; −1 at the start. */
  readonly parents: readonly number[];
  /** A token asked of the model after the token at `row`. */
  readonly edges: readonly { readonly row: number; readonly token: number }[];
  /** For each candidate the edges whose log-probabilities add up to its own. */
  readonly paths: readonly (readonly number[])[];
}

function layout({ prompt, candidates }: ScoreRequest): Layout {
  const tree = candidateTree(candidates);
  const root = prompt.length - 1;
  const positions = Array.from(prompt.keys());
  for (const place of tree.parents) positions.push(positions[root + place] + 1);
  return {
    prompt: prompt.length,
    tokens: [...prompt, ...tree.tokens],
    positions,
    parents: [...Array.from(prompt, (_, i) => i - 1), ...tree.parents.map((place) => root + place)],
    edges: tree.edges.map(({ place, token }) => ({ row: root + place, token })),
    paths: tree.paths,
  };
}

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

const granule = 16;
/** Padded tokens of one forward pass: activations stay in the cache (4,096 took 1.6 times the processor time). */
const batchTokens = 512;
/** Tokens that a shared prefix must save: what half a forward pass has. */
const worthwhile = batchTokens / 2;

const paddedLength = ({ tokens }: Layout, prefix: number) =>
  Math.ceil((tokens.length - prefix) / granule) * granule;

interface Batch {
  readonly members: readonly number[];
  /** Tokens at the start that all have in common and do not compute themselves. */
  readonly prefix: number;
}

/**
 * Which of the layouts `some` go through the model together: by the graph they need, at most `batchTokens` with padding,
 * one at least.
 */
function batchesOf(layouts: readonly Layout[], some: readonly number[], prefix: number): Batch[] {
  const order = [...some].sort(
    (p, q) =>
      // Questions with as many edges most often share their candidates, and so a graph.
      layouts[p].edges.length - layouts[q].edges.length ||
      layouts[p].tokens.length - layouts[q].tokens.length,
  );
  const batches: Batch[] = [];
  let open: number[] = [];
  let longest = 0;
  for (const i of order) {
    longest = Math.max(longest, paddedLength(layouts[i], prefix));
    if (open.length > 0 && (open.length + 1) * longest > batchTokens) {
      batches.push({ members: open, prefix });
      [open, longest] = [[], paddedLength(layouts[i], prefix)];
    }
    open.push(i);
  }
  return open.length > 0 ? [...batches, { members: open, prefix }] : batches;
}

/** One executor, and the prefix whose keys and values lie there. */
class Lane {
  private prefix = '';

  constructor(private readonly executor: ModelExecutor) {}

  /** Log-probabilities of every edge of every row, whose first `prefix` tokens are the same. */
  async forward(rows: readonly Layout[], prefix: number): Promise<Float32Array[]> {
    const { config } = this.executor;
    await this.share(rows[0].tokens.slice(0, prefix));
    const sequence = rows.reduce((top, row) => Math.max(top, paddedLength(row, prefix)), granule);
    const batch = Math.min(roundUp(rows.length), Math.max(rows.length, Math.floor(batchTokens / sequence)));
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
    const shape = { prefix, batch, sequence, asked: roundUp(asked.length), edges: roundUp(edge.length) };
    const program = await this.executor.program(JSON.stringify(shape), (weights) =>
      scoreGraph(config, weights, shape),
    );
    const pad = (values: readonly number[], n: number) => [
      ...values,
      ...new Array<number>(n - values.length).fill(0),
    ];
    const feeds = {
      input_ids: int64([batch, sequence], ids),
      positions: int64([batch, sequence], positions),
      mask: bool([batch, 1, sequence, keys], mask),
      asked_index: int64([shape.asked], pad(asked, shape.asked)),
      edge: int64([shape.edges], pad(edge, shape.edges)),
    };
    const { scores } = await this.executor.run(program, { feeds, fetch: ['scores'] });
    let end = 0;
    return rows.map(({ edges }) => {
      const begin = end;
      end += edges.length;
      return (scores.data as Float32Array).slice(begin, end);
    });
  }

  /** Has keys and values of these tokens computed where they are not those that lie there. */
  private async share(tokens: readonly number[]): Promise<void> {
    const name = tokens.join(' ');
    if (tokens.length === 0 || name === this.prefix) return;
    const { config } = this.executor;
    const n = tokens.length;
    const program = await this.executor.program(`prefix ${n}`, (weights) => prefixGraph(config, weights, n));
    this.prefix = '';
    await this.executor.run(program, {
      feeds: {
        input_ids: int64([1, n], tokens),
        positions: int64([1, n], tokens.keys()),
        mask: bool(
          [1, 1, n, n],
          Uint8Array.from({ length: n * n }, (_, i) => (i % n <= Math.floor(i / n) ? 1 : 0)),
        ),
      },
      to: Object.fromEntries(cacheNames(config).map(({ past, present }) => [present, past])),
      fetch: [],
    });
    this.prefix = name;
  }

  async close(): Promise<void> {
    await this.executor.close();
  }
}

/** Up to this size a model is held once per thread: its layers are too small to be worth dividing. */
const smallModelBytes = 256 * 1024 * 1024;

/** A model that answers by likelihood. Holds threads of its own; close it. */
export class Scorer {
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly lanes: readonly Lane[],
    private readonly config: ModelConfig,
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
    while (lanes.length < count)
      lanes.push(new Lane(await ModelExecutor.create(ready, executorOf({ threads: threads / count }))));
    return new Scorer(lanes, model.config);
  }

  /**
   * For each request, log p(candidate | prompt) of each candidate in nats. The same call gives the same bits; what else
   * is in a call changes the order in which float32 numbers are added, and a score by about 1e-6 a token.
   * @throws InvalidArgument when a prompt or candidate is empty or a row is longer than the model allows.
   */
  async score(requests: readonly ScoreRequest[]): Promise<Float64Array[]> {
    const layouts = requests.map((request, i) => {
      if (request.prompt.length === 0)
        throw InvalidArgument.at(`requests[${i}].prompt`, 'expected tokens, got none');
      const empty = request.candidates.findIndex((candidate) => candidate.length === 0);
      if (empty >= 0)
        throw InvalidArgument.at(`requests[${i}].candidates[${empty}]`, 'expected tokens, got none');
      const laid = layout(request);
      const last = laid.positions.reduce((top, p) => Math.max(top, p), 0);
      if (last >= longestRow(this.config)) {
        throw InvalidArgument.at(
          `requests[${i}]`,
          `expected at most ${longestRow(this.config)} tokens, got ${last + 1}`,
        );
      }
      return laid;
    });
    // One call after another, so that no graph is compiled twice or dropped while in use.
    const scored = this.last.then(() => this.scoreAll(layouts));
    this.last = scored.catch(() => undefined);
    return scored;
  }

  private async scoreAll(layouts: readonly Layout[]): Promise<Float64Array[]> {
    const results = new Array<Float64Array>(layouts.length);
    const prompts = layouts.map(({ tokens, prompt }) => Int32Array.from(tokens.slice(0, prompt)));
    const cost = { granule, copies: this.lanes.length, worthwhile };
    const batches = prefixGroups(prompts, cost)
      .flatMap(({ members, length }) => batchesOf(layouts, members, length))
      .values();
    // Each lane takes the next batch when it is done with one.
    const ends = await Promise.allSettled(
      this.lanes.map(async (lane) => {
        for (const { members, prefix } of batches) {
          const scores = await lane.forward(
            members.map((i) => layouts[i]),
            prefix,
          );
          members.forEach((i, n) => {
            results[i] = Float64Array.from(layouts[i].paths, (path) =>
              path.reduce((sum, edge) => sum + scores[n][edge], 0),
            );
          });
        }
      }),
    );
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    return results;
  }

  async close(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.close()));
  }
}
