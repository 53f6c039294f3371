export { sameValues } from './combinations.js';
export { type Evidence, evidenceFor } from './evidence.js';
export { type Blame, isTold, lessonOf, measuredBestFirst, type TrialRecord } from './history.js';
export { type DependencePoint, ParameterEffects, type ParameterImportance } from './importance.js';
export {
  bestAgainstRunnerUp,
  hypervolume,
  optimizationHistory,
  parallelCoordinates,
  paretoSet,
  slices,
} from './insight.js';
export { mean, standardError } from './mean.js';
export type { CurvePoint, TrialCurve, Verdict } from './pruners/curves.js';
export { hyperbandBracket, promoted } from './pruners/halving.js';
export { type EarlyStopping, judge, parseEarlyStopping } from './pruners.js';
export type { LineageRules, SuggestContext } from './sampler.js';
export {
  completed,
  lineageOf,
  parseSearchAlgorithm,
  type SearchAlgorithm,
  type Suggestion,
  samplerChoice,
  suggest,
  suggestDefaults,
} from './samplers.js';
export {
  type Assignment,
  isActive,
  onlyValue,
  type Parameter,
  type ParameterValue,
  parseAssignment,
  parseSearchSpace,
  type SearchSpace,
} from './space.js';
export type { Direction, Study, StudyTrial } from './study.js';
export { studyOfRows } from './study-csv.js';
export { readOptunaStudy } from './study-sqlite.js';
export { type Termination, type TerminatorSettings, termination } from './terminator.js';
export { untried, untriedSuggestion } from './untried.js';
export { bestConfigurations, fitted, type WarmStart, warmStart } from './warm-start.js';
