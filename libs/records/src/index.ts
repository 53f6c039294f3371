export { csvRows, type TextRow } from './delimited.js';
export { countExamples, decodeExamples, ExampleWriter, encodeExamples, readExamples } from './examples.js';
export { type Derived, decodeShard, encodeShard, type FeatureRow } from './features.js';
export { expectFits } from './held.js';
export { mostRows, tooManyRows } from './limits.js';
export { decodePredictions, encodePredictions, type Prediction } from './predictions.js';
export type { FileContent } from './rows.js';
export { readTexts } from './text-column.js';
export { lines } from './text-files.js';
export {
  checkUserFile,
  columnsOf,
  columnViolations,
  type Found,
  readUserFile,
  type UserFile,
  userExamples,
} from './user-file.js';
