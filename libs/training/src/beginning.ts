/** From what a run begins: its own newest checkpoint, another run's last, or nothing. */
import { Violations } from '@emotune/base';
import type { HostTensor } from '@emotune/engine';
import { type Checkpoint, loadCheckpoint, loadOrigin } from './checkpoint.js';
import { initialLossScale } from './loss-scale.js';
import { fresh, goneOn, type RunState } from './run-state.js';
import type { TrainSpec } from './spec.js';
import type { TrainHooks } from './train.js';

export type Beginning =
  | (Partial<Checkpoint> & { readonly state: RunState; readonly others: false })
  /** The tensors are another run's: see `checkFits`. */
  | (Omit<Checkpoint, 'best'> & { readonly others: true });

/** `run`: its hash, which its checkpoints bear. @throws LostOrigin */
export async function beginningOf(
  run: string,
  spec: TrainSpec,
  { checkpoints, startFrom, onNotice }: Pick<TrainHooks, 'checkpoints' | 'startFrom' | 'onNotice'>,
): Promise<Beginning> {
  const found =
    checkpoints &&
    (await loadCheckpoint(checkpoints, run, (folder, reason) =>
      onNotice?.(`${folder} is not used: ${reason}`),
    ));
  if (found) return { ...found, others: false };
  if (startFrom === undefined)
    return { state: fresh(run, holdsHalf(spec) ? initialLossScale : null), others: false };
  const { state, tensors } = await loadOrigin(await startFrom());
  return { state: goneOn(state, run), tensors, others: true };
}

/** @throws InvalidArgument naming what the checkpoint of another run does not have as this one needs it. */
export function checkFits(
  found: ReadonlyMap<string, HostTensor>,
  wanted: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): void {
  const shown = (tensor: { readonly shape: readonly number[] } | undefined) =>
    tensor ? `[${tensor.shape.join(', ')}]` : 'none';
  const names = new Set([...wanted.keys(), ...found.keys()]);
  const violations = new Violations(
    [...names]
      .filter((name) => shown(found.get(name)) !== shown(wanted.get(name)))
      .map((name) => ({
        field: `startFrom.${name}`,
        description: `expected ${shown(wanted.get(name))}, got ${shown(found.get(name))}: the run before had another model, method or optimizer`,
      })),
  );
  violations.throwIfAny();
}

/** Whether the loss is scaled: where weights are held in half precision. */
function holdsHalf({ method }: TrainSpec): boolean {
  return method.name === 'lora' && method.baseCompute === 'fp16';
}
