/** Which rows of a source go in when there are more than asked for. */
import type { SourceExample } from '@emotune/affect';
import { grown } from '@emotune/base';
import { textKey } from '@emotune/text';
import { rankOf } from './stratify.js';

type Examples = () => AsyncIterable<SourceExample>;

/**
 * `limit` rows by the seeded order of their texts, rows of one text by their ids: 1 for each that goes in, in the order of the
 * examples. They pass once, and again where ids decide; undefined when all go in.
 */
export async function chosenRows(
  examples: Examples,
  limit: number,
  seed: number,
): Promise<Uint8Array | undefined> {
  if (limit <= 0) return undefined;
  let ranks = new Float64Array(1024);
  let rows = 0;
  for await (const { text } of examples()) {
    ranks = grown(ranks, rows + 1);
    ranks[rows++] = rankOf(`limit\u0000${textKey(text)}`, seed);
  }
  if (rows <= limit) return undefined;
  ranks = ranks.subarray(0, rows);
  const last = ranks.slice().sort()[limit - 1];
  const chosen = Uint8Array.from(ranks, (rank) => Number(rank < last));
  let left = limit - chosen.reduce((sum, one) => sum + one, 0);
  const tied: { row: number; id: string }[] = [];
  let row = 0;
  for await (const { id } of examples()) {
    if (ranks[row] === last) tied.push({ row, id });
    row++;
  }
  for (const { row: next } of tied.sort((a, b) => (a.id < b.id ? -1 : 1))) if (left-- > 0) chosen[next] = 1;
  return chosen;
}
