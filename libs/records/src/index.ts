export { decodeExamples, encodeExamples } from './examples.js';
export { decodeShard, encodeShard, type FeatureRow } from './features.js';
