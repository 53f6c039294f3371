/** The contract between the services: one namespace per area, and the messages as they are sent. */
export * as common from '../gen/emotune/common/v1/common.js';
export * as events from '../gen/emotune/events/v1/events.js';
export * as files from '../gen/emotune/files/v1/files.js';
export * as inference from '../gen/emotune/inference/v1/inference.js';
export type { Timestamp } from '../gen/google/protobuf/timestamp.js';
export * as data from './data.js';
export * as evaluation from './evaluation.js';
export * as featurization from './featurization.js';
export { type Codec, codecOf, contract, Encoded, messageType, protoFiles, protoRoot } from './messages.js';
export * as tuning from './tuning.js';
export type { PlainValue } from './values.js';
