/**
 * The op table on TensorFlow.js: one function for each op, of tensors on the device. float16, of which it has none, is held
 * and computed in float32; 64-bit and 8-bit integers in 32 bits.
 */
import { InvalidArgument } from '@emotune/base';
import { int4Block, int4Zero, type OpName, type Shape, sizeOf, type Value } from '@emotune/graph';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Tf } from './load.js';

type Kernel = (tf: Tf, inputs: readonly Tensor[], value: Value) => Tensor;

/** What a value of an op says, by name; its row has the types. */
const axesOf = ({ attributes }: Value) => attributes['axes'] as readonly number[];
const numberOf = ({ attributes }: Value, name: string) => attributes[name] as number;
const flag = ({ attributes }: Value, name: string) => attributes[name] as boolean;

const unary =
  (name: 'neg' | 'exp' | 'log' | 'sqrt' | 'cos' | 'sin' | 'tanh' | 'sigmoid' | 'relu'): Kernel =>
  (tf, [x]) =>
    tf[name](x);

const binary =
  (name: 'add' | 'sub' | 'mul' | 'div' | 'less'): Kernel =>
  (tf, [x, y]) =>
    tf[name](x, y);

/** Row i of an index pair: [i, indices[i]]. */
function pairs(tf: Tf, indices: Tensor): Tensor2D {
  const [n] = indices.shape;
  return tf.stack([tf.range(0, n, 1, 'int32'), indices as Tensor1D], 1) as Tensor2D;
}

/** Backends differ in what they make of a sum over nothing: it is 0. */
const empty = (shape: Shape) => sizeOf(shape) === 0;

function product(
  tf: Tf,
  x: Tensor,
  y: Tensor,
  shape: Shape,
  { transposeX = false, transposeY = false, scale = 1 } = {},
): Tensor {
  if (empty(x.shape) || empty(y.shape)) return tf.zeros([...shape]);
  // Its own broadcasting takes one side for another where both are broadcast.
  const batch = shape.slice(0, -2);
  const wide = (side: Tensor) =>
    sizeOf(side.shape.slice(0, -2)) === 1 || sizeOf(side.shape.slice(0, -2)) === sizeOf(batch)
      ? side
      : tf.broadcastTo(side, [...batch, ...side.shape.slice(-2)]);
  const made = tf.matMul(wide(x), wide(y), transposeX, transposeY);
  return scale === 1 ? made : tf.mul(made, scale);
}

const timesTransposed: Kernel = (tf, [x, w], { shape }) => product(tf, x, w, shape, { transposeY: true });

/** What stands for 0 among unsigned bytes, and how far the largest element of a row is from it. */
const zeroPoint = 128;
const reach = 127;

function scalesOfRows(tf: Tf, x: Tensor): Tensor {
  const top = empty(x.shape) ? tf.zeros([x.shape[0], 1]) : tf.max(tf.abs(x), [1], true);
  return tf.maximum(tf.mul(top, 1 / reach), 1e-30);
}

const mean = (tf: Tf, x: Tensor) => tf.mean(x, -1, true);
const inverse = (tf: Tf, squares: Tensor, epsilon: number) => tf.rsqrt(tf.add(mean(tf, squares), epsilon));

/** √(2/π) and the cubic term of GELU's tanh form. */
const geluScale = 0.7978845608028654;
const geluCubic = 0.044715;

const kernels: Readonly<Record<OpName, Kernel>> = {
  Add: binary('add'),
  Sub: binary('sub'),
  Mul: binary('mul'),
  Div: binary('div'),
  Less: binary('less'),
  Neg: unary('neg'),
  Exp: unary('exp'),
  Log: unary('log'),
  Sqrt: unary('sqrt'),
  Cos: unary('cos'),
  Sin: unary('sin'),
  Tanh: unary('tanh'),
  Sigmoid: unary('sigmoid'),
  Relu: unary('relu'),
  Detach: (tf, [x]) => tf.clone(x),
  After: (tf, [x]) => tf.clone(x),
  ToFloat: (tf, [x]) => tf.cast(x, 'float32'),
  Where: (tf, [condition, x, y], { shape }) =>
    empty(shape) ? tf.zeros([...shape]) : tf.where(condition, x, y),
  ReduceSum: (tf, [x], value) =>
    empty(x.shape) ? tf.zeros([...value.shape]) : tf.sum(x, [...axesOf(value)], true),
  ReduceMax: (tf, [x], value) => tf.max(x, [...axesOf(value)], true),
  MatMul: (tf, [x, y], value) =>
    product(tf, x, y, value.shape, {
      transposeX: flag(value, 'transposeX'),
      transposeY: flag(value, 'transposeY'),
      scale: numberOf(value, 'scale'),
    }),
  HalfMatMul: (tf, [x, w], value) =>
    product(tf, x, w, value.shape, { transposeY: flag(value, 'transposeY') }),
  Reshape: (tf, [x], { shape }) => tf.reshape(x, [...shape]),
  Transpose: (tf, [x], { attributes, shape }) =>
    empty(shape)
      ? tf.reshape(x, [...shape])
      : tf.transpose(x, [...(attributes['permutation'] as readonly number[])]),
  Expand: (tf, [x], { shape }) => (empty(shape) ? tf.zeros([...shape]) : tf.broadcastTo(x, [...shape])),
  Slice: (tf, [x], value) => {
    const rank = x.shape.length;
    const axis = (numberOf(value, 'axis') + rank) % rank;
    if (empty(value.shape)) return tf.zeros([...value.shape], x.dtype);
    const begin = x.shape.map((_, i) => (i === axis ? numberOf(value, 'start') : 0));
    return tf.slice(x, begin, [...value.shape]);
  },
  Concat: (tf, parts, value) => {
    const filled = parts.filter(({ shape }) => !empty(shape));
    if (filled.length === 0) return tf.zeros([...value.shape], parts[0].dtype);
    const rank = value.shape.length;
    return tf.concat(filled, (numberOf(value, 'axis') + rank) % rank);
  },
  Gather: (tf, [table, indices], { shape }) =>
    empty(shape) ? tf.zeros([...shape], table.dtype) : tf.gather(table, indices as Tensor1D),
  ScatterRows: (tf, [x, indices], { shape }) => {
    if (empty(x.shape) || empty(shape)) return tf.zeros([...shape], x.dtype);
    return tf.scatterND(tf.reshape(indices, [-1, 1]), x, [...shape] as [number]);
  },
  Pick: (tf, [x, indices], { shape }) =>
    empty(shape) ? tf.zeros([...shape], x.dtype) : tf.reshape(tf.gatherND(x, pairs(tf, indices)), [...shape]),
  Unpick: (tf, [x, indices], { shape }) =>
    empty(shape)
      ? tf.zeros([...shape], x.dtype)
      : tf.scatterND(pairs(tf, indices), tf.reshape(x, [-1]), [...shape] as [number]),
  Softmax: (tf, [x]) => (empty(x.shape) ? tf.clone(x) : tf.softmax(x, -1)),
  LogSoftmax: (tf, [x]) => (empty(x.shape) ? tf.clone(x) : tf.logSoftmax(x, -1)),
  Silu: (tf, [x]) => tf.mul(x, tf.sigmoid(x)),
  GeluTanh: (tf, [x]) => {
    const cubic = tf.add(x, tf.mul(tf.mul(tf.mul(x, x), x), geluCubic));
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(cubic, geluScale)), 1));
  },
  RmsNorm: (tf, [x, gamma], value) =>
    empty(x.shape)
      ? tf.clone(x)
      : tf.mul(tf.mul(x, inverse(tf, tf.mul(x, x), numberOf(value, 'epsilon'))), gamma),
  LayerNorm: (tf, [x, gamma, beta], value) => {
    if (empty(x.shape)) return tf.clone(x);
    const centred = tf.sub(x, mean(tf, x));
    const r = inverse(tf, tf.mul(centred, centred), numberOf(value, 'epsilon'));
    return tf.add(tf.mul(tf.mul(centred, r), gamma), beta);
  },
  Rotary: (tf, [x, cos, sin], value) => {
    const [B, , T, D] = x.shape;
    if (empty(x.shape)) return tf.clone(x);
    const [c, s] = [cos, sin].map((table) => tf.reshape(table, [B, 1, T, D / 2]));
    const turned = flag(value, 'inverse') ? tf.neg(s) : s;
    const [p, q] = tf.split(x, 2, 3);
    return tf.concat([tf.sub(tf.mul(p, c), tf.mul(q, turned)), tf.add(tf.mul(q, c), tf.mul(p, turned))], 3);
  },
  QuantizeRows: (tf, [x]) =>
    tf.cast(tf.add(tf.round(tf.mul(x, tf.reciprocal(scalesOfRows(tf, x)))), zeroPoint), 'int32'),
  // Sums of products of bytes are whole numbers that float32 has up to 2²⁴: of more than 1,040 columns they are rounded.
  Int8MatMul: (tf, [, bytes, rowScale, w, scale], { shape }) => {
    const rows = tf.sub(tf.cast(bytes, 'float32'), zeroPoint);
    return tf.mul(tf.mul(product(tf, rows, tf.cast(w, 'float32'), shape), rowScale), scale);
  },
  MatMulInt8Gradient: timesTransposed,
  Int4MatMul: timesTransposed,
  Dequantize4: (tf, [bytes, scale], { shape: [M, K] }) => {
    const pair = tf.cast(bytes, 'float32');
    const high = tf.floor(tf.div(pair, 16));
    const low = tf.sub(pair, tf.mul(high, 16));
    const bits = tf.sub(tf.slice(tf.concat([low, high], 0), [0, 0], [M, K]), int4Zero);
    const [, blocks] = scale.shape as [number, number];
    const wide = tf.reshape(tf.tile(tf.reshape(scale, [M, blocks, 1]), [1, 1, int4Block]), [M, -1]);
    return tf.mul(bits, tf.slice(wide, [0, 0], [M, K]));
  },
};

/** What an op's gradient reads besides its output, by the name that its row gives it. */
const saved: Readonly<Record<string, Readonly<Record<string, Kernel>>>> = {
  QuantizeRows: { scale: (tf, [x]) => scalesOfRows(tf, x) },
  RmsNorm: { inverse: (tf, [x], value) => inverse(tf, tf.mul(x, x), numberOf(value, 'epsilon')) },
  LayerNorm: {
    mean: (tf, [x]) => mean(tf, x),
    inverse: (tf, [x], value) => {
      const centred = tf.sub(x, mean(tf, x));
      return inverse(tf, tf.mul(centred, centred), numberOf(value, 'epsilon'));
    },
  },
};

/** The function that computes a value that is no leaf, and what it is given. @throws InvalidArgument for an op without one. */
export function kernelOf(value: Value): { kernel: Kernel; of: Value } {
  if (value.op === 'Saved') {
    const [of] = value.inputs;
    return { kernel: saved[of.op][value.attributes['name'] as string], of };
  }
  const kernel = (kernels as Readonly<Record<string, Kernel>>)[value.op];
  if (!kernel) throw InvalidArgument.at('graph', `expected an op of the table, got ${value.op}`);
  return { kernel, of: value };
}
