/** Answers of the services as text for people and JSON for programs. */
export { shortEnumName } from './descriptors.js';
export { analysisJson, analysisText } from './format/analysis.js';
export { datasetJson } from './format/dataset.js';
export { evaluationJson } from './format/evaluation.js';
export { experimentEnded, parametersText, stageOf, valueText } from './format/experiment.js';
export { count, facts, figure, nothing, percent, table } from './format/text.js';
export { messageJson } from './message-json.js';
