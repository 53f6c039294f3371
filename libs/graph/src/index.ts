export { gradients } from './autodiff.js';
export * as build from './build.js';
export { evaluate } from './evaluate.js';
export { int4Block, int4Zero } from './int4-ops.js';
export {
  bytesOf,
  type DType,
  type InputKind,
  isLeaf,
  type Shape,
  sameShape,
  sizeOf,
  type Value,
} from './ir.js';
export { listed, lowered, toOnnx } from './onnx.js';
export { dynamicNodes, type SizeTerm } from './onnx-dynamic.js';
export { type External, encodeOnnx, type Initializer, type NamedNode } from './onnx-file.js';
export type { OnnxTarget } from './op-row.js';
export { type OpName, ops, traitsOf } from './ops.js';
export { type Recompute, recomputes } from './recompute.js';
