import { canonicalJson } from '@emotune/base';
import { epochBatches, type Row } from './batches.js';
import { gridShape } from './candidate-rows.js';
import { digitShape } from './number-answers.js';
import type { Packing } from './packing.js';
import type { PlannedShape } from './plan.js';
import { comparesNumbers } from './regularisers/settings.js';
import type { TrainSpec } from './spec.js';

/** The shapes of the first epochs' batches, with what they are fed where candidates are compared. */
export function plannedShapes(rows: readonly Row[], spec: TrainSpec, packing: Packing): PlannedShape[] {
  if (!comparesNumbers(spec.loss) && !spec.distillation) return [...packing.shapes];
  const batches = spec.stages.flatMap((_, stage) =>
    epochBatches(rows, spec, packing, { stage, epoch: 0, stageTokens: 0 }),
  );
  return packing.shapes.map((shape) => {
    if (spec.loss.numberTokens) return { ...shape, digits: digitShape(rows, shape.answers) };
    const grids = batches.filter((b) => b.sequence === shape.sequence).map((b) => gridShape(b.rows));
    const sizes = new Map(grids.flatMap((grid) => (grid ? [[canonicalJson(grid), grid]] : [])));
    return { ...shape, grids: [...sizes.values()] };
  });
}
