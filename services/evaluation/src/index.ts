export { predict } from './asking.js';
export { predictOtherwise } from './asking-otherwise.js';
export { evaluationEnvironment, pageSettingsOf, studyVariables } from './config.js';
export { type EvaluationContext, evaluationMigrations } from './evaluations.js';
export { evaluationModule } from './module.js';
export { planOf as studyPlanOf } from './studies/spec.js';
