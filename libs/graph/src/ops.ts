/**
 * The op table. An op is one row: how its shape follows from its inputs, what it computes (a plain reference on
 * float64, the oracle of every executor), its vector-Jacobian product written in ops again, and the ONNX nodes it
 * becomes. The next op is one more row, its builder in `build.ts`, and one case in `ops.test.ts`.
 *
 * Notation: x, y inputs and outputs, dy = ∂L/∂y. Broadcasting as in NumPy; a vjp may return a gradient of the
 * broadcast shape, `autodiff.ts` sums it back.
 */
import { InvalidArgument } from '@emotune/base';
import type * as Build from './build.js';
import { fusedOps } from './fused-ops.js';
import { halfOps } from './half-ops.js';
import { int4Ops } from './int4-ops.js';
import { int8Ops } from './int8-ops.js';
import type { Attributes, DType, Shape, Value } from './ir.js';
import { sizeOf } from './ir.js';
import { matmul } from './matmul.js';
import { broadcastShapes, broadcastStrides, forEachIndex, normalAxis, strides } from './shape.js';

/** The functions of build.ts; handed in, since they in turn need this table. */
type Builder = typeof Build;

/** Elements of a value during reference evaluation. Integers and booleans are exact in float64. */
export interface Reference {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** One ONNX node. `$0`, `$1`, … stand for the inputs, `$y` for the output, other names are local to the node list. */
export interface OnnxNode {
  readonly op: string;
  /** `''` leaves an optional input out. */
  readonly inputs: readonly (string | OnnxConstant)[];
  readonly output: string;
  /** Further outputs: a name that the row's `saved` has can be read by its gradient, '' leaves one out. */
  readonly moreOutputs?: readonly string[];
  readonly attributes?: Readonly<
    Record<string, number | readonly number[] | string | { readonly float: number }>
  >;
  /** `com.microsoft` for ONNX Runtime's own ops. */
  readonly domain?: string;
  /** The version of the standard's operators that this node needs, where a model's usual one is older. */
  readonly since?: number;
}

export interface OpRow {
  /** Shape and type of the output. @throws InvalidArgument naming the op and what it expected. */
  infer(inputs: readonly Value[], attributes: Attributes): { dtype: DType; shape: Shape };
  evaluate(inputs: readonly Reference[], value: Value): Float64Array;
  /** Gradients of the inputs, built with `b`; undefined where there is none, absent for ops without gradient. */
  vjp?(b: Builder, value: Value, dy: Value): readonly (Value | undefined)[];
  lower(value: Value): readonly OnnxNode[];
  /** One pass over its elements, about as fast as memory: see `selective` in recompute.ts. */
  readonly cheap?: boolean;
  /** What the op's kernel computes besides its output and its gradient can use, by the name in `moreOutputs`. */
  readonly saved?: Readonly<Record<string, Pick<OpRow, 'infer'> & Pick<OpRow, 'evaluate'>>>;
}

/** Integers of one axis, or one number without an axis. */
export type OnnxConstant =
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly byte: number };

function expectRank(op: string, value: Value, rank: number): void {
  if (value.shape.length !== rank)
    throw InvalidArgument.at(op, `expected rank ${rank}, got [${value.shape}]`);
}

function numbers(attributes: Attributes, name: string): readonly number[] {
  return attributes[name] as readonly number[];
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
): OpRow {
  return {
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => x.data.map(f),
    ...(vjp ? { vjp: (b: Builder, y: Value, dy: Value) => [vjp(b, y, dy, y.inputs[0])] } : {}),
    lower: simple(onnx),
    cheap: true,
  };
}

function binary(
  onnx: string,
  f: (x: number, y: number) => number,
  options: { vjp?: NonNullable<OpRow['vjp']>; result?: DType } = {},
): OpRow {
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
  };
}

function reduction(
  onnx: 'ReduceSum' | 'ReduceMax',
  start: number,
  f: (a: number, x: number) => number,
  vjp?: OpRow['vjp'],
): OpRow {
  return {
    infer: ([x], attributes) => {
      const axes = numbers(attributes, 'axes').map((a) => normalAxis(onnx, a, x.shape.length));
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
        inputs: ['$0', { ints: numbers(value.attributes, 'axes') }],
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
  Detach: unary('Identity', (x) => x),

  /** x, but only once `earlier` is computed: the shape that x is given is written with the size of `earlier`. No copy. */
  After: {
    infer: ([x]) => ({ dtype: x.dtype, shape: x.shape }),
    evaluate: ([x]) => x.data,
    vjp: (_b, _, dy) => [dy, undefined],
    lower: ({ shape, inputs: [, earlier] }) => [
      { op: 'Size', inputs: ['$1'], output: 'size' },
      { op: 'Sub', inputs: [{ ints: shape.map((d) => d + sizeOf(earlier.shape)) }, 'size'], output: 'shape' },
      { op: 'Reshape', inputs: ['$0', 'shape'], output: '$y', attributes: { allowzero: 1 } },
    ],
  },
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
  Where: {
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
  },

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

  Reshape: {
    cheap: true,
    infer: ([x], attributes) => {
      const shape = numbers(attributes, 'shape');
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
        inputs: ['$0', { ints: numbers(attributes, 'shape') }],
        output: '$y',
        attributes: { allowzero: 1 },
      },
    ],
  },

  /** Axis i of the output is axis `permutation[i]` of the input. */
  Transpose: {
    cheap: true,
    infer: ([x], attributes) => {
      const permutation = numbers(attributes, 'permutation');
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
        numbers(value.attributes, 'permutation').map((p) => own[p]),
        (flat, at) => {
          out[flat] = x.data[at];
        },
      );
      return out;
    },
    vjp: (b, { attributes }, dy) => {
      const permutation = numbers(attributes, 'permutation');
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
        attributes: { perm: numbers(attributes, 'permutation') },
      },
    ],
  },

  /** Broadcast to `shape`. */
  Expand: {
    cheap: true,
    infer: ([x], attributes) => {
      const shape = numbers(attributes, 'shape');
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
    lower: ({ attributes }) => [
      { op: 'Expand', inputs: ['$0', { ints: numbers(attributes, 'shape') }], output: '$y' },
    ],
  },

  /** Elements `start` ≤ i < `end` of one axis. */
  Slice: {
    cheap: true,
    infer: ([x], attributes) => {
      const axis = normalAxis('Slice', attributes['axis'] as number, x.shape.length);
      const [start, end] = [attributes['start'] as number, attributes['end'] as number];
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
      const from =
        (value.attributes['start'] as number) *
        own[normalAxis('Slice', value.attributes['axis'] as number, own.length)];
      const out = new Float64Array(sizeOf(value.shape));
      forEachIndex(value.shape, own, (flat, at) => {
        out[flat] = x.data[from + at];
      });
      return out;
    },
    // Zeros around the gradient.
    vjp: (b, { inputs: [x], attributes }, dy) => {
      const axis = normalAxis('Slice', attributes['axis'] as number, x.shape.length);
      return [b.amongZeros([{ start: attributes['start'] as number, part: dy }], x.shape, axis)];
    },
    lower: ({ attributes }) => [
      {
        op: 'Slice',
        inputs: ['$0', ...['start', 'end', 'axis'].map((name) => ({ ints: [attributes[name] as number] }))],
        output: '$y',
      },
    ],
  },

  Concat: {
    cheap: true,
    infer: (inputs, attributes) => {
      const axis = normalAxis('Concat', attributes['axis'] as number, inputs[0].shape.length);
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
      const axis = normalAxis('Concat', value.attributes['axis'] as number, value.shape.length);
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
      const axis = attributes['axis'] as number;
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
        attributes: { axis: value.attributes['axis'] as number },
      },
    ],
  },

  /** Rows of table [V, …] at indices [N]: [N, …]. */
  Gather: {
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
  },

  /** The adjoint of Gather: zeros [rows, …] with x[i] added at row indices[i]; equal indices add up. */
  ScatterRows: {
    infer: ([x, indices], attributes) => {
      expectRank('ScatterRows', indices, 1);
      return { dtype: x.dtype, shape: [attributes['rows'] as number, ...x.shape.slice(1)] };
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
  },

  /** From x [N, V], the element of each row at indices [N]: [N, 1]. */
  Pick: {
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
  },

  /** The adjoint of Pick: zeros [N, columns] with x [N, 1] at indices [N]. */
  Unpick: {
    infer: ([x], attributes) => ({ dtype: x.dtype, shape: [x.shape[0], attributes['columns'] as number] }),
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
  },

  /** Softmax over the last axis. dx = y ⊙ (dy − Σ dy⊙y). */
  Softmax: {
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
  },

  /** log Softmax over the last axis. dx = dy − e^y · Σ dy. */
  LogSoftmax: {
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
  },

  /** int64 to float32. */
  ToFloat: {
    infer: ([x]) => ({ dtype: 'float32', shape: x.shape }),
    evaluate: ([x]) => x.data,
    lower: simple('Cast', { to: 1 }),
  },
} satisfies Record<string, OpRow>;

export type OpName = keyof typeof ops;

/** What a value's kernel saved for its gradient: see `OpRow.saved`. Has no gradient itself. */
export function savedOf(value: Value): { name: string; of: Value; row: NonNullable<OpRow['saved']>[string] } {
  const [of] = value.inputs;
  const name = value.attributes['name'] as string;
  return { name, of, row: rowOf(of.op).saved![name] };
}

/** The row of an op that is not a leaf. */
export function rowOf(op: string): OpRow {
  const row = (ops as Record<string, OpRow>)[op];
  if (!row) throw InvalidArgument.at('graph', `expected an op of the table, got ${op}`);
  return row;
}
