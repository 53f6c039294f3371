/** One function per op: makes the value and infers its shape. What models are written in. */
import type { DType, Shape, Value } from './ir.js';
import { constant, input, scalar, sizeOf } from './ir.js';
import { make } from './make.js';
import { rowOf } from './ops.js';

export { constant, input, scalar } from './ir.js';

export const weight = (name: string, dtype: DType, shape: Shape): Value =>
  input(name, dtype, shape, 'weight');
export const state = (name: string, dtype: DType, shape: Shape): Value => input(name, dtype, shape, 'state');

export const add = (x: Value, y: Value): Value => make('Add', [x, y]);
export const sub = (x: Value, y: Value): Value => make('Sub', [x, y]);
export const mul = (x: Value, y: Value): Value => make('Mul', [x, y]);
export const div = (x: Value, y: Value): Value => make('Div', [x, y]);
export const less = (x: Value, y: Value): Value => make('Less', [x, y]);
export const neg = (x: Value): Value => make('Neg', [x]);
/** x, at which a block of layers begins that can be computed again instead of being kept. */
export const boundary = (x: Value): Value => ({ ...x, boundary: true });
export const after = (x: Value, earlier: Value): Value => make('After', [x, earlier]);
export const detach = (x: Value): Value => make('Detach', [x]);
export const exp = (x: Value): Value => make('Exp', [x]);
export const log = (x: Value): Value => make('Log', [x]);
export const sqrt = (x: Value): Value => make('Sqrt', [x]);
export const cos = (x: Value): Value => make('Cos', [x]);
export const sin = (x: Value): Value => make('Sin', [x]);
export const tanh = (x: Value): Value => make('Tanh', [x]);
export const sigmoid = (x: Value): Value => make('Sigmoid', [x]);
export const relu = (x: Value): Value => make('Relu', [x]);
export const softmax = (x: Value): Value => make('Softmax', [x]);
export const logSoftmax = (x: Value): Value => make('LogSoftmax', [x]);
export const toFloat = (x: Value): Value => make('ToFloat', [x]);
export const where = (condition: Value, x: Value, y: Value): Value => make('Where', [condition, x, y]);
export const reduceSum = (x: Value, axes: readonly number[]): Value => make('ReduceSum', [x], { axes });
export const reduceMax = (x: Value, axes: readonly number[]): Value => make('ReduceMax', [x], { axes });
export const reshape = (x: Value, shape: Shape): Value => make('Reshape', [x], { shape });
export const transpose = (x: Value, permutation: readonly number[]): Value =>
  make('Transpose', [x], { permutation });
export const expand = (x: Value, shape: Shape): Value => make('Expand', [x], { shape });
export const slice = (x: Value, axis: number, start: number, end: number): Value =>
  make('Slice', [x], { axis, start, end });
export const gather = (table: Value, indices: Value): Value => make('Gather', [table, indices]);
export const scatterRows = (x: Value, indices: Value, rows: number): Value =>
  make('ScatterRows', [x, indices], { rows });
export const pick = (x: Value, indices: Value): Value => make('Pick', [x, indices]);
export const unpick = (x: Value, indices: Value, columns: number): Value =>
  make('Unpick', [x, indices], { columns });

export const silu = (x: Value): Value => make('Silu', [x]);
export const geluTanh = (x: Value): Value => make('GeluTanh', [x]);
export const rmsNorm = (x: Value, gamma: Value, epsilon: number): Value =>
  make('RmsNorm', [x, gamma], { epsilon });
export const layerNorm = (x: Value, gamma: Value, beta: Value, epsilon: number): Value =>
  make('LayerNorm', [x, gamma, beta], { epsilon });
export const rotary = (x: Value, cos: Value, sin: Value, options: { inverse?: boolean } = {}): Value =>
  make('Rotary', [x, cos, sin], { inverse: options.inverse ?? false });

/** x [N, K] · W [K, M], or x·Wᵀ of W [M, K], with a weight in float16 that has no gradient. */
export const halfMatMul = (x: Value, weight: Value, { transposeY }: { transposeY: boolean }): Value =>
  make('HalfMatMul', [x, after(weight, x), weight], { transposeY });

/** A 4-bit weight: bytes [⌈M/2⌉, K] and scales [M, ⌈K/32⌉], see `int4-ops.ts`. */
export type Int4Weight = readonly [bytes: Value, scale: Value];

/** The weight [M, K] in float32, made only once `earlier` is there: else the runtime would make all of them first. */
export const dequantize4 = ([bytes, scale]: Int4Weight, earlier: Value): Value =>
  make('Dequantize4', [after(bytes, earlier), scale]);

/** x [N, K] · Wᵀ of a 4-bit weight that has no gradient. */
export const int4MatMul = (x: Value, weight: Int4Weight): Value =>
  make('Int4MatMul', [x, dequantize4(weight, x), ...weight]);

/** An int8 weight by columns [K, M] and the scales of its columns [M]. */
export type Int8Weight = readonly [weight: Value, scale: Value];

/**
 * x [N, K] · W by 8-bit products; its gradient is multiplied by `back`, Wᵀ as another int8 weight or in float32.
 * `quantized` is `quantizeRows(x)`, to be shared between the products of one x.
 */
export function int8MatMul(
  x: Value,
  [weight, scale]: Int8Weight,
  back: Int8Weight | readonly [transposed: Value] | readonly [] = [],
  quantized: Value = quantizeRows(x),
): Value {
  return make('Int8MatMul', [x, quantized, saved(quantized, 'scale'), weight, scale, ...back]);
}

export const quantizeRows = (x: Value): Value => make('QuantizeRows', [x]);

/** x [N, K] · Wᵀ with W [M, K] in float32, whose gradient is computed by 8-bit products. */
export const matmulInt8Gradient = (x: Value, weight: Value, back: Int8Weight): Value =>
  make('MatMulInt8Gradient', [x, weight, ...back]);

/** What the kernel of a value saved for its gradient. */
export function saved(value: Value, name: string): Value {
  const shape = rowOf(value.op).saved![name].infer(value.inputs, value.attributes);
  return { op: 'Saved', inputs: [value], attributes: { name }, ...shape };
}

/** Parts beside each other along an axis of `shape`, each from its start on, ascending and apart; zeros elsewhere. */
export function amongZeros(
  parts: readonly { readonly start: number; readonly part: Value }[],
  shape: Shape,
  axis: number,
): Value {
  const pieces: Value[] = [];
  let at = 0;
  const zerosUntil = (end: number) => {
    if (end > at) pieces.push(zeros(shape.map((d, i) => (i === axis ? end - at : d))));
  };
  for (const { start, part } of parts) {
    zerosUntil(start);
    pieces.push(part);
    at = start + part.shape[axis];
  }
  zerosUntil(shape[axis]);
  return concat(pieces, axis);
}

export function concat(parts: readonly Value[], axis: number): Value {
  return parts.length === 1 ? parts[0] : make('Concat', parts, { axis });
}

export function matmul(
  x: Value,
  y: Value,
  options: { transposeX?: boolean; transposeY?: boolean; scale?: number } = {},
): Value {
  return make('MatMul', [x, y], {
    transposeX: options.transposeX ?? false,
    transposeY: options.transposeY ?? false,
    scale: options.scale ?? 1,
  });
}

export function zeros(shape: Shape): Value {
  return expand(scalar(0), shape);
}

/** Mean over `axes`, which stay as 1. */
export function mean(x: Value, axes: readonly number[]): Value {
  const sum = reduceSum(x, axes);
  return mul(sum, scalar(sizeOf(sum.shape) / sizeOf(x.shape)));
}

/** Whole numbers. */
export function integers(values: readonly number[]): Value {
  return constant(BigInt64Array.from(values, BigInt), [values.length]);
}
