export type { Row } from './batches.js';
export type { Forgetting } from './curriculum.js';
export { planDisk } from './disk-plan.js';
export { type Distilling, distill } from './distill.js';
export { Diverged, endingOf, Interrupted, LostOrigin, LostRank } from './failures.js';
export type { Directive, Measurement } from './measurement.js';
export { chanceToFit, MemoryForecast, type RowLengths } from './memory-forecast.js';
export type { NumberAnswer, NumberChoices } from './number-answers.js';
export { Update } from './optimizers/update.js';
export { checkMemory, type MemoryPlan, type PlannedRun, planMemory, planText } from './plan.js';
export {
  type PretrainProgress,
  type PretrainResult,
  type PretrainSpec,
  packDocuments,
  pretrain,
  pretrainSpec,
  type SpecialTokens,
  smallConfig,
} from './pretrain.js';
export { alone, type Exchange } from './ranks/exchange.js';
export { type Link, Ring } from './ranks/ring.js';
export { comparesNumbers } from './regularisers/settings.js';
export { Sessions } from './sessions.js';
export type { TrainingSettings } from './settings.js';
export { settingsJsonSchema } from './settings-document.js';
export { accepts, namedSettings, parseSettings, parseSettingsFile, trialSettings } from './settings-input.js';
export { type Setting, settings } from './settings-table.js';
export { type TrainSpec, trainSpec, trainSpecOf } from './spec.js';
export type { Distillation, TeacherAnswer, TeacherChoices } from './teacher-answers.js';
export { assist, type TrainHooks, type TrainResult, train } from './train.js';
export { withExecutor } from './with-executor.js';
