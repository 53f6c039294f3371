import { canonicalJson, sha256 } from '@emotune/base';
import { reading } from '@emotune/engine';
import type { Model } from '@emotune/models';
import type { Row } from './batches.js';
import { bytesOf } from './bytes.js';
import type { Candidates } from './candidate-rows.js';
import type { TrainSpec } from './spec.js';
import type { TeacherAnswer } from './teacher-answers.js';

/** The hash of everything that decides a run's result: a checkpoint of another run must not be gone on from. */
export function runHash(
  model: Model,
  rows: readonly (readonly Row[])[],
  spec: TrainSpec,
  begins: 'anew' | 'from another',
): string {
  const candidates = new Map<Candidates, string>();
  const taught = ({ choices, probabilities, gold }: TeacherAnswer) => {
    const known = candidates.get(choices.candidates) ?? sha256(choices.candidates.join(' '));
    candidates.set(choices.candidates, known);
    return [gold, choices.ended, known, sha256(bytesOf(probabilities))];
  };
  const hash = (row: Row) => [
    row.id,
    row.task,
    row.answerStart,
    sha256(bytesOf(row.tokens)),
    ...(row.teacher ? [taught(row.teacher)] : []),
  ];
  return sha256(
    canonicalJson({
      // What follows changes no number, or the last bits of some.
      spec: {
        ...spec,
        threads: 0,
        device: 0,
        ranks: 0,
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
