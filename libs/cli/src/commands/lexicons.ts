import type { data } from '@emotune/proto';
import { messageJson } from '@emotune/service/spec';
import { lexiconsText } from '../format/dataset.js';
import { type AddCommands, asks } from './options.js';

export const addLexiconsCommand: AddCommands = (program, io) => {
  program
    .command('lexicons')
    .description(
      'list lexicons whose cues prompts can carry, what their licences ask for and where they were found',
    )
    .action(
      asks(io, async ({ session, channel, signal }) => {
        const { lexicons } = await channel
          .client<data.DatasetServiceClient>('DatasetService')
          .call('listLexicons', {}, { signal });
        await session.answer(
          lexicons.map((item) => messageJson('emotune.data.v1.Lexicon', item)),
          () => lexiconsText(lexicons),
        );
      }),
    );
};
