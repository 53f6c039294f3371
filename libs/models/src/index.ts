export { type ModelInputs, modelInputs } from './blocks.js';
export { type CandidateTree, candidateTree } from './candidate-tree.js';
export { checkpointNotices, loadModel, type Model, saveModel } from './checkpoint.js';
export { companionFiles, endingWith } from './companions.js';
export { type Family, longestRow, type ModelConfig, parseConfig } from './config.js';
export { type BaseCompute, baseComputes } from './frozen.js';
export {
  type GenerateOptions,
  type Generation,
  Generator,
  type Sampling,
} from './generator.js';
export { embeddingModule, initialLora, type Lora } from './lora.js';
export {
  frozenTensors,
  GraphWeights,
  hiddenStates,
  initialTensors,
  initialTrainable,
  logitsOf,
  type Method,
  methodSettings,
  rateScaleOf,
  trainableParameters,
} from './model.js';
export type { InferenceCompute } from './model-executor.js';
export { maskKind, slotNames, weightOfBest } from './names.js';
export { exportOnnx } from './onnx-export.js';
export { modelParameters, type Parameter } from './parameters.js';
export { type Adapter, adaptedTensors, loadAdapter, mergeAdapter, saveAdapter } from './peft.js';
export { type Masking, mixedParameters } from './perturbed-weights.js';
export { SafetensorsFile, type WrittenTensor, writeSafetensors } from './safetensors.js';
export type { ScoreRequest } from './score-layout.js';
export { type ScoreOptions, Scorer, type Turn } from './scorer.js';
export { ggufCompanions, loadModelChatTemplate, loadTokenizer } from './tokenizer-files.js';
export {
  ascentGraph,
  type GridLoss,
  type GridShape,
  lossGraph,
  type NumberShape,
  referenceGraph,
  type StepOptions,
  type StepShape,
  trainGraph,
} from './train-graph.js';
