/**
 * Where the embeddings of a new model begin: each token's row says how much more often than others the answers were given
 * of texts that hold it. Naive Bayes by counting, so that a model need not first find out which words matter. Pure.
 */
import type { Example } from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { Tokenizer } from '@emotune/text';

/** Rows that answer a question in one way, or the sum of their numbers, in all and by token. */
interface Sums {
  all: number;
  readonly byToken: Float64Array;
}

/** Rows of one source and task, of which each token is counted once a text. */
interface Group {
  readonly rows: Sums;
  readonly squares: { all: number };
  readonly answers: Map<string, Sums>;
}

/** Rows of an average token that are added to those counted: what is rare says little. */
const shrinkage = 9;
/** Root mean squares of what counts say and of the noise that tells tokens apart; a new model's usual one is 0.02. */
const said = 0.05;
const noise = 0.02;
/** Counts say at most so many times their root mean square. */
const most = 5;
/** The answer of regressions. */
const value = '';

function newSums(size: number): Sums {
  return { all: 0, byToken: new Float64Array(size) };
}

function add(sums: Sums, tokens: readonly number[], amount: number): void {
  sums.all += amount;
  for (const token of tokens) sums.byToken[token] += amount;
}

function groupsOf(examples: readonly Example[], tokenizer: Tokenizer): Group[] {
  const { vocabSize } = tokenizer;
  const groups = new Map<string, Group>();
  const known = new Map<string, readonly number[]>();
  for (const { source, task, emotion, text, gold } of examples) {
    let tokens = known.get(text);
    if (!tokens) {
      tokens = [...new Set(tokenizer.encode(` ${text.replace(/\s+/g, ' ')}`))];
      known.set(text, tokens);
    }
    const name = JSON.stringify([source, task, emotion]);
    const group = groups.get(name) ?? { rows: newSums(vocabSize), squares: { all: 0 }, answers: new Map() };
    groups.set(name, group);
    add(group.rows, tokens, 1);
    const answers =
      gold.value === null ? gold.labels.map((label) => [label, 1] as const) : [[value, gold.value] as const];
    for (const [answer, amount] of answers) {
      const sums = group.answers.get(answer) ?? newSums(vocabSize);
      group.answers.set(answer, sums);
      add(sums, tokens, amount);
      group.squares.all += amount ** 2;
    }
  }
  return [...groups.values()];
}

/**
 * Of each token: log p(label | token) / p(label), and the mean of numbers less the mean of all, in standard deviations.
 * Tokens that never occurred have 0.
 */
function featuresOf({ rows, squares, answers }: Group): Float64Array[] {
  return [...answers].map(([answer, { all, byToken }]) => {
    const mean = all / rows.all;
    const deviation = Math.sqrt(Math.max(0, squares.all / rows.all - mean ** 2)) || 1;
    return byToken.map((sum, token) => {
      const shrunk = (sum + shrinkage * mean) / (rows.byToken[token] + shrinkage);
      return answer === value ? (shrunk - mean) / deviation : Math.log(shrunk / mean);
    });
  });
}

/** Embeddings [vocabulary, width]: the features in random directions, and noise. The same for the same seed. */
export function affectiveEmbeddings(
  examples: readonly Example[],
  tokenizer: Tokenizer,
  { width, seed }: { readonly width: number; readonly seed: number },
): Float32Array {
  const rng = Rng.of(seed, 'affective embeddings');
  const table = new Float32Array(tokenizer.vocabSize * width);
  for (const feature of groupsOf(examples, tokenizer).flatMap(featuresOf)) {
    const direction = Float64Array.from({ length: width }, () => rng.normal());
    feature.forEach((x, token) => {
      if (x !== 0) for (let i = 0; i < width; i++) table[token * width + i] += x * direction[i];
    });
  }
  const scale = Math.sqrt(table.reduce((sum, x) => sum + x * x, 0) / table.length) || 1;
  return table.map((x) => said * Math.min(most, Math.max(-most, x / scale)) + noise * rng.normal());
}
