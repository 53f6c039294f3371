/** What a command is made of. */
export {
  type AddCommands,
  asks,
  fileOption,
  integerFrom,
  type ParameterOptions,
  parameterOf,
  sessionOf,
} from './commands/options.js';
export { untilEnded } from './commands/specs.js';
export type { Progress } from './progress.js';
export { newRequestId, type Session } from './session.js';
export { readYamlFile } from './yaml-file.js';
