/**
 * Log-likelihoods of candidate answers, without sampling: the prompt and the trie of all its candidates lie in one row,
 * each trie node attending to the prompt and its ancestors, so one forward pass scores every candidate of a batch of
 * prompts. (Tree attention as in speculative decoding: Miao et al. 2024, SpecInfer, section 4.)
 */
import { InvalidArgument } from '@emotune/base';
import { bool, Executor, int64, type Session } from '@emotune/engine';
import { build as b, type Value } from '@emotune/graph';
import { modelInputs } from './blocks.js';
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import { GraphWeights, hiddenStates, logitsOf, type Method } from './model.js';
import { type Adapter, adaptedTensors } from './peft.js';

export interface ScoreRequest {
  /** At least one token. */
  readonly prompt: Int32Array;
  /** Token sequences, none of them empty. */
  readonly candidates: readonly Int32Array[];
}

/** A prompt with its trie, laid out as one row. */
interface Layout {
  readonly tokens: number[];
  readonly positions: number[];
  /** Index in the row of what each token follows; −1 at the start. */
  readonly parents: number[];
  /** A token asked of the model after the token at `row`. */
  readonly edges: { readonly row: number; readonly token: number }[];
  /** For each candidate the edges whose log-probabilities add up to its own. */
  readonly paths: number[][];
}

function layout({ prompt, candidates }: ScoreRequest): Layout {
  const tokens = Array.from(prompt);
  const positions = tokens.map((_, i) => i);
  const parents = tokens.map((_, i) => i - 1);
  const edges: Layout['edges'] = [];
  const edgeOf = new Map<string, number>();
  const nodeOf = new Map<number, number>();
  const paths = candidates.map((candidate) => {
    let row = prompt.length - 1;
    return Array.from(candidate, (token, i) => {
      const key = `${row} ${token}`;
      const edge = edgeOf.get(key) ?? edges.push({ row, token }) - 1;
      edgeOf.set(key, edge);
      if (i + 1 < candidate.length) {
        // Only tokens that something follows need a place in the row.
        let node = nodeOf.get(edge);
        if (node === undefined) {
          node = tokens.push(token) - 1;
          positions.push(positions[row] + 1);
          parents.push(row);
          nodeOf.set(edge, node);
        }
        row = node;
      }
      return edge;
    });
  });
  return { tokens, positions, parents, edges, paths };
}

interface ScoreShape {
  readonly batch: number;
  readonly sequence: number;
  /** Distinct rows that are asked, and questions, padding included. */
  readonly asked: number;
  readonly edges: number;
}

/** `scores` [edges]: log-probability of the token `edge` picks in the flat [asked, V] table, at hidden rows `asked_index`. */
function scoreGraph(
  config: ModelConfig,
  method: Method,
  { batch, sequence, asked, edges }: ScoreShape,
): Record<string, Value> {
  const weights = new GraphWeights(config, method);
  const rows = b.input('asked_index', 'int64', [asked]);
  const hidden = hiddenStates(config, weights, modelInputs(batch, sequence), rows);
  const table = b.reshape(b.logSoftmax(logitsOf(weights, hidden)), [asked * config.vocabSize]);
  return { scores: b.gather(table, b.input('edge', 'int64', [edges])) };
}

/** n rounded up to three significant bits: few graphs serve all sizes, and less than a quarter is padding. */
function roundUp(n: number): number {
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(Math.max(1, n))) - 3);
  return Math.max(1, Math.ceil(n / step) * step);
}

const granule = 16;
/** Padded tokens of one forward pass: activations stay in the cache (4,096 took 1.6 times the processor time). */
const batchTokens = 512;
/** Compiled graphs that are kept, the last used ones. */
const keptSessions = 64;

function paddedLength({ tokens }: Layout): number {
  return Math.ceil(tokens.length / granule) * granule;
}

/** Which layouts go through the model together: by the graph they need, at most `batchTokens` with padding, one at least. */
function batchesOf(layouts: readonly Layout[]): number[][] {
  const order = [...layouts.keys()].sort(
    (p, q) =>
      // Questions with as many edges most often share their candidates, and so a graph.
      layouts[p].edges.length - layouts[q].edges.length ||
      layouts[p].tokens.length - layouts[q].tokens.length,
  );
  const batches: number[][] = [];
  let open: number[] = [];
  let longest = 0;
  for (const i of order) {
    longest = Math.max(longest, paddedLength(layouts[i]));
    if (open.length > 0 && (open.length + 1) * longest > batchTokens) {
      batches.push(open);
      [open, longest] = [[], paddedLength(layouts[i])];
    }
    open.push(i);
  }
  return open.length > 0 ? [...batches, open] : batches;
}

/** One executor with the model's weights and the graphs it compiled. */
class Lane {
  /** By shape, the last used one last. */
  private readonly sessions = new Map<string, Session>();

  constructor(
    private readonly executor: Executor,
    private readonly config: ModelConfig,
    private readonly method: Method,
  ) {}

  /** Log-probabilities of every edge of every row. */
  async forward(rows: readonly Layout[]): Promise<Float32Array[]> {
    const sequence = rows.reduce((top, row) => Math.max(top, paddedLength(row)), granule);
    const batch = Math.min(roundUp(rows.length), Math.max(rows.length, Math.floor(batchTokens / sequence)));
    const ids = new Array<number>(batch * sequence).fill(0);
    const positions = new Array<number>(batch * sequence).fill(0);
    const mask = new Uint8Array(batch * sequence * sequence);
    const asked: number[] = [];
    const edge: number[] = [];
    for (let r = 0; r < batch; r++) {
      const row = rows[r];
      for (let t = 0; t < sequence; t++) {
        const at = r * sequence + t;
        // Padding attends to itself, so that nothing is undefined.
        mask[at * sequence + t] = 1;
        if (row === undefined || t >= row.tokens.length) continue;
        ids[at] = row.tokens[t];
        positions[at] = row.positions[t];
        for (let a = row.parents[t]; a >= 0; a = row.parents[a]) mask[at * sequence + a] = 1;
      }
      const place = new Map<number, number>();
      for (const { row: at, token } of row?.edges ?? []) {
        const n = place.get(at) ?? asked.push(r * sequence + at) - 1;
        place.set(at, n);
        edge.push(n * this.config.vocabSize + token);
      }
    }
    const shape = { batch, sequence, asked: roundUp(asked.length), edges: roundUp(edge.length) };
    const session = await this.session(shape);
    const pad = (values: readonly number[], n: number) => [
      ...values,
      ...new Array<number>(n - values.length).fill(0),
    ];
    const feeds = {
      input_ids: int64([batch, sequence], ids),
      positions: int64([batch, sequence], positions),
      mask: bool([batch, 1, sequence, sequence], mask),
      asked_index: int64([shape.asked], pad(asked, shape.asked)),
      edge: int64([shape.edges], pad(edge, shape.edges)),
    };
    const from = Object.fromEntries(
      Object.keys(session.model.inputs)
        .filter((name) => !(name in feeds))
        .map((name) => [name, name]),
    );
    const { scores } = await this.executor.run(session, { feeds, from, fetch: ['scores'] });
    let end = 0;
    return rows.map(({ edges }) => {
      const begin = end;
      end += edges.length;
      return (scores.data as Float32Array).slice(begin, end);
    });
  }

  private async session(shape: ScoreShape): Promise<Session> {
    const key = JSON.stringify(shape);
    const session =
      this.sessions.get(key) ?? (await this.executor.load(scoreGraph(this.config, this.method, shape)));
    this.sessions.delete(key);
    this.sessions.set(key, session);
    if (this.sessions.size > keptSessions) {
      const [oldest, unused] = this.sessions.entries().next().value!;
      this.sessions.delete(oldest);
      await this.executor.release(unused);
    }
    return session;
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

  static async create(model: Model, options: { adapter?: Adapter; threads?: number } = {}): Promise<Scorer> {
    const { adapter, threads = 1 } = options;
    const method: Method = adapter ? { name: 'lora', ...adapter.lora } : { name: 'full' };
    const tensors = [...(adapter ? adaptedTensors(model, adapter) : model.tensors)];
    const bytes = tensors.reduce((sum, [, { data }]) => sum + data.byteLength, 0);
    const lanes = bytes > smallModelBytes ? 1 : threads;
    const executors = Array.from({ length: lanes }, () => Executor.create({ threads: threads / lanes }));
    for (const executor of executors) for (const [name, tensor] of tensors) await executor.put(name, tensor);
    return new Scorer(
      executors.map((executor) => new Lane(executor, model.config, method)),
      model.config,
    );
  }

  /**
   * For each request, log p(candidate | prompt) of each candidate in nats.
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
      if (this.config.family !== 'bloom' && last >= this.config.maxPositions) {
        throw InvalidArgument.at(
          `requests[${i}]`,
          `expected at most ${this.config.maxPositions} tokens, got ${last + 1}`,
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
    const batches = batchesOf(layouts).values();
    // Each lane takes the next batch when it is done with one.
    const ends = await Promise.allSettled(
      this.lanes.map(async (lane) => {
        for (const members of batches) {
          const scores = await lane.forward(members.map((i) => layouts[i]));
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
