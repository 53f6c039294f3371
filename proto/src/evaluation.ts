export * from '../gen/emotune/evaluation/v1/evaluation.js';
export * from '../gen/emotune/evaluation/v1/events.js';
export * from '../gen/emotune/evaluation/v1/study.js';
