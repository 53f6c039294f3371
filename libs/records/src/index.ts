export { csvRows, type TextRow } from './delimited.js';
export { countExamples, decodeExamples, encodeExamples, readExamples } from './examples.js';
export { decodeShard, encodeShard, type FeatureRow } from './features.js';
export { expectFits, type Held } from './held.js';
export { decodePredictions, encodePredictions, type Prediction } from './predictions.js';
export type { FileContent } from './rows.js';
export { lines } from './text-files.js';
export { checkUserFile, columnsOf, columnViolations, readUserFile, type UserFile } from './user-file.js';
