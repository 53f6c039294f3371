export { type Commands, clientCommands } from './commands.js';
export { type Embedded, type Io, type OpenOptions, Stopped } from './io.js';
export { run } from './run.js';
