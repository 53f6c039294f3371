/** The YAML files that people write: what may stand in them, and the messages that they become. */

export { specOf } from '@emotune/service/spec';
export { type SpecField, type SpecMessage, type SpecType, specMessages } from './spec-fields.js';
export { parseYaml } from './yaml-file.js';
