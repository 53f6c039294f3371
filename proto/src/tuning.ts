export * from '../gen/emotune/tuning/v1/events.js';
export * from '../gen/emotune/tuning/v1/experiment.js';
export * from '../gen/emotune/tuning/v1/insight.js';
export * from '../gen/emotune/tuning/v1/model.js';
export * from '../gen/emotune/tuning/v1/trial.js';
