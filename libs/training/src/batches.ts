/**
 * Which rows come when, and how they lie in a batch. Pure: the same rows, spec and cursor give the same batches, so a
 * run resumes by its cursor alone.
 */
import { Rng } from '@emotune/base';
import { bool, float32, type HostTensor } from '@emotune/engine';
import type { TrainSpec } from './spec.js';

/** One example. */
export interface Row {
  readonly id: string;
  /** The subtask, by which stages choose. */
  readonly task: string;
  readonly tokens: Int32Array;
  /** The loss is over tokens from this index on (token 0 is never predicted). */
  readonly answerStart: number;
}

/** Sequence lengths of graphs are multiples of this. */
const granule = 8;
/** Each graph keeps the memory of its activations, so there are not many. */
const maxLengths = 8;
/** Rows are sorted by length within windows of this many batches. */
const windowBatches = 16;

export interface Batch {
  readonly rows: readonly Row[];
  /** Static shape of its graph: B × T with n answers, padding included. */
  readonly batch: number;
  readonly sequence: number;
  readonly answers: number;
}

/** Which graphs serve the rows of a run. */
export interface Shapes {
  /** Padded tokens of one batch. */
  readonly batchTokens: number;
  /** Sequence lengths, ascending; the last one holds the longest row. */
  readonly lengths: readonly number[];
  /** Mean over the rows. */
  readonly answersPerRow: number;
}

function answersOf(row: Row): number {
  return row.tokens.length - Math.max(1, row.answerStart);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

/** A row's length, rounded up to what a graph can have. */
export function paddedLength(length: number): number {
  return Math.ceil(length / granule) * granule;
}

/**
 * The sequence lengths with which a run over `tokens` tokens of such rows takes the least time: fewer lengths mean
 * more padding, and each one costs a graph, whose compilation and first two runs take about as long as a batch.
 */
export function planShapes(rows: readonly Row[], batchTokens: number, tokens: number): Shapes {
  const counts = new Map<number, number>();
  for (const row of rows) {
    const length = paddedLength(row.tokens.length);
    counts.set(length, (counts.get(length) ?? 0) + 1);
  }
  const candidates = [...counts.keys()].sort((a, b) => a - b);
  const epochs = tokens / Math.max(1, sum(rows.map((row) => row.tokens.length)));
  const uses = candidates.map((length) => epochs * counts.get(length)!);
  // best[k][j]: the least cost of the first j candidates with k lengths, the last being candidate j − 1.
  const best = [[0, ...candidates.map(() => Number.POSITIVE_INFINITY)]];
  const from: number[][] = [[]];
  for (let k = 1; k <= Math.min(maxLengths, candidates.length); k++) {
    best.push([Number.POSITIVE_INFINITY]);
    from.push([-1]);
    for (let j = 1; j <= candidates.length; j++) {
      let [least, origin, used] = [Number.POSITIVE_INFINITY, -1, 0];
      for (let i = j - 1; i >= 0; i--) {
        used += uses[i];
        const cost = best[k - 1][i] + used * candidates[j - 1] + batchTokens;
        if (cost < least) [least, origin] = [cost, i];
      }
      best[k].push(least);
      from[k].push(origin);
    }
  }
  const lengths: number[] = [];
  const costs = best.map((row) => row[candidates.length]);
  for (let k = costs.indexOf(Math.min(...costs)), j = candidates.length; k > 0; j = from[k--][j])
    lengths.unshift(candidates[j - 1]);
  return { batchTokens, lengths, answersPerRow: sum(rows.map(answersOf)) / Math.max(1, rows.length) };
}

function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, n)));
}

/** Rows of like length together, each batch at most `batchTokens` padded tokens (one row at least), in the given order. */
export function batchRows(rows: readonly Row[], { batchTokens, lengths, answersPerRow }: Shapes): Batch[] {
  const graphLength = (length: number) => lengths.find((longest) => longest >= length)!;
  const batches: Batch[] = [];
  let open: Row[] = [];
  let longest = 0;
  const close = () => {
    if (open.length === 0) return;
    const sequence = graphLength(longest);
    const batch = Math.max(1, Math.floor(batchTokens / sequence));
    const answers = Math.max(powerOfTwo(batch * answersPerRow), powerOfTwo(sum(open.map(answersOf))));
    batches.push({ rows: open, batch, sequence, answers });
    [open, longest] = [[], 0];
  };
  for (const row of rows) {
    const next = Math.max(longest, row.tokens.length);
    if (open.length > 0 && (open.length + 1) * graphLength(next) > batchTokens) close();
    open.push(row);
    longest = Math.max(longest, row.tokens.length);
  }
  close();
  return batches;
}

/** The batches of one epoch of one stage: its own rows, and a draw of each earlier subtask's rows for replay. */
export function epochBatches(
  rows: readonly Row[],
  spec: TrainSpec,
  shapes: Shapes,
  stage: number,
  epoch: number,
): Batch[] {
  const { tasks, replay } = spec.stages[stage];
  const rng = Rng.of(spec.seed, 'stage', stage, 'epoch', epoch);
  const own = rows.filter((row) => tasks.includes(row.task));
  const before = new Set(spec.stages.slice(0, stage).flatMap((earlier) => earlier.tasks));
  const replayed = [...before]
    .filter((task) => !tasks.includes(task))
    .flatMap((task) =>
      rng
        .child('replay', task)
        .shuffle(rows.filter((row) => row.task === task))
        .slice(0, Math.round(own.length * replay)),
    );
  const mixed = rng.shuffle([...own, ...replayed]);
  const length = mixed.reduce((n, row) => n + row.tokens.length, 0) / Math.max(1, mixed.length);
  const window = Math.max(1, Math.round((windowBatches * spec.batchTokens) / Math.max(1, length)));
  const batches: Batch[] = [];
  for (let i = 0; i < mixed.length; i += window) {
    const sorted = mixed
      .slice(i, i + window)
      .sort((p, q) => p.tokens.length - q.tokens.length || (p.id < q.id ? -1 : 1));
    batches.push(...rng.child('window', i).shuffle(batchRows(sorted, shapes)));
  }
  return batches;
}

export interface Feeds {
  readonly feeds: Readonly<Record<string, HostTensor>>;
  /** For each answer that is not padding, the row it belongs to. */
  readonly rowOfAnswer: Int32Array;
  /** Tokens that are not padding. */
  readonly tokens: number;
}

/** The batch as tensors. Rows are padded on the right; padding attends to itself alone, so nothing is undefined. */
export function feedsOf({ rows, batch, sequence, answers }: Batch): Feeds {
  const ids = new BigInt64Array(batch * sequence);
  const positions = new BigInt64Array(batch * sequence);
  const mask = new Uint8Array(batch * sequence * sequence);
  const index = new BigInt64Array(answers);
  const target = new BigInt64Array(answers);
  const weight = new Float32Array(answers);
  const rowOfAnswer: number[] = [];
  let tokens = 0;
  for (let b = 0; b < batch; b++) {
    const row = rows[b];
    const length = row?.tokens.length ?? 0;
    tokens += length;
    for (let t = 0; t < sequence; t++) {
      const at = b * sequence + t;
      if (t >= length) {
        mask[at * sequence + t] = 1;
        continue;
      }
      ids[at] = BigInt(row.tokens[t]);
      positions[at] = BigInt(t);
      mask.fill(1, at * sequence, at * sequence + t + 1);
      if (t >= Math.max(1, row.answerStart)) {
        const n = rowOfAnswer.push(b) - 1;
        index[n] = BigInt(at - 1);
        target[n] = ids[at];
      }
    }
  }
  weight.fill(1 / Math.max(1, rowOfAnswer.length), 0, rowOfAnswer.length);
  return {
    feeds: {
      input_ids: { dtype: 'int64', shape: [batch, sequence], data: ids },
      positions: { dtype: 'int64', shape: [batch, sequence], data: positions },
      mask: bool([batch, 1, sequence, sequence], mask),
      answer_index: { dtype: 'int64', shape: [answers], data: index },
      answer_target: { dtype: 'int64', shape: [answers], data: target },
      answer_weight: float32([answers], weight),
    },
    rowOfAnswer: Int32Array.from(rowOfAnswer),
    tokens,
  };
}
