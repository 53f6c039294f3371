/** Candidate answers as a trie of tokens, so that what they begin alike with is computed once. Pure. */

/** Places count from the last token of the prompt, 0; the tokens of an answer come next, then those of the tree. */
export interface CandidateTree {
  /** Tokens of the answer, which the tree does not repeat. */
  readonly answerLength: number;
  readonly tokens: readonly number[];
  /** Place of what each token of the tree follows. */
  readonly parents: readonly number[];
  /** A token asked after the token at `place`. */
  readonly edges: readonly { readonly place: number; readonly token: number }[];
  /** For each candidate the edges whose log-probabilities add up to its own. */
  readonly paths: readonly (readonly number[])[];
}

/** The trie of the candidates, none of them empty; what it shares with an answer that lies before it is not repeated. */
export function candidateTree(
  candidates: readonly Int32Array[],
  answer: Int32Array = new Int32Array(),
): CandidateTree {
  const tokens: number[] = [];
  const parents: number[] = [];
  const edges: { place: number; token: number }[] = [];
  const nodes = new Map<string, number>();
  const edgeOf = new Map<string, number>();
  for (const [i, token] of answer.entries()) nodes.set(`${i} ${token}`, i + 1);
  const paths = candidates.map((candidate) => {
    let place = 0;
    return Array.from(candidate, (token, i) => {
      const key = `${place} ${token}`;
      const edge = edgeOf.get(key) ?? edges.push({ place, token }) - 1;
      edgeOf.set(key, edge);
      // Only tokens that something follows need a place.
      if (i + 1 < candidate.length) {
        let node = nodes.get(key);
        if (node === undefined) {
          parents.push(place);
          node = answer.length + tokens.push(token);
          nodes.set(key, node);
        }
        place = node;
      }
      return edge;
    });
  });
  return { answerLength: answer.length, tokens, parents, edges, paths };
}
