/** Every command of the program, in the order of its help. */
import { type Commands, clientCommands } from '@emotune/cli';
import { labCommands } from '@emotune/lab';

export const commands: Commands = {
  start: async () => (await import('./commands/start.js')).addStartCommand,
  up: async () => (await import('./commands/up.js')).addUpCommand,
  ...clientCommands,
  train: async () => (await import('./commands/train.js')).addTrainCommand,
  ...labCommands,
};
