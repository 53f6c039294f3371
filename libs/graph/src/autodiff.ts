/** Reverse mode: the gradient of a scalar, written in the same ops. */
import { Internal, InvalidArgument } from '@emotune/base';
import * as b from './build.js';
import { type Shape, sameShape, sizeOf, topological, type Value } from './ir.js';
import { type AttributesOf, isOp, rowOf } from './ops.js';
import { type Recompute, vjpOf } from './recompute.js';
import { normalAxis } from './shape.js';

/** Sums a gradient back to the shape that was broadcast. */
function unbroadcast(dy: Value, shape: Shape): Value {
  if (sameShape(dy.shape, shape)) return dy;
  const extra = dy.shape.length - shape.length;
  const axes = dy.shape
    .map((_, i) => i)
    .filter((i) => i < extra || (shape[i - extra] === 1 && dy.shape[i] !== 1));
  const summed = axes.length > 0 ? b.reduceSum(dy, axes) : dy;
  return sameShape(summed.shape, shape) ? summed : b.reshape(summed, shape);
}

interface SliceGradient {
  readonly slice: Value<AttributesOf<'Slice'>>;
  readonly dy: Value;
}

/** The gradient of x from those of its slices: side by side with zeros between, or added up where slices overlap. */
function joined(x: Value, parts: readonly SliceGradient[]): Value {
  const bounds = ({ slice: { attributes } }: SliceGradient) => ({
    axis: normalAxis('Slice', attributes.axis, x.shape.length),
    start: attributes.start,
    end: attributes.end,
  });
  const sorted = [...parts].sort((p, q) => bounds(p).start - bounds(q).start);
  const { axis } = bounds(sorted[0]);
  const apart = sorted.every(
    (part, i) => bounds(part).axis === axis && (i === 0 || bounds(part).start >= bounds(sorted[i - 1]).end),
  );
  if (!apart)
    return parts.map(({ slice, dy }) => rowOf('Slice').vjp!(b, slice, dy)[0]!).reduce((p, q) => b.add(p, q));
  const pieces = sorted.map((part) => ({ start: bounds(part).start, part: part.dy }));
  return b.amongZeros(pieces, x.shape, axis);
}

/**
 * ∂loss/∂x for each x of `wrt`, in order. An x that the loss does not depend on gets zeros. `recompute`: which values of
 * the forward pass are computed again instead of being kept.
 * @throws InvalidArgument when the loss is not a scalar.
 */
export function gradients(
  loss: Value,
  wrt: readonly Value[],
  { recompute = 'none' }: { readonly recompute?: Recompute | undefined } = {},
): Value[] {
  if (sizeOf(loss.shape) !== 1)
    throw InvalidArgument.at('gradients', `expected a scalar loss, got [${loss.shape}]`);
  const order = topological([loss]);
  const needed = new Set<Value>(wrt);
  for (const value of order)
    if (value.op !== 'Detach' && value.inputs.some((x) => needed.has(x))) needed.add(value);
  const vjp = vjpOf(order, recompute, () => gradients(loss, wrt));
  const gradient = new Map<Value, Value>([[loss, b.expand(b.scalar(1), loss.shape)]]);
  const slices = new Map<Value, SliceGradient[]>();
  const accumulate = (x: Value, dx: Value) => {
    const sum = gradient.get(x);
    gradient.set(x, sum === undefined ? dx : b.add(sum, dx));
  };
  for (const value of [...order].reverse()) {
    const parts = slices.get(value);
    if (parts) accumulate(value, joined(value, parts));
    const dy = gradient.get(value);
    if (dy === undefined || value.inputs.length === 0 || !needed.has(value)) continue;
    if (isOp(value, 'Slice')) {
      const [x] = value.inputs;
      slices.set(x, [...(slices.get(x) ?? []), { slice: value, dy }]);
      continue;
    }
    if (!rowOf(value.op).vjp)
      throw new Internal(`internal: ${value.op} lies between the loss and a variable but has no gradient`);
    vjp(value, dy).forEach((dx, i) => {
      const x = value.inputs[i];
      if (dx === undefined || !needed.has(x)) return;
      accumulate(x, unbroadcast(dx, x.shape));
    });
  }
  return wrt.map((x) => gradient.get(x) ?? b.zeros(x.shape));
}
