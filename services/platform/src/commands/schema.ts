import type { AddCommands } from '@emotune/cli/command';
import { sessionOf } from '@emotune/cli/command';
import { Argument } from 'commander';
import { type FileName, fileNames, schemaOf } from '../reference/files.js';

export const addSchemaCommand: AddCommands = (program, io) => {
  program
    .command('schema')
    .description('print the JSON schema of a YAML file, for editors')
    .addArgument(new Argument('<file>', 'which file').choices(fileNames))
    .addHelpText(
      'after',
      `
Example:
  emotune schema experiment > experiment.schema.json

An editor with a YAML language server then checks and completes a file that begins with
  # yaml-language-server: $schema=experiment.schema.json`,
    )
    .action(async (file: FileName, _options, command) => {
      const schema = await schemaOf(file);
      await sessionOf(io, command).answer(schema, () => JSON.stringify(schema, null, 2));
    });
};
