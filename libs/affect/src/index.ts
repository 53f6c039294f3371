export {
  type BaselineAnswer,
  ConstantBaseline,
  type ConstantQuestion,
  type TrainRow,
  vaderAnswer,
} from './baselines.js';
export {
  bootstrapIntervals,
  type Interval,
  type Intervals,
  type PairedTest,
  pairedBootstrap,
} from './bootstrap.js';
export {
  type CalibrationBin,
  type Confusion,
  confusionOf,
  hardest,
  labelCalibration,
  numberCalibration,
  slicesOf,
} from './error-analysis.js';
export { labelSets } from './labels.js';
export {
  classificationMeasure,
  type LabelOutcome,
  labelError,
  type Measure,
  type MetricName,
  type Metrics,
  metricNames,
  type NumberOutcome,
  raterAgreement,
  regressionMeasure,
  squaredError,
} from './metrics.js';
export { type Example, type Scale, type Split, type Task, tasks } from './tasks.js';
