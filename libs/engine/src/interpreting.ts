/** What executors that interpret graphs do alike. */
import { Internal } from '@emotune/base';
import { listed } from '@emotune/graph';
import type { Outputs, Program, SlotPart } from './executor.js';
import type { HostTensor } from './tensor.js';

/** What a graph is given, but for what is held, and what it makes. */
export function programOf(outputs: Outputs, held: ReadonlySet<string>): Program {
  const inputs = listed(Object.values(outputs)).filter(({ op, name }) => op === 'Input' && !held.has(name!));
  return {
    inputs: Object.fromEntries(
      inputs.map(({ name, dtype, shape, kind }) => [name!, { dtype, shape, kind: kind! }]),
    ),
    outputs: Object.fromEntries(
      Object.entries(outputs).map(([name, { dtype, shape }]) => [name, { dtype, shape }]),
    ),
  };
}

type Typed = Pick<HostTensor, 'dtype' | 'shape'>;

/** @throws Internal where what is written does not lie within what is in the slot. */
export function checkPart({ slot, axis, at }: SlotPart, target: Typed, source: Typed): void {
  const fits = (d: number, i: number) =>
    i === axis ? at >= 0 && at + source.shape[i] <= d : d === source.shape[i];
  if (
    target.dtype !== source.dtype ||
    target.shape.length !== source.shape.length ||
    !target.shape.every(fits)
  )
    throw new Internal(
      `expected slot "${slot}", ${target.dtype} [${target.shape}], to hold ${source.dtype} [${source.shape}] from ${at} on of axis ${axis}`,
    );
}
