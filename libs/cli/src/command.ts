/** What a command is made of. */
export { type AddCommands, fileOption, integerFrom, sessionOf } from './commands/options.js';
export { untilEnded } from './commands/specs.js';
export type { Progress } from './progress.js';
export type { Session } from './session.js';
export { readYamlFile } from './yaml-file.js';
