import { type Batch, type EpochPlace, epochBatches, type Row } from './batches.js';
import type { Packing } from './packing.js';
import type { TrainSpec } from './spec.js';

/** The batches of a run, epoch by epoch: each epoch is packed once, however often it is asked for in a row. */
export class Epochs {
  private last: { readonly place: EpochPlace; readonly batches: readonly Batch[] } | undefined;

  constructor(
    private readonly rows: readonly Row[],
    private readonly spec: TrainSpec,
    private readonly packing: Packing,
  ) {}

  at(place: EpochPlace): readonly Batch[] {
    const { stage, epoch, stageTokens } = place;
    const { place: known, batches } = this.last ?? {};
    if (batches && known?.stage === stage && known.epoch === epoch && known.stageTokens === stageTokens)
      return batches;
    this.last = { place, batches: epochBatches(this.rows, this.spec, this.packing, place) };
    return this.last.batches;
  }
}
