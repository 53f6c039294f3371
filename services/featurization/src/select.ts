/**
 * How often each row of a split goes in: rows are left out where there are more than asked for, and those of rare labels go in
 * more than once where labels are balanced. The same rows, seed and settings give the same choice.
 */
import { type Example, type Task, tasks } from '@emotune/affect';
import { grown, sha256 } from '@emotune/base';

/**
 * Shares `limit` among groups in proportion to their weights, by largest remainders, none more than its size; each group gets one
 * at least while there are enough for all.
 */
export function allot(sizes: readonly number[], limit: number, weights: readonly number[] = sizes): number[] {
  if (sum(sizes) <= limit) return [...sizes];
  const total = sum(weights);
  const least = sizes.filter((size) => size > 0).length <= limit ? 1 : 0;
  const shares = sizes.map((size) => Math.min(size, least));
  // What lies above the share that a group has, largest first.
  let left = limit - sum(shares);
  while (left > 0) {
    let neediest = -1;
    let most = Number.NEGATIVE_INFINITY;
    sizes.forEach((size, i) => {
      const need = (weights[i] * limit) / total - shares[i];
      if (shares[i] < size && need > most) [neediest, most] = [i, need];
    });
    // Whole shares at once where a group is far behind.
    const step = Math.min(left, Math.max(1, Math.floor(most)), sizes[neediest] - shares[neediest]);
    shares[neediest] += step;
    left -= step;
  }
  return shares;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** Hexadecimal digits that a number holds exactly. */
const exactDigits = 13;
/** A row goes in at most so often, each time asked otherwise. */
const mostCopies = 4;

/**
 * Rows that each stratum of a source would have: proportional to size^(1 − balance), as languages are sampled for multilingual
 * models (Arivazhagan et al. 2019, section 4.1, temperature 1/(1 − balance)), where the largest keeps its own.
 */
export function tempered(sizes: readonly number[], balance: number): number[] {
  const largest = Math.max(...sizes);
  return sizes.map((size) => largest ** balance * size ** (1 - balance));
}

/** How often a label occurs. */
interface LabelCount {
  readonly task: Task;
  readonly source: string;
  readonly label: string;
  /** Rows of the split whose gold has it. */
  readonly available: number;
  /** Times that such a row goes in. */
  readonly chosen: number;
}

export interface Selected {
  /** How often each row goes in, in their order. */
  readonly copies: Uint8Array;
  readonly labels: readonly LabelCount[];
}

export interface SelectionOptions {
  /** Rows of each task at most; 0 keeps all. */
  readonly limit: number;
  readonly seed: number;
  /** 0: labels as often as they occur; 1: alike, as far as copies reach. */
  readonly balance: number;
}

/** Rows of one subtask, source and gold: labels as they are, numbers by emotion and tercile. */
interface Combination {
  readonly task: Task;
  readonly source: string;
  /** Empty for numbers. */
  readonly labels: readonly string[];
  readonly key: string;
}

/** Rows that must not all be lost: of one source and label, the rarest that a row has; or of one emotion and tercile. */
interface Stratum {
  readonly task: Task;
  readonly source: string;
  readonly labelled: boolean;
  /** By rank. */
  readonly rows: number[];
}

const labelKey = ({ task, source }: Combination, label: string) => JSON.stringify([task, source, label]);

/** By subtask, source and label, the sum over the combinations that have it. */
function labelSums(combinations: readonly Combination[], sums: readonly number[]): Map<string, number> {
  const totals = new Map<string, number>();
  combinations.forEach((combination, i) => {
    for (const label of combination.labels) {
      const key = labelKey(combination, label);
      totals.set(key, (totals.get(key) ?? 0) + sums[i]);
    }
  });
  return totals;
}

/** How many rows go in of each stratum of a subtask, copies counted. */
function sharesOf(strata: readonly Stratum[], { limit, balance }: SelectionOptions): number[] {
  const weights = strata.map(({ rows }) => rows.length);
  const most = strata.map(({ rows, labelled }) => (labelled && balance > 0 ? mostCopies : 1) * rows.length);
  for (const source of new Set(strata.map((stratum) => stratum.source))) {
    const at = [...strata.keys()].filter((i) => strata[i].labelled && strata[i].source === source);
    tempered(
      at.map((i) => weights[i]),
      balance,
    ).forEach((weight, n) => {
      weights[at[n]] = weight;
    });
  }
  const wanted = weights.map((weight, i) => Math.min(most[i], Math.round(weight)));
  return limit === 0 || sum(wanted) <= limit ? wanted : allot(most, limit, weights);
}

/** Chooses among the rows that it is shown, of which it keeps a few bytes each. */
export class Selection {
  private readonly combinations: Combination[] = [];
  private readonly numbers = new Map<string, number>();
  /** Of each row. */
  private combinationOf = new Int32Array(1024);
  private ranks = new Float64Array(1024);
  private rows = 0;

  constructor(private readonly options: SelectionOptions) {}

  add({
    id,
    task,
    source,
    gold,
    emotion,
  }: Pick<Example, 'id' | 'task' | 'source' | 'gold' | 'emotion'>): void {
    const labels = gold.value === null ? [...gold.labels].sort() : [];
    const tercile = Math.min(2, Math.floor((gold.value ?? 0) * 3));
    const key = JSON.stringify([task, source, gold.value === null ? labels : `${emotion ?? ''} ${tercile}`]);
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = this.combinations.push({ task, source, labels, key }) - 1;
      this.numbers.set(key, number);
    }
    const row = this.rows++;
    this.combinationOf = grown(this.combinationOf, this.rows);
    this.ranks = grown(this.ranks, this.rows);
    this.combinationOf[row] = number;
    const hash = sha256(JSON.stringify([this.options.seed, 'select', id]));
    this.ranks[row] = Number.parseInt(hash.slice(0, exactDigits), 16);
  }

  /** Of each combination. */
  private sums(copies: Uint8Array): number[] {
    const sums = this.combinations.map(() => 0);
    copies.forEach((count, row) => {
      sums[this.combinationOf[row]] += count;
    });
    return sums;
  }

  private strata(available: ReadonlyMap<string, number>): Stratum[] {
    const strata = new Map<string, Stratum>();
    const of = this.combinations.map((combination) => {
      const { task, source, labels, key } = combination;
      const count = (label: string) => available.get(labelKey(combination, label))!;
      const rarest = labels.toSorted((a, b) => count(a) - count(b) || (a < b ? -1 : 1)).at(0);
      const at = rarest === undefined ? key : labelKey(combination, rarest);
      const known = strata.get(at) ?? { task, source, labelled: labels.length > 0, rows: [] };
      strata.set(at, known);
      return known;
    });
    for (let row = 0; row < this.rows; row++) of[this.combinationOf[row]].rows.push(row);
    for (const { rows } of strata.values()) rows.sort((a, b) => this.ranks[a] - this.ranks[b]);
    return [...strata.values()];
  }

  selected(): Selected {
    const available = labelSums(this.combinations, this.sums(new Uint8Array(this.rows).fill(1)));
    const strata = this.strata(available);
    const copies = new Uint8Array(this.rows);
    for (const task of tasks) {
      const own = strata.filter((stratum) => stratum.task === task);
      const shares = sharesOf(own, this.options);
      own.forEach(({ rows }, i) => {
        rows.forEach((row, rank) => {
          copies[row] = Math.floor(shares[i] / rows.length) + Number(rank < shares[i] % rows.length);
        });
      });
    }
    const chosen = labelSums(this.combinations, this.sums(copies));
    const labels = [...available].map(([key, rows]): LabelCount => {
      const [task, source, label] = JSON.parse(key) as [Task, string, string];
      return { task, source, label, available: rows, chosen: chosen.get(key)! };
    });
    return { copies, labels };
  }
}
