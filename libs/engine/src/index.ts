export {
  type ChosenExecutor,
  createExecutor,
  type Device,
  devices,
  memoryOn,
  refusalOf,
} from './device.js';
export type {
  CompileHints,
  Executor,
  ExecutorFactory,
  ExecutorMemory,
  GraphMemory,
  Outputs,
  Program,
  RunIO,
  SlotPart,
  SweepGraph,
  SweepProgram,
} from './executor.js';
export { bfloat16ToFloat32, float16ToFloat32, half, toFloat16 } from './float16.js';
export { OnnxExecutor } from './onnx/executor.js';
export { onnxMemory } from './onnx/memory.js';
export {
  bool,
  type FileRange,
  FileTensor,
  float16,
  float32,
  type HostTensor,
  int8,
  int64,
  reading,
  release,
  uint8,
} from './tensor.js';
