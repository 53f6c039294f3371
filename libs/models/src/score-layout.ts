/** A prompt with the trie of its candidates as one row, in which each node attends to the prompt and its ancestors. Pure. */
import { candidateTree } from './candidate-tree.js';

export interface ScoreRequest {
  /** At least one token. */
  readonly prompt: Int32Array;
  /** Token sequences, none of them empty. */
  readonly candidates: readonly Int32Array[];
  /** Tokens at the start of the prompt that many others begin with: computed once, and kept. Default 0. */
  readonly shared?: number;
}

export interface Layout {
  /** Tokens at the start that are computed apart. */
  readonly prefix: number;
  readonly tokens: readonly number[];
  readonly positions: readonly number[];
  /** Index in the row of what each token follows; −1 at the start. */
  readonly parents: readonly number[];
  /** A token asked of the model after the token at `row`. */
  readonly edges: readonly { readonly row: number; readonly token: number }[];
  /** For each candidate the edges whose log-probabilities add up to its own. */
  readonly paths: readonly (readonly number[])[];
}

/** Lengths of prefixes and of rows are multiples, so that few graphs serve all. */
const prefixGranule = 8;
const rowGranule = 16;

/** What is shared in whole granules; the prompt keeps one token at least. */
function prefixOf({ prompt, shared = 0 }: ScoreRequest): number {
  return prefixGranule * Math.floor(Math.min(shared, prompt.length - 1) / prefixGranule);
}

export function layout(request: ScoreRequest): Layout {
  const { prompt, candidates } = request;
  const tree = candidateTree(candidates);
  const root = prompt.length - 1;
  const positions = Array.from(prompt.keys());
  for (const place of tree.parents) positions.push(positions[root + place] + 1);
  return {
    prefix: prefixOf(request),
    tokens: [...prompt, ...tree.tokens],
    positions,
    parents: [...Array.from(prompt, (_, i) => i - 1), ...tree.parents.map((place) => root + place)],
    edges: tree.edges.map(({ place, token }) => ({ row: root + place, token })),
    paths: tree.paths,
  };
}

/** Tokens of the row that goes through the model, padding included. */
export function paddedLength({ tokens, prefix }: Layout): number {
  return rowGranule * Math.ceil((tokens.length - prefix) / rowGranule);
}

export function prefixTokens({ tokens, prefix }: Layout): readonly number[] {
  return tokens.slice(0, prefix);
}

/** Log-probability of each candidate by those of its edges. */
export function candidateScores({ paths }: Layout, edgeScores: Float32Array): Float64Array {
  return Float64Array.from(paths, (path) => path.reduce((sum, edge) => sum + edgeScores[edge], 0));
}
