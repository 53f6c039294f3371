/** Every command of the program, in the order of its help. */
import { type Commands, clientCommands } from '@emotune/cli';
import { labCommands } from '@emotune/lab';

export const commands: Commands = {
  start: async () => (await import('./commands/start.js')).addStartCommand,
  up: async () => (await import('./commands/up.js')).addUpCommand,
  ...clientCommands,
  experiment: async () => {
    const addExperimentCommands = await clientCommands['experiment']();
    const { addImportCommand } = await import('./commands/import.js');
    return (program, io) => {
      addExperimentCommands(program, io);
      addImportCommand(program.commands.find((command) => command.name() === 'experiment')!, io);
    };
  },
  train: async () => (await import('./commands/train.js')).addTrainCommand,
  calibrate: async () => (await import('./commands/calibrate.js')).addCalibrateCommand,
  schema: async () => (await import('./commands/schema.js')).addSchemaCommand,
  ...labCommands,
};
