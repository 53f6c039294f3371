/** Parts of a `tokenizer.json` that are alike wherever one is made. */

/** An entry of `added_tokens`. */
export function addedToken(id: number, content: string, special: boolean): Record<string, unknown> {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

/** The `model`. With `unknown`, the token for what the vocabulary lacks, bytes stand in for it where they can. */
export function bpeModel({
  vocab,
  merges,
  unknown = null,
  ignoreMerges = false,
}: {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly unknown[];
  readonly unknown?: string | null;
  readonly ignoreMerges?: boolean | undefined;
}): Record<string, unknown> {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: unknown,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: unknown !== null,
    byte_fallback: unknown !== null,
    ignore_merges: ignoreMerges,
    vocab,
    merges,
  };
}
