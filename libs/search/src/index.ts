export { compareMeasured, lessonOf, type TrialRecord } from './history.js';
export { endOfJob, reasons, reasonWord } from './reasons.js';
export { parseSearchAlgorithm, type SearchAlgorithm, suggest, suggestDefaults } from './samplers.js';
export {
  type Assignment,
  type Parameter,
  type ParameterValue,
  parseAssignment,
  parseSearchSpace,
  type SearchSpace,
} from './space.js';
