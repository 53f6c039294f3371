export { decodeExamples, encodeExamples } from './examples.js';
export { decodeShard, encodeShard, type FeatureRow } from './features.js';
export { decodePredictions, encodePredictions, type Prediction } from './predictions.js';
export { csvRows, lines } from './text-files.js';
export { readUserFile, type UserFile } from './user-file.js';
