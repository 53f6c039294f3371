import { InvalidArgument } from '@emotune/base';
import type { Row } from './batches.js';
import type { TrainSpec } from './spec.js';

/** @throws InvalidArgument naming a row that is too long, or a stage whose tasks no row has. */
export function checkRows(rows: readonly Row[], spec: TrainSpec, maxPositions: number): void {
  const tooLong = rows.find((row) => row.tokens.length > maxPositions);
  if (tooLong)
    throw InvalidArgument.at(
      `rows.${tooLong.id}`,
      `expected at most ${maxPositions} tokens, got ${tooLong.tokens.length}`,
    );
  spec.stages.forEach(({ tasks }, i) => {
    if (!rows.some((row) => tasks.includes(row.task))) {
      const have = [...new Set(rows.map((row) => row.task))].join(', ');
      throw InvalidArgument.at(
        `stages[${i}].tasks`,
        `expected tasks that the rows have (${have}), got ${tasks.join(', ')}`,
      );
    }
  });
}
