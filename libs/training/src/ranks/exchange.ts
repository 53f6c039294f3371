/** What the ranks of one run say to each other. Every rank makes the same calls in the same order. */
export interface Exchange {
  /** This one's place, from 0: the one that decides, reports and keeps. */
  readonly rank: number;
  readonly ranks: number;
  /** Every rank's values become the sum of all, added in a fixed order: the same bits on each. @throws LostRank */
  sum(values: Float32Array | Float64Array): Promise<void>;
  /** What rank 0 says, which alone gives it. @throws LostRank */
  share(said?: Uint8Array): Promise<Uint8Array>;
}

/** Of a run in one process. */
export const alone: Exchange = {
  rank: 0,
  ranks: 1,
  sum: async () => {},
  share: async (said) => said!,
};
