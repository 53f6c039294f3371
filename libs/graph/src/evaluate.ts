/** The reference: runs a graph in float64 on plain arrays, slowly and obviously. The oracle of every executor. */
import { InvalidArgument } from '@emotune/base';
import { type Shape, sizeOf, topological, type Value } from './ir.js';
import type { Reference } from './op-row.js';
import { rowOf, savedOf } from './ops.js';

/** @throws InvalidArgument naming an input that is missing or has the wrong number of elements. */
export function evaluate(
  outputs: readonly Value[],
  feeds: Readonly<Record<string, ArrayLike<number>>>,
): { shape: Shape; data: Float64Array }[] {
  const results = new Map<Value, Reference>();
  for (const value of topological(outputs)) {
    if (value.op === 'Input') {
      const data = feeds[value.name!];
      if (data?.length !== sizeOf(value.shape)) {
        throw InvalidArgument.at(
          value.name!,
          `expected ${sizeOf(value.shape)} elements, got ${data?.length ?? 'nothing'}`,
        );
      }
      results.set(value, { shape: value.shape, data: Float64Array.from(data) });
    } else if (value.op === 'Constant') {
      results.set(value, {
        shape: value.shape,
        data: Float64Array.from(value.data as ArrayLike<number | bigint>, Number),
      });
    } else if (value.op === 'Saved') {
      const { of, row } = savedOf(value);
      const inputs = of.inputs.map((x) => results.get(x)!);
      results.set(value, { shape: value.shape, data: row.evaluate(inputs, of) });
    } else {
      const inputs = value.inputs.map((x) => results.get(x)!);
      results.set(value, { shape: value.shape, data: rowOf(value.op).evaluate(inputs, value) });
    }
  }
  return outputs.map((output) => results.get(output)!);
}
