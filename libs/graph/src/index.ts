export { gradients } from './autodiff.js';
export * as build from './build.js';
export { evaluate } from './evaluate.js';
export { type DType, type Shape, sameShape, sizeOf, type Value } from './ir.js';
export { type External, type OnnxModel, toOnnx } from './onnx.js';
export { type OpName, ops } from './ops.js';
export { type Recompute, recomputes } from './recompute.js';
export { bytesOf, executionOrder, listed, liveness } from './schedule.js';
