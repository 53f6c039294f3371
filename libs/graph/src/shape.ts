/** Shape arithmetic that several ops share. */
import { InvalidArgument } from '@emotune/base';
import type { Shape } from './ir.js';

/** NumPy's broadcasting rule. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw InvalidArgument.at(op, `expected shapes that broadcast, got [${a}] and [${b}]`);
    }
    return x === 1 ? y : x;
  });
}

/** Row-major strides in elements. */
export function strides(shape: Shape): number[] {
  const result = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    result[i] = stride;
    stride *= shape[i];
  }
  return result;
}

/** Strides with which a tensor of `shape` is read as one of `target`; 0 where it repeats. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = strides(shape);
  const offset = target.length - shape.length;
  return target.map((_, i) => (i < offset || shape[i - offset] === 1 ? 0 : own[i - offset]));
}

/** Calls `visit(flatIndex, offset)` for every element of `shape`, with the offset under the given strides. */
export function forEachIndex(
  shape: Shape,
  by: readonly number[],
  visit: (flat: number, offset: number) => void,
): void {
  const total = shape.reduce((n, d) => n * d, 1);
  const index = new Array<number>(shape.length).fill(0);
  let offset = 0;
  for (let flat = 0; flat < total; flat++) {
    visit(flat, offset);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += by[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= by[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

/** A negative axis counts from the end. */
export function normalAxis(op: string, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  if (!(result >= 0 && result < rank))
    throw InvalidArgument.at(op, `expected an axis of rank ${rank}, got ${axis}`);
  return result;
}
