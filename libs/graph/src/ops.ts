/**
 * The op table. An op is one row: how its shape follows from its inputs, what it computes (a plain reference on
 * float64, the oracle of every executor), its vector-Jacobian product written in ops again, and the ONNX nodes it
 * becomes. The next op is one more row, its builder in `build.ts`, and one case in `ops.test.ts`.
 *
 * Notation: x, y inputs and outputs, dy = ∂L/∂y. Broadcasting as in NumPy; a vjp may return a gradient of the
 * broadcast shape, `autodiff.ts` sums it back.
 */
import { InvalidArgument } from '@emotune/base';
import { fusedOps } from './fused-ops.js';
import { halfOps } from './half-ops.js';
import { int4Ops } from './int4-ops.js';
import { int8Ops } from './int8-ops.js';
import { bytesOf, type DType, dtypeCode, isLeaf, type Shape, sizeOf, type Value } from './ir.js';
import { matmul } from './matmul.js';
import { type Builder, type NoAttributes, type OnnxNode, type OpRow, op } from './op-row.js';
import { broadcastShapes, broadcastStrides, forEachIndex, normalAxis, strides } from './shape.js';

function expectRank(op: string, value: Value, rank: number): void {
  if (value.shape.length !== rank)
    throw InvalidArgument.at(op, `expected rank ${rank}, got [${value.shape}]`);
}

function simple(op: string, attributes?: NonNullable<OnnxNode['attributes']>): OpRow['lower'] {
  return (value) => [
    { op, inputs: value.inputs.map((_, i) => `$${i}`), output: '$y', ...(attributes ? { attributes } : {}) },
  ];
}

function unary(
  onnx: string,
  f: (x: number) => number,
  vjp?: (b: Builder, y: Value, dy: Value, x: Value) => Value,
): OpRow<NoAttributes> {
  return {
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => x.data.map(f),
    ...(vjp ? { vjp: (b: Builder, y: Value, dy: Value) => [vjp(b, y, dy, y.inputs[0])] } : {}),
    lower: simple(onnx),
    cheap: true,
    inPlace: true,
  };
}

function binary(
  onnx: string,
  f: (x: number, y: number) => number,
  options: { vjp?: NonNullable<OpRow['vjp']>; result?: DType } = {},
): OpRow<NoAttributes> {
  return {
    infer: ([x, y]) => {
      if (x.dtype !== y.dtype)
        throw InvalidArgument.at(onnx, `expected one type, got ${x.dtype} and ${y.dtype}`);
      return { dtype: options.result ?? x.dtype, shape: broadcastShapes(onnx, x.shape, y.shape) };
    },
    evaluate: ([x, y], value) => {
      const out = new Float64Array(sizeOf(value.shape));
      forEachIndex(value.shape, broadcastStrides(x.shape, value.shape), (flat, at) => {
        out[flat] = x.data[at];
      });
      forEachIndex(value.shape, broadcastStrides(y.shape, value.shape), (flat, at) => {
        out[flat] = f(out[flat], y.data[at]);
      });
      return out;
    },
    ...(options.vjp ? { vjp: options.vjp } : {}),
    lower: simple(onnx),
    cheap: true,
    inPlace: options.result === undefined,
  };
}

function reduction(
  onnx: 'ReduceSum' | 'ReduceMax',
  start: number,
  f: (a: number, x: number) => number,
  vjp?: OpRow['vjp'],
): OpRow<{ axes: readonly number[] }> {
  return {
    infer: ([x], attributes) => {
      const axes = attributes.axes.map((a) => normalAxis(onnx, a, x.shape.length));
      return { dtype: x.dtype, shape: x.shape.map((d, i) => (axes.includes(i) ? 1 : d)) };
    },
    evaluate: ([x], value) => {
      const out = new Float64Array(sizeOf(value.shape)).fill(start);
      forEachIndex(x.shape, broadcastStrides(value.shape, x.shape), (flat, at) => {
        out[at] = f(out[at], x.data[flat]);
      });
      return out;
    },
    ...(vjp ? { vjp } : {}),
    lower: (value) => [
      {
        op: onnx,
        inputs: ['$0', { ints: value.attributes.axes }],
        output: '$y',
        attributes: { keepdims: 1 },
      },
    ],
  };
}

/** Rows of length n along the last axis. */
function eachRow(shape: Shape, visit: (begin: number, n: number) => void): void {
  const n = shape[shape.length - 1];
  const rows = n === 0 ? 0 : sizeOf(shape) / n;
  for (let r = 0; r < rows; r++) visit(r * n, n);
}

const lastAxis = { axis: -1 };

export const ops = {
  ...fusedOps,
  ...halfOps,
  ...int4Ops,
  ...int8Ops,
  Add: binary('Add', (x, y) => x + y, { vjp: (_b, _, dy) => [dy, dy] }),
  Sub: binary('Sub', (x, y) => x - y, { vjp: (b, _, dy) => [dy, b.neg(dy)] }),
  Mul: binary('Mul', (x, y) => x * y, {
    vjp: (b, { inputs: [x, y] }, dy) => [b.mul(dy, y), b.mul(dy, x)],
  }),
  // ∂(x/y)/∂y = −(x/y)/y
  Div: binary('Div', (x, y) => x / y, {
    vjp: (b, z, dy) => [b.div(dy, z.inputs[1]), b.neg(b.div(b.mul(dy, z), z.inputs[1]))],
  }),
  Less: binary('Less', (x, y) => (x < y ? 1 : 0), { result: 'bool' }),
  Neg: unary(
    'Neg',
    (x) => -x,
    (b, _, dy) => b.neg(dy),
  ),
  /** x, but a constant to `gradients`. */
  Detach: { ...unary('Identity', (x) => x), inPlace: false },

  /** x, but only once `earlier` is computed: the shape that x is given is written with the size of `earlier`. No copy. */
  After: op({
    view: true,
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => x.data,
    vjp: (_b, _, dy) => [dy, undefined],
    lower: ({ shape, inputs: [, earlier] }) => [
      { op: 'Size', inputs: ['$1'], output: 'size' },
      { op: 'Sub', inputs: [{ ints: shape.map((d) => d + sizeOf(earlier.shape)) }, 'size'], output: 'shape' },
      { op: 'Reshape', inputs: ['$0', 'shape'], output: '$y', attributes: { allowzero: 1 } },
    ],
  }),
  Exp: unary('Exp', Math.exp, (b, y, dy) => b.mul(dy, y)),
  Log: unary('Log', Math.log, (b, _, dy, x) => b.div(dy, x)),
  // ∂√x = 1/(2√x)
  Sqrt: unary('Sqrt', Math.sqrt, (b, y, dy) => b.div(b.mul(dy, b.scalar(0.5)), y)),
  // The runtime's loops over the C library's functions.
  Cos: { ...unary('Cos', Math.cos, (b, _, dy, x) => b.neg(b.mul(dy, b.sin(x)))), cheap: false },
  Sin: { ...unary('Sin', Math.sin, (b, _, dy, x) => b.mul(dy, b.cos(x))), cheap: false },
  // ∂tanh = 1 − tanh²
  Tanh: unary('Tanh', Math.tanh, (b, y, dy) => b.mul(dy, b.sub(b.scalar(1), b.mul(y, y)))),
  // ∂σ = σ(1 − σ)
  Sigmoid: unary(
    'Sigmoid',
    (x) => 1 / (1 + Math.exp(-x)),
    (b, y, dy) => b.mul(dy, b.mul(y, b.sub(b.scalar(1), y))),
  ),
  // The subgradient at 0 is 0, as PyTorch has it.
  Relu: unary(
    'Relu',
    (x) => Math.max(0, x),
    (b, y, dy) => b.where(b.less(b.scalar(0), y), dy, b.scalar(0)),
  ),

  /** Where(condition, x, y). */
  Where: op({
    infer: ([condition, x, y]) => {
      if (condition.dtype !== 'bool')
        throw InvalidArgument.at('Where', `expected a bool condition, got ${condition.dtype}`);
      return {
        dtype: x.dtype,
        shape: broadcastShapes('Where', condition.shape, broadcastShapes('Where', x.shape, y.shape)),
      };
    },
    evaluate: ([condition, x, y], value) => {
      const out = new Float64Array(sizeOf(value.shape));
      const pick = new Uint8Array(out.length);
      forEachIndex(value.shape, broadcastStrides(condition.shape, value.shape), (flat, at) => {
        pick[flat] = condition.data[at];
      });
      for (const [side, source] of [
        [1, x],
        [0, y],
      ] as const) {
        forEachIndex(value.shape, broadcastStrides(source.shape, value.shape), (flat, at) => {
          if (pick[flat] === side) out[flat] = source.data[at];
        });
      }
      return out;
    },
    vjp: (b, { inputs: [condition] }, dy) => [
      undefined,
      b.where(condition, dy, b.scalar(0)),
      b.where(condition, b.scalar(0), dy),
    ],
    lower: simple('Where'),
    cheap: true,
    scratch: (value) => 2 * bytesOf(value),
  }),

  /** Sum over `axes`, which stay as 1. */
  ReduceSum: reduction(
    'ReduceSum',
    0,
    (a, x) => a + x,
    (b, { inputs: [x] }, dy) => [b.expand(dy, x.shape)],
  ),
  /** Largest element over `axes`, which stay as 1. No gradient: it only shifts exponents. */
  ReduceMax: reduction('ReduceMax', Number.NEGATIVE_INFINITY, Math.max),

  MatMul: matmul,

  Reshape: op<{ shape: Shape }>({
    cheap: true,
    view: true,
    infer: ([x], attributes) => {
      const shape = attributes.shape;
      if (sizeOf(shape) !== sizeOf(x.shape)) {
        throw InvalidArgument.at(
          'Reshape',
          `expected ${sizeOf(x.shape)} elements of [${x.shape}], got [${shape}]`,
        );
      }
      return { dtype: x.dtype, shape };
    },
    evaluate: ([x]) => x.data,
    vjp: (b, { inputs: [x] }, dy) => [b.reshape(dy, x.shape)],
    lower: ({ attributes }) => [
      {
        op: 'Reshape',
        inputs: ['$0', { ints: attributes.shape }],
        output: '$y',
        attributes: { allowzero: 1 },
      },
    ],
  }),

  /** Axis i of the output is axis `permutation[i]` of the input. */
  Transpose: op<{ permutation: readonly number[] }>({
    cheap: true,
    infer: ([x], attributes) => {
      const permutation = attributes.permutation;
      if (
        [...permutation].sort((p, q) => p - q).some((p, i) => p !== i) ||
        permutation.length !== x.shape.length
      ) {
        throw InvalidArgument.at(
          'Transpose',
          `expected a permutation of ${x.shape.length} axes, got [${permutation}]`,
        );
      }
      return { dtype: x.dtype, shape: permutation.map((p) => x.shape[p]) };
    },
    evaluate: ([x], value) => {
      const own = strides(x.shape);
      const out = new Float64Array(x.data.length);
      forEachIndex(
        value.shape,
        value.attributes.permutation.map((p) => own[p]),
        (flat, at) => {
          out[flat] = x.data[at];
        },
      );
      return out;
    },
    vjp: (b, { attributes }, dy) => {
      const permutation = attributes.permutation;
      return [
        b.transpose(
          dy,
          permutation.map((_, i) => permutation.indexOf(i)),
        ),
      ];
    },
    lower: ({ attributes }) => [
      {
        op: 'Transpose',
        inputs: ['$0'],
        output: '$y',
        attributes: { perm: attributes.permutation },
      },
    ],
  }),

  /** Broadcast to `shape`. */
  Expand: op<{ shape: Shape }>({
    cheap: true,
    infer: ([x], attributes) => {
      const shape = attributes.shape;
      const result = broadcastShapes('Expand', x.shape, shape);
      if (result.some((d, i) => d !== shape[i]) || result.length !== shape.length) {
        throw InvalidArgument.at(
          'Expand',
          `expected a shape that [${x.shape}] broadcasts to, got [${shape}]`,
        );
      }
      return { dtype: x.dtype, shape };
    },
    evaluate: ([x], value) => {
      const out = new Float64Array(sizeOf(value.shape));
      forEachIndex(value.shape, broadcastStrides(x.shape, value.shape), (flat, at) => {
        out[flat] = x.data[at];
      });
      return out;
    },
    // autodiff sums the gradient back to the input's shape.
    vjp: (_b, _, dy) => [dy],
    // The runtime leaves an axis of 1 as it is where 0 is wanted.
    lower: ({ attributes: { shape }, dtype }) =>
      sizeOf(shape) > 0
        ? [{ op: 'Expand', inputs: ['$0', { ints: shape }], output: '$y' }]
        : [
            { op: 'ConstantOfShape', inputs: [{ ints: shape }], output: 'nothing' },
            { op: 'Cast', inputs: ['nothing'], output: '$y', attributes: { to: dtypeCode[dtype] } },
          ],
  }),

  /** Elements `start` ≤ i < `end` of one axis. */
  Slice: op<{ axis: number; start: number; end: number }>({
    cheap: true,
    infer: ([x], attributes) => {
      const axis = normalAxis('Slice', attributes.axis, x.shape.length);
      const [start, end] = [attributes.start, attributes.end];
      if (!(start >= 0 && start <= end && end <= x.shape[axis])) {
        throw InvalidArgument.at(
          'Slice',
          `expected 0 ≤ start ≤ end ≤ ${x.shape[axis]}, got ${start}..${end}`,
        );
      }
      return { dtype: x.dtype, shape: x.shape.map((d, i) => (i === axis ? end - start : d)) };
    },
    evaluate: ([x], value) => {
      const own = strides(x.shape);
      const from = value.attributes.start * own[normalAxis('Slice', value.attributes.axis, own.length)];
      const out = new Float64Array(sizeOf(value.shape));
      forEachIndex(value.shape, own, (flat, at) => {
        out[flat] = x.data[from + at];
      });
      return out;
    },
    // Zeros around the gradient.
    vjp: (b, { inputs: [x], attributes }, dy) => {
      const axis = normalAxis('Slice', attributes.axis, x.shape.length);
      return [b.amongZeros([{ start: attributes.start, part: dy }], x.shape, axis)];
    },
    lower: ({ attributes }) => [
      {
        op: 'Slice',
        inputs: ['$0', ...[attributes.start, attributes.end, attributes.axis].map((n) => ({ ints: [n] }))],
        output: '$y',
      },
    ],
  }),

  Concat: op<{ axis: number }>({
    cheap: true,
    infer: (inputs, attributes) => {
      const axis = normalAxis('Concat', attributes.axis, inputs[0].shape.length);
      for (const x of inputs) {
        if (
          x.shape.length !== inputs[0].shape.length ||
          x.shape.some((d, i) => i !== axis && d !== inputs[0].shape[i])
        ) {
          throw InvalidArgument.at(
            'Concat',
            `expected shapes equal outside axis ${axis}, got ${inputs.map((v) => `[${v.shape}]`).join(', ')}`,
          );
        }
      }
      const total = inputs.reduce((n, x) => n + x.shape[axis], 0);
      return { dtype: inputs[0].dtype, shape: inputs[0].shape.map((d, i) => (i === axis ? total : d)) };
    },
    evaluate: (inputs, value) => {
      const by = strides(value.shape);
      const axis = normalAxis('Concat', value.attributes.axis, value.shape.length);
      const out = new Float64Array(sizeOf(value.shape));
      let from = 0;
      for (const x of inputs) {
        forEachIndex(x.shape, by, (flat, at) => {
          out[from * by[axis] + at] = x.data[flat];
        });
        from += x.shape[axis];
      }
      return out;
    },
    vjp: (b, { inputs, attributes }, dy) => {
      const axis = attributes.axis;
      let from = 0;
      return inputs.map((x) => {
        const begin = from;
        from += x.shape[normalAxis('Concat', axis, x.shape.length)];
        return b.slice(dy, axis, begin, from);
      });
    },
    lower: (value) => [
      {
        op: 'Concat',
        inputs: value.inputs.map((_, i) => `$${i}`),
        output: '$y',
        attributes: { axis: value.attributes.axis },
      },
    ],
  }),

  /** Rows of table [V, …] at indices [N]: [N, …]. */
  Gather: op({
    infer: ([table, indices]) => {
      expectRank('Gather', indices, 1);
      return { dtype: table.dtype, shape: [indices.shape[0], ...table.shape.slice(1)] };
    },
    evaluate: ([table, indices], value) => {
      const width = sizeOf(table.shape.slice(1));
      const out = new Float64Array(sizeOf(value.shape));
      indices.data.forEach((row, i) => {
        out.set(table.data.subarray(row * width, (row + 1) * width), i * width);
      });
      return out;
    },
    vjp: (b, { inputs: [table, indices] }, dy) => [b.scatterRows(dy, indices, table.shape[0]), undefined],
    lower: simple('Gather', { axis: 0 }),
  }),

  /** The adjoint of Gather: zeros [rows, …] with x[i] added at row indices[i]; equal indices add up. */
  ScatterRows: op<{ rows: number }>({
    infer: ([x, indices], attributes) => {
      expectRank('ScatterRows', indices, 1);
      return { dtype: x.dtype, shape: [attributes.rows, ...x.shape.slice(1)] };
    },
    evaluate: ([x, indices], value) => {
      const width = sizeOf(x.shape.slice(1));
      const out = new Float64Array(sizeOf(value.shape));
      indices.data.forEach((row, i) => {
        for (let k = 0; k < width; k++) out[row * width + k] += x.data[i * width + k];
      });
      return out;
    },
    vjp: (b, { inputs: [, indices] }, dy) => [b.gather(dy, indices), undefined],
    // An index for each element, twice.
    scratch: ({ inputs: [x] }) => 16 * sizeOf(x.shape),
    // Not ScatterND: the runtime adds rows of equal indices in several threads at once and loses some.
    lower: ({ shape, inputs: [x, indices] }) => [
      { op: 'ConstantOfShape', inputs: [{ ints: shape }], output: 'zeros' },
      {
        op: 'Reshape',
        inputs: ['$1', { ints: [indices.shape[0], ...x.shape.slice(1).map(() => 1)] }],
        output: 'column',
      },
      { op: 'Expand', inputs: ['column', { ints: x.shape }], output: 'rows' },
      {
        op: 'ScatterElements',
        inputs: ['zeros', 'rows', '$0'],
        output: '$y',
        attributes: { axis: 0, reduction: 'add' },
      },
    ],
  }),

  /** From x [N, V], the element of each row at indices [N]: [N, 1]. */
  Pick: op({
    infer: ([x, indices]) => {
      expectRank('Pick', x, 2);
      if (indices.shape.length !== 1 || indices.shape[0] !== x.shape[0]) {
        throw InvalidArgument.at('Pick', `expected ${x.shape[0]} indices, got [${indices.shape}]`);
      }
      return { dtype: x.dtype, shape: [x.shape[0], 1] };
    },
    evaluate: ([x, indices]) => Float64Array.from(indices.data, (at, i) => x.data[i * x.shape[1] + at]),
    vjp: (b, { inputs: [x, indices] }, dy) => [b.unpick(dy, indices, x.shape[1]), undefined],
    lower: ({ shape }) => [
      { op: 'Reshape', inputs: ['$1', { ints: shape }], output: 'column' },
      { op: 'GatherElements', inputs: ['$0', 'column'], output: '$y', attributes: { axis: 1 } },
    ],
  }),

  /** The adjoint of Pick: zeros [N, columns] with x [N, 1] at indices [N]. */
  Unpick: op<{ columns: number }>({
    infer: ([x], attributes) => ({ dtype: x.dtype, shape: [x.shape[0], attributes.columns] }),
    evaluate: ([x, indices], value) => {
      const out = new Float64Array(sizeOf(value.shape));
      indices.data.forEach((at, i) => {
        out[i * value.shape[1] + at] = x.data[i];
      });
      return out;
    },
    vjp: (b, { inputs: [, indices] }, dy) => [b.pick(dy, indices), undefined],
    lower: ({ shape, inputs }) => [
      { op: 'ConstantOfShape', inputs: [{ ints: shape }], output: 'zeros' },
      { op: 'Reshape', inputs: ['$1', { ints: inputs[0].shape }], output: 'column' },
      { op: 'ScatterElements', inputs: ['zeros', 'column', '$0'], output: '$y', attributes: { axis: 1 } },
    ],
  }),

  /** Softmax over the last axis. dx = y ⊙ (dy − Σ dy⊙y). */
  Softmax: op({
    inPlace: true,
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => {
      const out = new Float64Array(x.data.length);
      eachRow(x.shape, (begin, n) => {
        const row = x.data.subarray(begin, begin + n);
        const top = row.reduce((a, v) => Math.max(a, v), Number.NEGATIVE_INFINITY);
        const sum = row.reduce((a, v) => a + Math.exp(v - top), 0);
        for (let i = 0; i < n; i++) out[begin + i] = Math.exp(row[i] - top) / sum;
      });
      return out;
    },
    vjp: (b, y, dy) => [b.mul(y, b.sub(dy, b.reduceSum(b.mul(dy, y), [-1])))],
    lower: simple('Softmax', lastAxis),
  }),

  /** log Softmax over the last axis. dx = dy − e^y · Σ dy. */
  LogSoftmax: op({
    inPlace: true,
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => {
      const out = new Float64Array(x.data.length);
      eachRow(x.shape, (begin, n) => {
        const row = x.data.subarray(begin, begin + n);
        const top = row.reduce((a, v) => Math.max(a, v), Number.NEGATIVE_INFINITY);
        const logSum = top + Math.log(row.reduce((a, v) => a + Math.exp(v - top), 0));
        for (let i = 0; i < n; i++) out[begin + i] = row[i] - logSum;
      });
      return out;
    },
    vjp: (b, y, dy) => [b.sub(dy, b.mul(b.exp(y), b.reduceSum(dy, [-1])))],
    lower: simple('LogSoftmax', lastAxis),
  }),

  /** int64 to float32. */
  ToFloat: op({
    infer: ([x]) => ({ dtype: 'float32', shape: x.shape }),
    evaluate: ([x]) => x.data,
    lower: simple('Cast', { to: 1 }),
  }),
};

export type OpName = keyof typeof ops;

/** What a value of this op says besides its inputs. */
export type AttributesOf<K extends OpName> = (typeof ops)[K] extends OpRow<infer A> ? A : never;

/** What a value's kernel saved for its gradient: see `OpRow.saved`. Has no gradient itself. */
export function savedOf(value: Value): { name: string; of: Value; row: NonNullable<OpRow['saved']>[string] } {
  const [of] = value.inputs;
  const name = value.attributes['name'] as string;
  return { name, of, row: rowOf(of.op).saved![name] };
}

/** The row of an op that is not a leaf. */
export function rowOf(op: string): OpRow {
  const row = (ops as Readonly<Record<string, OpRow>>)[op];
  if (!row) throw InvalidArgument.at('graph', `expected an op of the table, got ${op}`);
  return row;
}

export function isOp<K extends OpName>(value: Value, op: K): value is Value<AttributesOf<K>> {
  return value.op === op;
}

/** What computing a value is like; nothing is said of leaves, and of what kernels save. */
export function traitsOf(value: Value): Pick<OpRow, 'cheap' | 'view' | 'inPlace' | 'scratch'> {
  return isLeaf(value) || value.op === 'Saved' ? {} : rowOf(value.op);
}
