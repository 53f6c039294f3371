import type { data } from '@emotune/proto';
import { messageJson } from '@emotune/service/spec';
import { sourcesText } from '../format/dataset.js';
import { type AddCommands, asks } from './options.js';

export const addSourceCommands: AddCommands = (program, io) => {
  const source = program.command('source').description('what datasets can be built from');
  source
    .command('list')
    .description('list the known sources, their licences and where they were found')
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const { sources } = await channel
          .client<data.DatasetServiceClient>('DatasetService')
          .call('listSources', {}, { signal });
        await session.answer(
          sources.map((item) => messageJson('emotune.data.v1.Source', item)),
          () => sourcesText(sources),
        );
      }),
    );
};
