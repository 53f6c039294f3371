export { settingsOf } from './assignment.js';
export { validationParts } from './calibrating.js';
export { checkRows, readRows } from './feature-rows.js';
export { type RecalibrateOptions, recalibrate } from './recalibrate.js';
export { saveTuned, type TrainOnceOptions, trainOnce, tune } from './tune.js';
