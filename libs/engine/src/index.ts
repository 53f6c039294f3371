export { Executor, type Session, type SweepSession, sweepersOf } from './executor.js';
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
export type { RunIO, SlotPart } from './worker.js';
