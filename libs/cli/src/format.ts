/** Answers of the services as text for people and JSON for programs. */
export { messageJson, shortEnumName } from '@emotune/service/spec';
export { analysisJson, analysisText } from './format/analysis.js';
export { datasetJson } from './format/dataset.js';
export { evaluationJson } from './format/evaluation.js';
export { experimentEnded, parametersText, stageOf, valueText } from './format/experiment.js';
export { count, facts, figure, nothing, percent, table } from './format/text.js';
