export type { Lesson, RecordState, TrialRecord } from './history.js';
export {
  type Assignment,
  type Parameter,
  type ParameterValue,
  parseAssignment,
  parseSearchSpace,
  type SearchSpace,
} from './space.js';
