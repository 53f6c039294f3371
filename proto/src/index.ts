/** The contract between the services: one namespace per area, and where the .proto files lie. */
import { fileURLToPath } from 'node:url';

export * as common from '../gen/emotune/common/v1/common.js';
export * as files from '../gen/emotune/files/v1/files.js';
export * as inference from '../gen/emotune/inference/v1/inference.js';
export type { Timestamp } from '../gen/google/protobuf/timestamp.js';
export * as data from './data.js';
export * as evaluation from './evaluation.js';
export * as featurization from './featurization.js';
export * as tuning from './tuning.js';
export {
  type PlainValue,
  plainSettings,
  plainValue,
  plainValues,
  valueMessage,
  valueMessages,
} from './values.js';

/** The folder that imports in .proto files are relative to. */
export const protoRoot = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '.' : '../../src/', import.meta.url),
);

/** Every file that declares a service, relative to `protoRoot`. */
export const serviceFiles = [
  'emotune/files/v1/files.proto',
  'emotune/data/v1/data.proto',
  'emotune/featurization/v1/featurization.proto',
  'emotune/tuning/v1/experiment.proto',
  'emotune/tuning/v1/insight.proto',
  'emotune/tuning/v1/trial.proto',
  'emotune/tuning/v1/model.proto',
  'emotune/evaluation/v1/evaluation.proto',
  'emotune/inference/v1/inference.proto',
] as const;
