import type { Value } from '@emotune/graph';

/** What computing a value reads: what a kernel saved is computed anew, from what that kernel was given. */
export function readBy(value: Value): readonly Value[] {
  return value.op === 'Saved' ? value.inputs[0].inputs : value.inputs;
}
