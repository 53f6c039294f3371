import type { Value } from './ir.js';
import { type AttributesOf, type OpName, rowOf } from './ops.js';

/** A value of this op, its type and shape inferred; attributes only where the op has some. @throws InvalidArgument as its row's `infer`. */
export function make<K extends OpName>(
  op: K,
  inputs: readonly Value[],
  ...[attributes]: keyof AttributesOf<K> extends never ? [] : [AttributesOf<K>]
): Value {
  const said = attributes ?? {};
  return { op, inputs, attributes: said, ...rowOf(op).infer(inputs, said) };
}
