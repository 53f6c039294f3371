/** Messages of the contract as people write and read them. */
export { isValue, settingsField, shortEnumName } from './descriptors.js';
export { messageJson } from './message-json.js';
export { parseScale, specOf, wordOf } from './spec-file.js';
