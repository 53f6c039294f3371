import { canonicalJson, sha256 } from '@emotune/base';
import { reading } from '@emotune/engine';
import type { Model } from '@emotune/models';
import type { Row } from './batches.js';
import type { TrainSpec } from './spec.js';

function bytesOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The hash of everything that decides a run's result: a checkpoint of another run must not be gone on from. */
export function runHash(
  model: Model,
  rows: readonly (readonly Row[])[],
  spec: TrainSpec,
  begins: 'anew' | 'from another',
): string {
  const hash = (row: Row) => [row.id, row.task, row.answerStart, sha256(bytesOf(row.tokens))];
  return sha256(
    canonicalJson({
      // What follows changes no number.
      spec: {
        ...spec,
        threads: 0,
        checkpointSeconds: 0,
        keepCheckpoints: 0,
        memoryLimitMiB: 0,
        recompute: 0,
      },
      config: model.config,
      weights: [...model.tensors].map(([name, tensor]) => [
        name,
        reading(tensor, ({ data }) => sha256(bytesOf(data))),
      ]),
      rows: rows.map((some) => some.map(hash)),
      begins,
    }),
  );
}
