/**
 * The tensor program: a directed acyclic graph of values with static shapes. Each value is the result of one row of the
 * op table (`ops.ts`) or a leaf: an input or a constant. Building a value infers its shape, so a mistake shows where
 * it is made. Nothing here runs anything; see `evaluate.ts`, `autodiff.ts` and `onnx.ts` for what reads a graph.
 */
import { InvalidArgument } from '@emotune/base';

export type DType = 'float32' | 'float16' | 'int64' | 'int8' | 'uint8' | 'bool';
/** What onnx.proto calls each type of elements. */
export const dtypeCode: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int64: 7,
  bool: 9,
  float16: 10,
};
export type Shape = readonly number[];
export type Attributes = Readonly<Record<string, number | readonly number[] | boolean | string>>;

/**
 * `feed`: given anew with each run. `weight`: a parameter of the model, or what is made of one before the first run. `state`:
 * what runs leave for each other, such as gradients, moments, keys and values.
 */
export type InputKind = 'feed' | 'weight' | 'state';

/** What ops are called; `ops` in ops.ts has one row for each. */
export interface Value<A extends Attributes = Attributes> {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly attributes: A;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Inputs alone: what they are called, and where they come from. */
  readonly name?: string;
  readonly kind?: InputKind;
  /** A block of layers begins here: see `recompute.ts`. */
  readonly boundary?: true;
  /** Constants: the elements, row-major. */
  readonly data?: Float32Array | BigInt64Array | Uint8Array;
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((n, d) => n * d, 1);
}

const bytesPerElement: Record<DType, number> = {
  float32: 4,
  float16: 2,
  int64: 8,
  int8: 1,
  uint8: 1,
  bool: 1,
};

export function bytesOf({ dtype, shape }: Pick<Value, 'dtype' | 'shape'>): number {
  return sizeOf(shape) * bytesPerElement[dtype];
}

/** Fed or fixed: not computed. */
export function isLeaf({ op }: Value): boolean {
  return op === 'Input' || op === 'Constant';
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

function checkShape(where: string, shape: Shape): void {
  for (const d of shape) {
    if (!Number.isSafeInteger(d) || d < 0)
      throw InvalidArgument.at(where, `expected dimensions ≥ 0, got [${shape}]`);
  }
}

/** A leaf that a run is given. */
export function input(name: string, dtype: DType, shape: Shape, kind: InputKind = 'feed'): Value {
  checkShape(name, shape);
  return { op: 'Input', inputs: [], attributes: {}, dtype, shape, name, kind };
}

/** A leaf with fixed elements; meant for small ones, they are stored in the model file. */
export function constant(data: Float32Array | BigInt64Array | Uint8Array, shape: Shape): Value {
  checkShape('constant', shape);
  if (data.length !== sizeOf(shape)) {
    throw InvalidArgument.at(
      'constant',
      `expected ${sizeOf(shape)} elements for [${shape}], got ${data.length}`,
    );
  }
  const dtype = data instanceof Float32Array ? 'float32' : data instanceof BigInt64Array ? 'int64' : 'bool';
  return { op: 'Constant', inputs: [], attributes: {}, dtype, shape, data };
}

/** A float32 scalar. */
export function scalar(value: number): Value {
  return constant(Float32Array.of(value), []);
}

/** Every value that the outputs need, inputs before users, in the order of creation along each path. */
export function topological(outputs: readonly Value[]): Value[] {
  const order: Value[] = [];
  const done = new Set<Value>();
  for (const output of outputs) {
    const stack: { value: Value; next: number }[] = [{ value: output, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (done.has(top.value)) {
        stack.pop();
      } else if (top.next < top.value.inputs.length) {
        const child = top.value.inputs[top.next++];
        if (!done.has(child)) stack.push({ value: child, next: 0 });
      } else {
        done.add(top.value);
        order.push(top.value);
        stack.pop();
      }
    }
  }
  return order;
}
