export { checkRows, readRows } from './feature-rows.js';
export { type TrainingSettings, trainingSettings } from './training-settings.js';
export { type TrainOnceOptions, trainOnce } from './tune.js';
