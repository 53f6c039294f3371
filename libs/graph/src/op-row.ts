/** What a row of the op table is. Rows are in `ops.ts` and the files that it puts together. */
import type * as Build from './build.js';
import type { Attributes, DType, Shape, Value } from './ir.js';

/** The functions of build.ts; handed in, since they in turn need this table. */
export type Builder = typeof Build;

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

/** What the runtime can do that a model is written for. */
export interface OnnxTarget {
  /**
   * Products of unsigned with signed bytes are exact. They are not where a processor adds pairs of them in 16 bits, as x86
   * does without VNNI: 2·255·127 does not fit.
   */
  readonly exactSignedBytes: boolean;
}

/** Attributes of an op that has none. */
export type NoAttributes = Readonly<Record<never, never>>;

/** All there is to know of an op whose values have the attributes A. */
export interface OpRow<A extends Attributes = Attributes> {
  /** Shape and type of the output. @throws InvalidArgument naming the op and what it expected. */
  infer(inputs: readonly Value[], attributes: A): { dtype: DType; shape: Shape };
  evaluate(inputs: readonly Reference[], value: Value<A>): Float64Array;
  /** Gradients of the inputs, built with `b`; undefined where there is none, absent for ops without gradient. */
  vjp?(b: Builder, value: Value<A>, dy: Value): readonly (Value | undefined)[];
  lower(value: Value<A>, target: OnnxTarget): readonly OnnxNode[];
  /** One pass over its elements, about as fast as memory: see `selective` in recompute.ts. */
  readonly cheap?: boolean;
  /** The output is the first input's memory under another shape. */
  readonly view?: boolean;
  /** The output may be written over an input of the same shape that nothing reads afterwards. */
  readonly inPlace?: boolean;
  /** What the nodes of `lower` hold besides inputs and output, bytes; default 0. */
  scratch?(value: Value<A>): number;
  /** What the op's kernel computes besides its output and its gradient can use, by the name in `moreOutputs`. */
  readonly saved?: Readonly<Record<string, Pick<OpRow<A>, 'infer' | 'evaluate'>>>;
}

/** A row of the op table. */
export function op<A extends Attributes = NoAttributes>(row: OpRow<NoInfer<A>>): OpRow<A> {
  return row;
}

/** Integers of one axis, or one number without an axis. */
export type OnnxConstant =
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly byte: number };
